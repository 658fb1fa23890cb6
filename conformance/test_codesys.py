"""Offline rotation through a maintenance window: a PLC under CODESYS (its stand-in) that imports bundles, and a client
that its sidecar carries over; both under a topic root of the plant's own.
"""

import itertools
import json
import subprocess
import tempfile
import unittest
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from conformance.aws import Account, stored
from conformance.codesys.authority import Authority
from conformance.codesys.plc import Plc
from conformance.codesys.store import Refused
from conformance.fleet import Identity, requests
from conformance.mosquitto import Subscriber, connected, publish
from conformance.process import waits

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
ROOT = "pm500"
# AWS dates a certificate back by two minutes.
BACKDATED = timedelta(minutes=2)
NUMBERS = itertools.count(1)


class Window(unittest.TestCase):
    """One account with a controller, and an operator who hears and says all."""

    @classmethod
    def setUpClass(cls):
        cls.account = Account("--grace", "1s", "--topic-root", ROOT, setup=True)
        cls.addClassCleanup(cls.account.stop)
        cls.core = cls.account.core
        cls.iot = cls.account.client("iot")
        made = cls.iot.create_keys_and_certificate(setAsActive=True)
        cls.iot.create_policy(policyName="everything", policyDocument=json.dumps(EVERYTHING))
        cls.iot.attach_policy(policyName="everything", target=made["certificateArn"])
        cls.operator = stored(cls.core.directory, "operator", made["certificatePem"], made["keyPair"]["PrivateKey"])

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fleetkey-window-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def status(self, certificate):
        return self.iot.describe_certificate(certificateId=certificate)["certificateDescription"]["status"]


class WithPlc(Window):
    """And a PLC that owns the session of its thing."""

    def power_up(self, thing, **store):
        self.plc = Plc(self.core, thing, self.directory / "plc", **store)
        self.addCleanup(self.plc.stop)
        self.topics = {name: f"{ROOT}/{thing}/{name}" for name in ["status", "commands"]}

    def assertWorks(self, word):
        """Telemetry comes from the PLC, and a command goes there."""
        with Subscriber(self.core, self.operator.named(f"hears {word}"), self.topics["status"]) as heard:
            heard.ready()
            self.assertEqual(self.plc.subscribe(self.topics["commands"]), "subscribed")
            self.assertEqual(self.plc.publish(self.topics["status"], word), "published")
            self.assertEqual(heard.message(), (self.topics["status"], 1, word))
        before = self.plc.messages()
        publish(self.core, self.operator, self.topics["commands"], word)
        self.assertEqual(self.plc.message(before), (self.topics["commands"], word))


