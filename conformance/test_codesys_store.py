"""The stand-in's certificate store keeps the rules that CODESYS documents; without any server."""

import datetime
import tempfile
import unittest
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from conformance.codesys.authority import NOW, Authority
from conformance.codesys.store import DEMANDED, Refused, Store

YEAR = datetime.timedelta(days=365)
SECRET = "correct horse"


class StoreTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fleetkey-codesys-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.store = Store(self.directory)
        self.authority = Authority()

    def owns(self, *arguments, **options):
        """Has a certificate made and imports it into Own."""
        certificate, key = self.authority.issue(*arguments, **options)
        file = self.authority.pkcs12(self.directory / "in.p12", SECRET, certificate, key)
        self.assertEqual(self.store.import_pkcs12(file, SECRET), certificate)
        return certificate

    def chosen(self):
        return self.store.chosen("MQTT", "PLC1", NOW)

    def signed(self, request, *, but=()):
        """A certificate for a request of the PLC, with its extensions except these kinds; in Untrusted."""
        asked = x509.load_der_x509_csr(request.read_bytes())
        kept = [extension for extension in asked.extensions if not isinstance(extension.value, tuple(but))]
        certificate, _ = self.authority.issue("PLC1", NOW - YEAR, public_key=asked.public_key(), extensions=kept)
        file = self.directory / "signed.der"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        return self.store.import_certificate(file)


class Choice(StoreTest):
    def test_of_two_certificates_of_aws_the_older_one_is_taken(self):
        old = self.owns("PLC1", NOW - 2 * YEAR)
        new = self.owns("PLC1", NOW - YEAR)
        self.assertEqual(self.chosen(), old, "both end in 2049, so its period is the longer one")
        self.store.remove(old)
        self.assertEqual(self.chosen(), new)

    def test_a_pinned_thumbprint_wins_and_nothing_stands_in_for_it(self):
        old = self.owns("PLC1", NOW - 2 * YEAR)
        new = self.owns("PLC1", NOW - YEAR)
        self.store.pin("MQTT", new.fingerprint(hashes.SHA1()).hex(":"))
        self.assertEqual(self.chosen(), new)
        self.store.remove(new)
        self.assertRaises(Refused, self.chosen)
        self.assertEqual(self.store.chosen("OPC UA", "PLC1", NOW), old, "another use case has no pin")

    def test_only_what_is_named_valid_and_for_a_client_is_taken(self):
        self.owns("AWS IoT Certificate", NOW - YEAR)
        self.owns("PLC1", NOW - 2 * YEAR, NOW - YEAR)
        self.owns("PLC1", NOW + YEAR)
        server = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        self.owns("PLC1", NOW - YEAR, extensions=[x509.Extension(server.oid, True, server)])
        self.assertRaises(Refused, self.chosen)

    def test_what_a_ca_has_signed_comes_before_what_has_signed_itself_however_long(self):
        self.owns("PLC1", NOW - 5 * YEAR, issuer="PLC1")
        signed = self.owns("PLC1", NOW - YEAR, NOW + YEAR)
        self.assertEqual(self.chosen(), signed)


class Import(StoreTest):
    def test_before_3_5_18_no_key_comes_in_and_a_wrong_passphrase_never_helps(self):
        certificate, key = self.authority.issue("PLC1", NOW - YEAR)
        file = self.authority.pkcs12(self.directory / "in.p12", SECRET, certificate, key)
        old = Store(self.directory / "old", version=(3, 5, 17, 30))
        self.assertRaisesRegex(Refused, "no key", old.import_pkcs12, file, SECRET)
        self.assertRaisesRegex(Refused, "passphrase", self.store.import_pkcs12, file, "wrong")

    def test_pem_under_the_name_of_der_is_not_taken(self):
        certificate, _ = self.authority.issue("CA", NOW - YEAR)
        file = self.directory / "root.der"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.assertRaisesRegex(Refused, "not DER", self.store.import_certificate, file)

    def test_what_is_signed_for_a_request_is_usable_only_with_each_of_its_extensions(self):
        request = self.store.request("PLC1")
        for missing in DEMANDED:
            certificate = self.signed(request, but=[missing])
            self.assertRaisesRegex(Refused, missing.__name__, self.store.own, certificate)
        self.assertRaises(Refused, self.chosen)
        whole = self.signed(request)
        self.store.own(whole)
        self.assertEqual(self.chosen(), whole)
