"""The certificate store of CODESYS Control (`.pki`), and which certificate it takes, as the documentation has it.

Own, Trusted, Untrusted and Quarantine hold DER. A certificate for a connection is chosen at each connect:

1. a thumbprint that is pinned for the use case wins, and nothing else will do;
2. else the ones whose common name is asked for, that have a key here, may be used by a client, and are valid now;
3. of these, one that a CA has signed before one that has signed itself;
4. then the one with the *longest period of validity*;
5. then the one with the strongest key.

Names in the file system are our own choice: nothing documents them.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# From this version on Own takes PKCS#12, and so a key that was made elsewhere.
TAKES_PKCS12 = (3, 5, 18, 0)
# The extensions that a request carries as critical, and without which what comes of it "cannot be used by the PLC".
DEMANDED = [x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName]


class Refused(Exception):
    """The store does not take it, or has nothing that fits."""


class Store:
    """One PLC's store, in a directory of its own."""

    def __init__(self, directory, version=TAKES_PKCS12):
        self._root = Path(directory) / ".pki"
        self._version = version
        self._pinned = {}
        for folder in ["own/cert", "own/key", "trusted", "untrusted", "quarantine"]:
            (self._root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)

    # --- what an administrator does in the Security Screen ---------------------------------------------------

    def import_pkcs12(self, file, passphrase):
        """A key and its certificate from elsewhere, into Own; the certificate."""
        if self._version < TAKES_PKCS12:
            raise Refused("this version takes no key from elsewhere")
        try:
            key, certificate, _ = pkcs12.load_key_and_certificates(file.read_bytes(), passphrase.encode())
        except ValueError as error:
            raise Refused(f"not a file for this passphrase: {error}") from None
        self._keep_key(key)
        self._keep("own/cert", certificate)
        return certificate

    def import_certificate(self, file):
        """A certificate in DER; it is Untrusted first, and never PEM under another name."""
        try:
            certificate = x509.load_der_x509_certificate(file.read_bytes())
        except ValueError:
            raise Refused(f"{file.name} is not DER") from None
        self._keep("untrusted", certificate)
        return certificate

    def trust(self, certificate):
        """Moves it from Untrusted to Trusted."""
        self._remove("untrusted", certificate)
        self._keep("trusted", certificate)

    def own(self, certificate):
        """Moves what was signed for a request of this PLC from Untrusted to Own."""
        key = self._key_of(certificate)
        request = x509.load_der_x509_csr(self._request(key).read_bytes())
        for kind in DEMANDED:
            if not carries(certificate, request.extensions.get_extension_for_class(kind)):
                raise Refused(f"{kind.__name__} of the request is not in the certificate: it cannot be used")
        self._remove("untrusted", certificate)
        self._keep("own/cert", certificate)

    def remove(self, certificate):
        """Takes it out of Own, with its key."""
        self._remove("own/cert", certificate)
        (self._root / "own/key" / f"{_key_id(certificate)}.der").unlink()

    def pin(self, use_case, thumbprint):
        """For this use case only this certificate, by the SHA-1 of its DER in hexadecimal."""
        self._pinned[use_case] = bytes.fromhex(thumbprint.replace(":", ""))

    # --- what the PLC does --------------------------------------------------------------------------------

    def request(self, common_name, bits=2048):
        """Makes a key, which never leaves, and a request in DER, as `cert-createcsr` in the PLC shell does."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=True, data_encipherment=False,
            key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False)
        builder = x509.CertificateSigningRequestBuilder(_name(common_name))
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("plc-1.local")]), critical=True)
        signed = builder.sign(key, hashes.SHA256())
        self._keep_key(key)
        self._request(_key_id(signed)).write_bytes(signed.public_bytes(serialization.Encoding.DER))
        return self._request(_key_id(signed))

    def chosen(self, use_case, common_name, now=None):
        """The certificate that a connection of this use case takes."""
        now = now or datetime.datetime.now(datetime.timezone.utc)
        owned = [x509.load_der_x509_certificate(file.read_bytes()) for file in (self._root / "own/cert").iterdir()]
        if use_case in self._pinned:
            fitting = [found for found in owned if found.fingerprint(hashes.SHA1()) == self._pinned[use_case]]
        else:
            fitting = [found for found in owned if self._fits(found, common_name, now)]
        if not fitting:
            raise Refused(f"Own has no certificate for {use_case}")
        return max(fitting, key=_rank)

    def pem(self, certificate, directory):
        """The files for a client that takes PEM: trust, certificate, key."""
        trusted = [x509.load_der_x509_certificate(file.read_bytes()) for file in (self._root / "trusted").iterdir()]
        key = (self._root / "own/key" / f"{_key_id(certificate)}.der").read_bytes()
        key = serialization.load_der_private_key(key, None)
        contents = [
            b"".join(root.public_bytes(serialization.Encoding.PEM) for root in trusted),
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        ]
        files = [Path(directory) / name for name in ["trusted.pem", "own.pem", "own.key"]]
        for file, content in zip(files, contents):
            file.touch(mode=0o600)
            file.write_bytes(content)
        return files

    def _fits(self, certificate, common_name, now):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        named = [name.value for name in names] == [common_name]
        valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        return named and valid and _is_for_a_client(certificate) and self._has_key(certificate)

    def _has_key(self, certificate):
        return (self._root / "own/key" / f"{_key_id(certificate)}.der").exists()

    def _key_of(self, certificate):
        if not self._has_key(certificate) or not self._request(_key_id(certificate)).exists():
            raise Refused("its key was not made here")
        return _key_id(certificate)

    def _request(self, key):
        return self._root / "own/key" / f"{key}.csr"

    def _keep_key(self, key):
        file = self._root / "own/key" / f"{_key_id(key)}.der"
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def _keep(self, folder, certificate):
        self._file(folder, certificate).write_bytes(certificate.public_bytes(serialization.Encoding.DER))

    def _remove(self, folder, certificate):
        try:
            self._file(folder, certificate).unlink()
        except FileNotFoundError:
            raise Refused(f"it is not in {folder}") from None

    def _file(self, folder, certificate):
        return self._root / folder / f"{certificate.fingerprint(hashes.SHA1()).hex()}.der"


def carries(certificate, wanted):
    """Whether the certificate has this extension, as critical and with the same value."""
    try:
        found = certificate.extensions.get_extension_for_oid(wanted.oid)
    except x509.ExtensionNotFound:
        return False
    return (found.critical, found.value) == (wanted.critical, wanted.value)


def _is_for_a_client(certificate):
    """An extension that is absent forbids nothing."""
    usages = {x509.KeyUsage: lambda value: value.digital_signature,
              x509.ExtendedKeyUsage: lambda value: ExtendedKeyUsageOID.CLIENT_AUTH in value}
    for kind, allows in usages.items():
        try:
            if not allows(certificate.extensions.get_extension_for_class(kind).value):
                return False
        except x509.ExtensionNotFound:
            pass
    return True


def _rank(certificate):
    signed_by_a_ca = certificate.issuer != certificate.subject
    period = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return signed_by_a_ca, period, certificate.public_key().key_size


def _key_id(of):
    """Names a key by its public half; of a key, a certificate, or a request."""
    public = of.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return digest.finalize().hex()[:40]


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