class Codesys(WithPlc):
    def setUp(self):
        super().setUp()
        thing = f"PLC{next(NUMBERS)}"
        self.device = self.core.provision(thing)
        # The PLC owns the thing's session; the agent lives beside it.
        self.agent = self.core.agent(self.device)
        self.addCleanup(self.agent.stop)
        self.power_up(thing)

    def bundle(self, name):
        """What `export` writes, checked as the sheet says: the directory, its passphrase, its sheet."""
        directory = self.directory / name
        self.agent.run("export", "codesys", "--to", directory)
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=directory, check=True)
        return directory, directory.with_suffix(".passphrase").read_text().strip(), (directory / "STEPS.txt").read_text()

    def brought(self, name):
        """A bundle carried to the PLC: roots Trusted, the pair in Own. Its certificate, and its sheet."""
        directory, passphrase, sheet = self.bundle(name)
        for root in directory.glob("root-*.der"):
            self.plc.store.trust(self.plc.store.import_certificate(root))
        self.assertRaises(Refused, self.plc.store.import_pkcs12, directory / f"{self.plc.thing}.p12", "not this one")
        certificate = self.plc.store.import_pkcs12(directory / f"{self.plc.thing}.p12", passphrase)
        self.assertIn(certificate.fingerprint(hashes.SHA1()).hex(":").upper(), sheet)
        return certificate, sheet

    def test_a_plc_rotates_in_a_maintenance_window_and_then_the_old_certificate_is_refused(self):
        old, _ = self.brought("before")
        self.assertEqual(self.plc.enable(), old)
        self.assertWorks("before")

        # Days before: prepared, and nobody notices. A second later at least: of two of one second neither is the older.
        issued = old.not_valid_before_utc + BACKDATED
        waits(lambda: datetime.now(UTC) >= issued + timedelta(seconds=1), "a second after the first certificate")
        staged = self.agent.run("stage")["certificate"]
        self.assertWorks("staged")
        self.assertEqual([self.status(id_of(old)), self.status(staged)], ["ACTIVE", "ACTIVE"])

        # The window: switch, carry the bundle there, pin, toggle, look.
        self.assertEqual(self.agent.run("switch")["certificate"], staged)
        new, sheet = self.brought("window")
        self.assertEqual(id_of(new), staged)
        self.assertEqual(self.plc.enable(), old, "two of one name: the older one is taken")
        self.plc.store.pin(Plc.USE_CASE, new.fingerprint(hashes.SHA1()).hex(":"))
        self.assertWorks("still-old")
        self.assertEqual(self.plc.enable(), new)
        self.assertWorks("after")

        # The old one goes on the word of the PLC's own connection.
        said = next(line for line in sheet.splitlines() if '"op":"retire"' in line).strip()
        self.agent.retires_on_anothers_word()
        self.assertEqual(self.plc.publish(requests(self.plc.thing), said), "published")
        self.assertEqual(self.agent.run("retire"), {"done": "retired"})
        self.assertIn(self.status(id_of(old)), ["INACTIVE", "REVOKED"])
        self.assertEqual(self.status(staged), "ACTIVE")
        self.assertWorks("retired")

        self.plc.store.pin(Plc.USE_CASE, old.fingerprint(hashes.SHA1()).hex(":"))
        self.assertRegex(self.plc.enable(), "refused")
        self.plc.store.pin(Plc.USE_CASE, new.fingerprint(hashes.SHA1()).hex(":"))
        self.assertEqual(self.plc.enable(), new)
        self.assertWorks("again")

    def test_a_plc_that_goes_back_finds_its_old_certificate_in_order(self):
        old, _ = self.brought("before")
        self.agent.run("stage")
        self.agent.run("switch")
        new, _ = self.brought("tried")
        self.plc.store.pin(Plc.USE_CASE, new.fingerprint(hashes.SHA1()).hex(":"))
        self.assertEqual(self.plc.enable(), new)
        self.assertEqual(self.agent.run("rollback")["certificate"], id_of(old))
        self.plc.store.pin(Plc.USE_CASE, old.fingerprint(hashes.SHA1()).hex(":"))
        self.assertEqual(self.plc.enable(), old)
        self.assertWorks("again")
        self.assertEqual(self.status(id_of(old)), "ACTIVE")


