"""Certificates for tests: a CA that signs whatever is asked for, with or without what the request demands."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

# Certificates that AWS IoT issues all end here, whenever they begin.
AWS_END = datetime.datetime(2049, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """A CA; with `common_name` of its subject as the issuer's, a self-signed certificate."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    def issue(self, common_name, begins, ends=AWS_END, *, issuer="CA", public_key=None, extensions=()):
        """A certificate, and its key unless the public one was given."""
        key = None if public_key else ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(_name(issuer), _name(common_name), public_key or key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        for extension in extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self.key, hashes.SHA256()), key

    def files(self, directory):
        """The CA as others sign with it: the files of its own certificate and of its key, PEM."""
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        certificate, _ = self.issue("CA", yesterday, public_key=self.key.public_key(), extensions=[
            x509.Extension(constraints.oid, True, constraints)])
        files = [directory / "ca.pem", directory / "ca.key"]
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].touch(mode=0o600)
        files[1].write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return files

    def pkcs12(self, file, passphrase, certificate, key):
        """The pair as a file that Own takes."""
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
        file.write_bytes(pkcs12.serialize_key_and_certificates(b"plc", key, certificate, None, encryption))
        return file
