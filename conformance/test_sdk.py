"""The AWS IoT Device SDK v2 for Python provisions both ways and connects with what it got, on both listeners.

Each class is one client of the SDK on one listener; the cases are the same for all.
"""

import os
import subprocess
import unittest

from conformance import fleet
from conformance.fleet import CLAIM_TEMPLATE, ROTATION_TEMPLATE, Core, Identity, telemetry
from conformance.process import BOUND
from conformance.sdk import Mqtt5, Mqtt311, Mqtt311RequestResponse, Refused, Rejection, unique


class SdkTest(unittest.TestCase):
    """The cases; a subclass names the client and the listener."""

    client = None
    alpn = False

    @classmethod
    def setUpClass(cls):
        cls.core = Core(alpn_port=fleet.alpn_port() if cls.alpn else 0)
        cls.addClassCleanup(cls.core.stop)

    def test_a_device_provisioned_with_keys_connects_and_hears_itself(self):
        serial = unique("keys")
        with self.claim() as claim:
            provisioning = claim.identity()
            issued = provisioning.create_keys()
            self.register(provisioning, issued, serial)
        self.hears_itself(self.store(serial, issued, issued.private_key))

    def test_a_device_provisioned_by_csr_connects_and_hears_itself(self):
        serial = unique("csr")
        csr, key = self.csr(serial)
        with self.claim() as claim:
            provisioning = claim.identity()
            issued = provisioning.create_from_csr(csr)
            self.register(provisioning, issued, serial)
        self.hears_itself(self.store(serial, issued, key))

    def test_a_certificate_that_was_never_registered_is_refused(self):
        serial = unique("pending")
        with self.claim() as claim:
            issued = claim.identity().create_keys()
        with self.assertRaises(Refused), self.client(self.core, self.store(serial, issued, issued.private_key),
                                                     self.alpn):
            pass

    def test_a_claim_does_not_take_over_a_thing_that_exists(self):
        serial = unique("taken")
        with self.claim() as claim:
            provisioning = claim.identity()
            self.register(provisioning, provisioning.create_keys(), serial)
            with self.assertRaises(Rejection) as second:
                self.register(provisioning, provisioning.create_keys(), serial)
        self.assertIn(second.exception.status_code, range(400, 500))
        self.assertNotEqual(second.exception.status_code, 429)

    def test_a_csr_that_is_none_is_rejected_with_a_reason(self):
        with self.claim() as claim, self.assertRaises(Rejection) as answer:
            claim.identity().create_from_csr("-----BEGIN CERTIFICATE REQUEST-----\nno\n-----END CERTIFICATE REQUEST-----\n")
        self.assertEqual(answer.exception.status_code, 400)
        self.assertTrue(answer.exception.error_code)
        self.assertTrue(answer.exception.error_message)

    def test_a_token_that_nobody_issued_is_rejected(self):
        with self.claim() as claim, self.assertRaises(Rejection) as answer:
            claim.identity().register(CLAIM_TEMPLATE, "made up", fleet.parameters(unique("token")))
        self.assertEqual(answer.exception.status_code, 400)
        self.assertEqual(answer.exception.error_code, "InvalidCertificateOwnershipToken")

    def test_a_device_rotates_and_goes_on_with_the_new_certificate(self):
        device = self.core.provision(unique("rotating"))
        csr, key = self.csr(device.client_id)
        with self.client(self.core, device, self.alpn) as connection:
            provisioning = connection.identity()
            issued = provisioning.create_from_csr(csr)
            self.register(provisioning, issued, device.client_id, ROTATION_TEMPLATE)
        self.hears_itself(self.store(device.client_id, issued, key))

    def test_a_device_cannot_register_a_certificate_for_somebody_elses_thing(self):
        device, victim = self.core.provision(unique("thief")), self.core.provision(unique("victim"))
        with self.client(self.core, device, self.alpn) as connection:
            provisioning = connection.identity()
            issued = provisioning.create_keys()
            with self.assertRaises(Rejection) as answer:
                self.register(provisioning, issued, victim.client_id, ROTATION_TEMPLATE)
        self.assertEqual(answer.exception.status_code, 403)

    def test_another_things_topic_is_refused(self):
        device = self.core.provision(unique("own"))
        with self.client(self.core, device, self.alpn) as connection, self.assertRaises(Refused):
            connection.subscribe(telemetry("somebody-else"))

    # --- steps ---

    def claim(self):
        return self.client(self.core, self.core.claim(unique("sdk")), self.alpn)

    def register(self, provisioning, issued, serial, template=CLAIM_TEMPLATE):
        answer = provisioning.register(
            template, issued.certificate_ownership_token, fleet.parameters(serial))
        self.assertEqual(answer.thing_name, serial)
        self.assertIsInstance(answer.device_configuration, dict)

    def hears_itself(self, device):
        topic = telemetry(device.client_id)
        with self.client(self.core, device, self.alpn) as connection:
            messages = connection.subscribe(topic)
            connection.publish(topic, b"42")
            self.assertEqual(messages.get(timeout=BOUND), (topic, b"42"))

    def store(self, serial, issued, key):
        identity = Identity(serial, self.core.directory / f"{serial}.cert.pem", self.core.directory / f"{serial}.key.pem")
        for path, text in [(identity.certificate, issued.certificate_pem), (identity.key, key)]:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
        return identity

    def csr(self, serial):
        """A CSR and its key, as openssl makes them."""
        key = self.core.directory / f"{serial}.made.pem"
        made = subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", f"/CN={serial}", "-keyout", key],
            check=True, capture_output=True, text=True,
        )
        return made.stdout, key.read_text()


class Mqtt311OnTheMqttPort(SdkTest):
    client = Mqtt311


class Mqtt311OnTheAlpnPort(SdkTest):
    client = Mqtt311
    alpn = True


class Mqtt311RequestResponseOnTheMqttPort(SdkTest):
    client = Mqtt311RequestResponse


class Mqtt5OnTheMqttPort(SdkTest):
    client = Mqtt5


class Mqtt5OnTheAlpnPort(SdkTest):
    client = Mqtt5
    alpn = True


del SdkTest  # A base class, not a case of its own.