class ByRequest(WithPlc):
    """A version that takes no key from elsewhere: the PLC makes its own, and a CA of the plant signs for it."""

    def setUp(self):
        super().setUp()
        # The claim makes the thing; its own first certificate goes with the first of the PLC's.
        thing = f"PLC{next(NUMBERS)}"
        self.first = id_of(x509.load_pem_x509_certificate(self.core.provision(thing).certificate.read_bytes()))
        self.power_up(thing, version=(3, 5, 17, 30))
        self.authority = Authority().files(self.directory)

    def sign(self, request, name, authority=None):
        return self.core.sign_request(
            request, self.plc.thing, self.directory / name, self.account.environment(), authority)

    def signed(self, name):
        """A request of the PLC signed by the plant's CA, and the certificate in Own; it, and what the PLC is to say."""
        code, told = self.sign(self.plc.store.request(self.plc.thing), name, self.authority)
        self.assertEqual(code, 0, told)
        directory = self.directory / name
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=directory, check=True)
        self.assertFalse(any(b"PRIVATE KEY" in file.read_bytes() for file in directory.iterdir()))
        for trusted in [*directory.glob("root-*.der"), directory / "ca.der"]:
            self.plc.store.trust(self.plc.store.import_certificate(trusted))
        certificate = self.plc.store.import_certificate(directory / f"{self.plc.thing}.der")
        self.plc.store.own(certificate)
        self.assertEqual(id_of(certificate), told["certificate"])
        thumbprint = (directory / "thumbprint.txt").read_text().strip()
        self.assertEqual(certificate.fingerprint(hashes.SHA1()).hex(":").upper(), thumbprint)
        self.plc.store.pin(Plc.USE_CASE, thumbprint)
        sheet = (directory / "STEPS.txt").read_text()
        return certificate, next(line for line in sheet.splitlines() if '"op":"retire"' in line).strip()

    def waits_a_second_after(self, certificate):
        """Of two certificates of one second neither is the older."""
        described = self.iot.describe_certificate(certificateId=certificate)["certificateDescription"]
        waits(lambda: datetime.now(UTC) >= described["creationDate"] + timedelta(seconds=1), "the next second")

    def retires(self, said, certificate):
        self.assertEqual(self.plc.publish(requests(self.plc.thing), said), "published")
        waits(lambda: self.status(certificate) in ["INACTIVE", "REVOKED"], f"the end of {certificate}")

    def test_a_plc_whose_key_never_leaves_it_gets_one_certificate_after_another_with_its_extensions(self):
        request = self.plc.store.request(self.plc.thing)
        known = len(self.iot.list_certificates(pageSize=250)["certificates"])
        code, told = self.sign(request, "by-account")
        self.assertEqual(code, 32, "AWS's shape of a certificate has none of them")
        self.assertIn("extended key usage is missing", told["reasons"])
        self.assertEqual(len(self.iot.list_certificates(pageSize=250)["certificates"]), known, "nothing is left of it")

        self.waits_a_second_after(self.first)
        one, said = self.signed("one")
        self.assertEqual(self.plc.enable(), one)
        self.assertWorks("one")
        self.retires(said, self.first)
        self.assertWorks("retired")

        self.waits_a_second_after(id_of(one))
        two, said = self.signed("two")
        self.assertWorks("still-one")
        self.assertEqual(self.plc.enable(), two)
        self.assertWorks("two")
        self.retires(said, id_of(one))
        self.plc.store.pin(Plc.USE_CASE, one.fingerprint(hashes.SHA1()).hex(":"))
        self.assertRegex(self.plc.enable(), "refused")


class BesideIt(Window):
    """The other kind of client: plain MQTT to a sidecar, as Node-RED has it."""

    def test_a_client_of_a_sidecar_notices_nothing_of_the_window(self):
        device = self.core.provision("NODE0001")
        with self.core.with_sidecar(device) as agent:
            agent.line(lambda line: '"link_up"' in line, what="an identity in use")
            place, topics = self.core.sidecar(device), [f"{ROOT}/NODE0001/{name}" for name in ["commands", "telemetry"]]
            old = id_of(x509.load_pem_x509_certificate(device.certificate.read_bytes()))
            with Subscriber(place, Identity("flow", None, None), topics[0]) as flow:
                flow.ready()
                for number, step in enumerate(["stage", "switch", "retire", None]):
                    publish(self.core, self.operator, topics[0], f"command {number}")
                    self.assertEqual(flow.message(number), (topics[0], 1, f"command {number}"))
                    if step:
                        self.core.step(step, device)
                self.assertEqual(sum(map(connected, flow.lines())), 1, flow.transcript())
            self.assertIn(self.status(old), ["INACTIVE", "REVOKED"])


def id_of(certificate):
    """The certificate's id: SHA-256 of its DER."""
    return certificate.fingerprint(hashes.SHA256()).hex()
