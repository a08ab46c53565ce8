"""This end's certificate: read from its files and tried out at once, so that a mistake is named where it was made.

With ``certfile`` and ``keyfile`` alone (dispy's way: the same pair on every machine) the other end must show the very certificate that
this end has. With ``cafile`` beside them it must show one that the private authority in that file has issued. Which certificate is fit
is decided in `dispytw.wire.verdict`.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
from collections.abc import Callable
from typing import Any, Union

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL import SSL

from dispytw.errors import CertificateError

#: Bytes of the longest file.
LONGEST_FILE = 2**20
#: Certificates between a leaf and its authority, and bytes of all that is shown: Twisted's TLS sends no more in one turn of a handshake.
LONGEST_CHAIN = 8
MOST_SHOWN = 24_000

_Path = Union[str, "os.PathLike[str]"]

_KEY = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_ENCRYPTED = re.compile(rb"ENCRYPTED PRIVATE KEY|Proc-Type: *4, *ENCRYPTED")


@attrs.frozen
class Files:
    """Where a certificate comes from, as absolute paths: what loads it again.

    :param certfile: PEM file with the certificate, and those between it and its authority.
    :param keyfile: PEM file with the private key; None where that is in certfile.
    :param cafile: PEM file with the certificates of a private authority, or None.
    """

    certfile: str
    keyfile: str | None = None
    cafile: str | None = None


@attrs.frozen
class Certificate:
    """What this end shows, and what it wants to be shown. Two are equal if they show and want the same.

    :param leaf: the certificate itself.
    :param chain: those between it and its authority.
    :param authorities: who may have issued the other end's; none: that must be our own leaf.
    :param key: the private key.
    :param files: where all this comes from.
    """

    leaf: x509.Certificate = attrs.field(repr=False)
    chain: tuple[x509.Certificate, ...] = attrs.field(repr=False)
    authorities: tuple[x509.Certificate, ...] = attrs.field(repr=False)
    key: Any = attrs.field(repr=False, eq=False)
    files: Files = attrs.field(eq=False)

    def show_in(self, context: SSL.Context) -> None:
        """Have an end of TLS show it.

        :raises SSL.Error: when OpenSSL will not have it.
        """
        context.use_certificate(self.leaf)
        for each in self.chain:
            context.add_extra_chain_cert(each)
        context.use_privatekey(self.key)


def given_certificate(
    certfile: _Path | None, keyfile: _Path | None, cafile: _Path | None, warn: Callable[[str], object]
) -> Certificate | None:
    """The certificate that somebody has named by these files; None if by none.

    :param warn: told about a key that others can read.
    :raises CertificateError: when it cannot be used; the message names the file and the fix.
    """
    if certfile:
        return load_certificate(Files(*map(_absolute, (certfile, keyfile, cafile))), warn)  # type: ignore[arg-type]
    for name, path, belongs in (("keyfile", keyfile, "the certificate of this key"), ("cafile", cafile, "one of that authority's")):
        if path:
            raise CertificateError(f"{name} is given without certfile: name the file with {belongs} as certfile")
    return None


def _absolute(path: _Path | None) -> str | None:
    return os.path.abspath(path) if path else None


def load_certificate(
    files: Files, warn: Callable[[str], object] = lambda _: None, now: datetime.datetime | None = None
) -> Certificate:
    """The certificate in these files, checked.

    :param warn: told about a key that others can read.
    :param now: by default the time it is.
    :raises CertificateError: when it cannot be used; the message names the file and the fix.
    """
    leaf, *chain = _certificates("certfile", files.certfile)
    _check_size([leaf, *chain], files.certfile)
    key = _key(files, warn)
    if _public_bytes(leaf, files.certfile) != _public_bytes(key, files.keyfile or files.certfile):
        where = files.keyfile or files.certfile
        raise CertificateError(f"the key in {where} does not belong to the first certificate in {files.certfile}: give both of one pair")
    _check_dates(leaf, files.certfile, now or datetime.datetime.now(datetime.timezone.utc))
    authorities = tuple(_certificates("cafile", files.cafile)) if files.cafile else ()
    certificate = Certificate(leaf, tuple(chain), authorities, key, files)
    _rehearse(certificate)
    return certificate


# Files.
def _read(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise CertificateError(f"{name} {path} cannot be read: {error.strerror}") from None
    if len(content) > LONGEST_FILE:
        raise CertificateError(f"{name} {path} is longer than {LONGEST_FILE} bytes: is it the right file?")
    return content


def _certificates(name: str, path: str) -> list[x509.Certificate]:
    content = _read(name, path)
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise CertificateError(f"{name} {path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----): is it the right file?")
    try:
        return list(x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise CertificateError(f"{name} {path} is damaged: {error}; copy it again") from None


def _key(files: Files, warn: Callable[[str], object]) -> Any:
    name, path = ("keyfile", files.keyfile) if files.keyfile else ("certfile", files.certfile)
    content = _read(name, path)
    found = _KEY.search(content)
    if found is None:
        hint = "is it the right file?" if files.keyfile else "name the key's own file as keyfile"
        raise CertificateError(f"{name} {path} holds no private key in PEM form: {hint}")
    if _ENCRYPTED.search(found.group()):
        raise CertificateError(f"the key in {path} is encrypted, which is no use to daemons: openssl pkey -in {path} -out plain.key")
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        warn(f"the private key in {path} can be read by others: chmod 600 {path}")
    try:
        return load_pem_private_key(found.group(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what they say may quote the key
        raise CertificateError(f"the private key in {path} is damaged, or of an unknown kind: copy it again") from None


def _public_bytes(holder: Any, path: str) -> bytes:
    """The public key of a certificate or private key."""
    try:
        return bytes(holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds a key of an unknown kind: {error}; make one with an EC key (prime256v1) or RSA") from None


# Checks.
def _check_size(shown: list[x509.Certificate], path: str) -> None:
    if len(shown) > LONGEST_CHAIN + 1:
        raise CertificateError(f"certfile {path} holds more than {LONGEST_CHAIN} certificates beside the first: leave out the rest")
    size = sum(len(each.public_bytes(Encoding.DER)) for each in shown)
    if size > MOST_SHOWN:
        raise CertificateError(f"the certificates in {path} have {size} bytes, and {MOST_SHOWN} are the most: use shorter ones")


def _check_dates(leaf: x509.Certificate, path: str, now: datetime.datetime) -> None:
    if now > leaf.not_valid_after_utc:
        raise CertificateError(f"the certificate in {path} has expired on {day(leaf.not_valid_after_utc)}: get a new one")
    if now < leaf.not_valid_before_utc:
        raise CertificateError(
            f"the certificate in {path} is not valid before {day(leaf.not_valid_before_utc)}: is this machine's clock right?"
        )


def day(moment: datetime.datetime) -> str:
    """A time as people are told it."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _rehearse(certificate: Certificate) -> None:
    """Both ends of a handshake in memory: what OpenSSL will not use (a key too short, a curve that TLS 1.3 lacks) is found here."""
    try:
        ends = [SSL.Connection(_context(certificate)), SSL.Connection(_context(certificate))]
        ends[0].set_connect_state()
        ends[1].set_accept_state()
        for end, other in (ends, ends[::-1], ends):
            _go_on(end, other)
    except SSL.Error as error:
        raise CertificateError(
            f"TLS 1.3 cannot use the certificate in {certificate.files.certfile}: {openssl_words(error)}; make one with an EC key "
            "(prime256v1), or RSA of at least 2048 bits"
        ) from None


def openssl_words(error: object) -> str:
    """What OpenSSL says in an exception of its own; empty for any other."""
    entries = error.args[0] if isinstance(error, SSL.Error) and error.args else ()
    return "; ".join(str(entry[2]) for entry in entries) if isinstance(entries, list) else ""


def _context(certificate: Certificate) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    certificate.show_in(context)
    return context


def _go_on(end: SSL.Connection, other: SSL.Connection) -> None:
    """One end takes its turn in the handshake."""
    try:
        end.do_handshake()
    except SSL.WantReadError:
        pass
    try:
        other.bio_write(end.bio_read(2**20))
    except SSL.WantReadError:
        pass  # it had nothing to say
