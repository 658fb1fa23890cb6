"""What `fleetkey export` prints, used as it stands: by mosquitto, by paho, by libmosquitto; and again after a rotation."""

import os
import shutil
import socket
import threading
import unittest

from conformance.aws import Account
from conformance.fleet import Identity, export, orders, telemetry
from conformance.mosquitto import Publisher, Subscriber, publish
from conformance.process import Process


class Exported(unittest.TestCase):
    """One local IoT Core whose controller revokes a second after the soak, and an operator who hears and says all."""

    @classmethod
    def setUpClass(cls):
        cls.account = Account("--grace", "1s", setup=True)
        cls.addClassCleanup(cls.account.stop)
        cls.core = cls.account.core
        cls.operator = cls.account.operator()

    def rotate(self, device):
        """A rotation to its end: the certificate before can no longer connect."""
        with self.core.device(device) as running:
            running.line(lambda line: '"link_up"' in line, what="the live session")
            self.core.rotate(device)
            running.line(lambda line: '"retired"' in line, what="the end of the old certificate")

    def export(self, program, device):
        """Exports into the same directory each time; it, and what is printed to be configured."""
        directory = self.core.directory / f"{program}-{device.client_id}"
        return directory, export(self.core, program, device, directory)

    def heard(self, topic):
        """An operator's subscription in the account, from now on."""
        subscriber = Subscriber(self.core, self.operator.named(f"hears {topic}"), topic)
        self.addCleanup(subscriber.stop)
        return subscriber.ready()


class Mosquitto(Exported):
    def test_a_bridge_runs_on_the_snippet_and_after_a_restart_on_the_new_certificate(self):
        device = self.core.provision("bridge-1")
        up, down = f"{telemetry('bridge-1')}/a", f"{orders('bridge-1')}/a"
        heard = self.heard(up)
        for number in range(2):
            directory, sheet = self.export("mosquitto", device)
            self.assertEqual((directory / "bridge.conf").read_text().strip(), sheet)
            with Bridge(directory) as local:
                with Subscriber(local, Identity("plc", None, None), down) as subscriber:
                    subscriber.ready()
                    local.bridged()
                    publish(local, Identity("sensor", None, None), up, f"up {number}")
                    self.assertEqual(heard.message(number), (up, 1, f"up {number}"))
                    publish(self.core, self.operator, down, f"down {number}")
                    self.assertEqual(subscriber.message(), (down, 1, f"down {number}"))
            if number == 0:
                self.rotate(device)

    def test_its_clients_connect_with_the_files_that_are_named_for_libmosquitto(self):
        device = self.core.provision("library-1")
        topic = telemetry("library-1")
        heard = self.heard(topic)
        for number in range(2):
            _, sheet = self.export("paho", device)
            told = dict(line.split(None, 1) for line in sheet.splitlines()[:6])
            self.assertEqual(told["server"], f"ssl://{self.core.endpoint}:{self.core.mqtt_port}")
            named = Identity(sheet.splitlines()[1].split()[-1], told["keyStore"], told["privateKey"])
            publish(self.core, named, topic, f"up {number}", ca=told["trustStore"])
            self.assertEqual(heard.message(number), (topic, 1, f"up {number}"))
            if number == 0:
                self.rotate(device)


class Paho(Exported):
    def test_the_snippet_connects_and_its_last_lines_take_up_the_new_certificate(self):
        device = self.core.provision("python-1")
        topic = telemetry("python-1")
        heard = self.heard(topic)
        _, sheet = self.export("paho-python", device)
        names = {}
        exec(compile(sheet, "sheet", "exec"), names)
        client, connected = names["client"], threading.Semaphore(0)
        client.on_connect = lambda *_: connected.release()
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.assertTrue(connected.acquire(timeout=60))
        client.publish(topic, "up 0", qos=1).wait_for_publish(60)
        client.disconnect()
        client.loop_stop()
        self.rotate(device)
        self.export("paho-python", device)
        steps = [line.removeprefix("# ") for line in sheet.splitlines() if line.startswith(("# context.", "# client."))]
        self.assertEqual(len(steps), 2, sheet)
        exec(compile("\n".join(steps), "steps", "exec"), names)
        client.loop_start()
        self.assertTrue(connected.acquire(timeout=60))
        client.publish(topic, "up 1", qos=1).wait_for_publish(60)
        self.assertEqual([heard.message(number)[2] for number in range(2)], ["up 0", "up 1"])
        client.disconnect()


class Bridge(Process):
    """A mosquitto of its own, with the bridge that `directory` holds and a listener on loopback for local clients."""

    def __init__(self, directory):
        self.endpoint, self.mqtt_port = "127.0.0.1", free_port()
        settings = directory.with_suffix(".conf")
        settings.write_text("\n".join([
            f"listener {self.mqtt_port} 127.0.0.1", "allow_anonymous true", "log_type all", "log_dest stderr",
            # Whoever begins as root would go on as a user who may not read the key.
            *(["user root"] if os.geteuid() == 0 else []),
            (directory / "bridge.conf").read_text(),
        ]))
        # Debian keeps it where only root's PATH looks.
        super().__init__([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", settings])
        try:
            self.line(lambda line: "running" in line, what="a broker that runs")
        except AssertionError:
            self.stop()
            raise

    def bridged(self):
        """Waits until the bridge's subscription is granted."""
        self.line(lambda line: "Received SUBACK from local." in line, what="the bridge's SUBACK")


def free_port():
    """mosquitto takes no port 0, so one is chosen for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
