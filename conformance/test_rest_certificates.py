"""Certificates by boto3: issued, registered, their states, their end."""

import hashlib
import ssl
import subprocess
import tempfile
from pathlib import Path

from conformance.aws import AccountTest

NONE = "0" * 64


class Certificates(AccountTest):
    def test_keys_and_certificate_belong_together(self):
        made = self.certificate(active=False)
        self.assertIn("PRIVATE KEY", made["keyPair"]["PrivateKey"])
        self.assertIn("PUBLIC KEY", made["keyPair"]["PublicKey"])
        self.assertEqual(made["certificateId"], fingerprint(made["certificatePem"]))
        self.assertTrue(made["certificateArn"].endswith("cert/" + made["certificateId"]))
        public = subprocess.run(["openssl", "pkey", "-pubout"], input=made["keyPair"]["PrivateKey"],
                                check=True, capture_output=True, text=True).stdout
        self.assertEqual(public, made["keyPair"]["PublicKey"])
        described = self.describe(made)
        self.assertEqual((described["status"], described["certificateMode"], described["ownedBy"]),
                         ("INACTIVE", "DEFAULT", "123456789012"))
        self.assertEqual(described["certificatePem"], made["certificatePem"])
        self.assertEqual(described["validity"]["notAfter"].year, 2049)

    def test_a_csr_is_signed_as_often_as_it_is_sent(self):
        csr = request()
        made = [self.iot.create_certificate_from_csr(certificateSigningRequest=csr, setAsActive=True) for _ in range(2)]
        self.assertNotEqual(made[0]["certificateId"], made[1]["certificateId"])
        self.assertEqual(self.describe(made[0])["status"], "ACTIVE")
        self.assertNotIn("keyPair", made[0])

    def test_a_csr_that_is_none_is_refused(self):
        self.refused("InvalidRequestException", self.iot.create_certificate_from_csr, certificateSigningRequest="none")
        self.refused("InvalidRequestException", self.iot.create_certificate_from_csr, certificateSigningRequest="x" * 4097)

    def test_a_certificate_of_ones_own_is_registered_once(self):
        pem = self_signed()
        made = self.iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
        self.assertEqual(made["certificateId"], fingerprint(pem))
        described = self.describe(made)
        self.assertEqual((described["status"], described["certificateMode"]), ("ACTIVE", "SNI_ONLY"))
        error = self.refused("ResourceAlreadyExistsException", self.iot.register_certificate_without_ca, certificatePem=pem)
        self.assertEqual((error["resourceId"], error["resourceArn"]), (made["certificateId"], made["certificateArn"]))
        self.refused("CertificateValidationException", self.iot.register_certificate_without_ca, certificatePem="none")

    def test_a_certificate_of_a_ca_that_is_not_registered_is_refused(self):
        self.refused("CertificateValidationException", self.iot.register_certificate, certificatePem=self_signed())

    def test_states_follow_each_other_as_aws_has_it(self):
        made = self.certificate()
        for status in ["INACTIVE", "INACTIVE", "ACTIVE", "REVOKED"]:
            self.iot.update_certificate(certificateId=made["certificateId"], newStatus=status)
            self.assertEqual(self.describe(made)["status"], status)
        for status in ["PENDING_TRANSFER", "PENDING_ACTIVATION"]:
            self.refused("InvalidRequestException", self.iot.update_certificate,
                         certificateId=self.certificate()["certificateId"], newStatus=status)
        with self.assertRaises((self.iot.exceptions.CertificateStateException,
                                self.iot.exceptions.InvalidRequestException)):
            self.iot.update_certificate(certificateId=made["certificateId"], newStatus="ACTIVE")
        self.assertEqual(self.describe(made)["status"], "REVOKED")

    def test_only_what_is_inactive_and_free_is_deleted(self):
        made, thing, policy = self.certificate(), self.name(), self.policy(self.name())
        self.iot.create_thing(thingName=thing)
        self.iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
        self.iot.attach_policy(policyName=policy, target=made["certificateArn"])
        delete = dict(certificateId=made["certificateId"])
        self.refused("CertificateStateException", self.iot.delete_certificate, **delete)
        self.iot.update_certificate(**delete, newStatus="INACTIVE")
        self.refused("DeleteConflictException", self.iot.delete_certificate, **delete)
        self.refused("DeleteConflictException", self.iot.delete_certificate, **delete, forceDelete=True)
        self.iot.detach_thing_principal(thingName=thing, principal=made["certificateArn"])
        self.refused("DeleteConflictException", self.iot.delete_certificate, **delete)
        self.iot.delete_certificate(**delete, forceDelete=True)
        self.refused("ResourceNotFoundException", self.iot.describe_certificate, **delete)
        self.iot.delete_policy(policyName=policy)

    def test_what_does_not_exist_is_not_found(self):
        self.refused("ResourceNotFoundException", self.iot.describe_certificate, certificateId=NONE)
        self.refused("ResourceNotFoundException", self.iot.delete_certificate, certificateId=NONE)
        self.refused("ResourceNotFoundException", self.iot.update_certificate, certificateId=NONE, newStatus="ACTIVE")
        self.refused("InvalidRequestException", self.iot.describe_certificate, certificateId="g" * 64)

    def test_the_list_is_paged_in_both_directions(self):
        made = {self.certificate()["certificateId"] for _ in range(3)}
        pages, newest_first = self.pages(self.iot, "list_certificates", "certificates", 1)
        self.assertEqual(pages, len(newest_first))
        self.assertLessEqual(made, {certificate["certificateId"] for certificate in newest_first})
        _, oldest_first = self.pages(self.iot, "list_certificates", "certificates", 2, ascendingOrder=True)
        self.assertEqual(oldest_first, newest_first[::-1])

    def describe(self, made):
        return self.iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]


class Endpoint(AccountTest):
    def test_the_endpoint_is_the_one_that_devices_connect_to(self):
        for kind in ["iot:Data-ATS", "iot:Data"]:
            address = self.iot.describe_endpoint(endpointType=kind)["endpointAddress"]
            self.assertEqual(address, self.account.variables["FLEETKEY_ENDPOINT"])
        self.assertEqual(self.iot.describe_endpoint()["endpointAddress"], address)
        self.refused("InvalidRequestException", self.iot.describe_endpoint, endpointType="iot:None")


def fingerprint(pem):
    """A certificate's id: the SHA-256 of its DER."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def request():
    """A CSR of a new P-256 key."""
    return request_with_key()[0]


def request_with_key():
    """A CSR and its new P-256 key."""
    return openssl("req", "-new", "-subj", "/CN=conformance")


def self_signed():
    """A certificate that signs itself."""
    return openssl("req", "-new", "-x509", "-days", "30", "-subj", "/CN=conformance")[0]


def openssl(*arguments):
    """What openssl makes, and the key that it made for it."""
    with tempfile.TemporaryDirectory() as directory:
        key = Path(directory) / "key.pem"
        made = subprocess.run(
            ["openssl", *arguments, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key],
            check=True, capture_output=True, text=True)
        return made.stdout, key.read_text()
