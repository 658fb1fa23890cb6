"""A rotation as somebody else's client sees it: the files change, the old certificate stops working."""

import shutil
import unittest

from conformance.fleet import Core, agent, telemetry
from conformance.mosquitto import Publisher, connected, publish


class Rotation(unittest.TestCase):
    """One local IoT Core whose controller revokes a second after the soak."""

    @classmethod
    def setUpClass(cls):
        cls.core = Core("--grace", "1s")
        cls.addClassCleanup(cls.core.stop)

    def test_the_exported_files_change_and_the_old_certificate_is_refused(self):
        device = self.core.provision("meter-1")
        topic = telemetry(device.client_id)
        old = self.kept(device)
        publish(self.core, agent(old), topic, "before")
        with self.core.device(device) as running:
            running.line(lambda line: '"link_up"' in line, what="the live session")
            self.core.rotate(device)
            running.line(lambda line: '"retired"' in line, what="the end of the old certificate")
        self.assertNotEqual(old.certificate.read_text(), device.certificate.read_text())
        with Publisher(self.core, agent(old), topic, "after") as refused:
            self.assertNotEqual(refused.ends(), 0, refused.transcript())
            self.assertFalse(any(map(connected, refused.lines())), refused.transcript())
        publish(self.core, agent(device), topic, "after")

    def kept(self, device):
        """A copy of the identity's files, as a thief or a forgetful client would hold them."""
        copies = [shutil.copy(path, self.core.directory / f"old.{path.name}") for path in device[1:]]
        return device._replace(certificate=copies[0], key=copies[1])
