"""Certificates for tests, made while they run: private authorities, pairs, and leaves with something the matter."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import itertools
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

from dispytw.wire.certificates import Certificate, Files

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)

#: As in ``extendedKeyUsage``.
SERVER, CLIENT = x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH

_serials = itertools.count(1000)


def new_key() -> Any:
    """A private key."""
    return ec.generate_private_key(ec.SECP256R1())


@attrs.frozen
class Issued:
    """A certificate and its key."""

    leaf: x509.Certificate
    key: Any

    @property
    def certificate_pem(self) -> bytes:
        return self.leaf.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return pem_of(self.key)

    def as_certificate(self, *authorities: Issued, chain: tuple[Issued, ...] = ()) -> Certificate:
        """What an end would have loaded, unchecked."""
        others = tuple(each.leaf for each in authorities)
        return Certificate(self.leaf, tuple(each.leaf for each in chain), others, self.key, Files("leaf.pem"))

    def stolen(self) -> Issued:
        """The certificate in the hands of somebody who has another key; his own says that it is this one's."""
        thief = new_key()
        forged = self._der(thief).replace(self._point(thief), self._point(self.key))
        return Issued(self.leaf, crypto.load_privatekey(crypto.FILETYPE_ASN1, forged))

    @staticmethod
    def _der(key: Any) -> bytes:
        return bytes(
            key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        )

    @staticmethod
    def _point(key: Any) -> bytes:
        return bytes(key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint))


def pem_of(key: Any, passphrase: bytes | None = None) -> bytes:
    """A private key as openssl writes it."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))


def issue(
    *names: str,
    by: Issued | None = None,
    key: Any = None,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 30 * DAY,
    uses: tuple[x509.ObjectIdentifier, ...] = (),
    authority: bool = False,
) -> Issued:
    """A certificate.

    :param names: of its subjectAltName: host names, addresses, and URIs like ``dispytw:node``.
    :param by: who issues it; itself, if nobody.
    """
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {next(_serials)}")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by.leaf.subject if by else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begins).not_valid_after(ends)
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _name(text: str) -> x509.GeneralName:
    if text.startswith("dispytw:"):
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def authority(name: str = "ours") -> Issued:
    """A private authority; one for each name."""
    return _known(name, True)


def pair(name: str = "ours") -> Issued:
    """A certificate that has signed itself, as the openssl commands of dispy's manual make it; one for each name."""
    return _known(name, False)


@functools.cache
def _known(name: str, authority: bool) -> Issued:
    return issue(authority=authority)


def write(directory: Path, name: str, *contents: bytes, mode: int = 0o600) -> str:
    """A file with these contents."""
    path = directory / name
    path.write_bytes(b"".join(contents))
    path.chmod(mode)
    return str(path)


def write_pair(directory: Path, issued: Issued, name: str = "dispy") -> tuple[str, str]:
    """Paths of certfile and keyfile."""
    return write(directory, f"{name}.cert", issued.certificate_pem), write(directory, f"{name}.key", issued.key_pem)
