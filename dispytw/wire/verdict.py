"""Whether the certificate that the other end has shown is fit, and for which roles. TLS has proved that the end holds its key.

Without authorities it must be the very one that this end has. With authorities one of them must have issued it, and it must say what
it is for: by a role in its subjectAltName (``URI:dispytw:node``), or, for an end that was dialled, by the host name or address that
was dialled. An end that has dialled can only be known by its role: it may come from anywhere.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Sequence
from typing import Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from dispytw.wire.certificates import LONGEST_CHAIN, Certificate, day
from dispytw.wire.greeting import ROLES, Reason, Refused
from dispytw.wire.tls import is_nameless

#: How a role is written as a URI in a certificate's subjectAltName.
ROLE_PREFIX = "dispytw:"

#: Bits of the shortest RSA key.
LEAST_RSA = 2048

#: The roles in which an end may speak.
Roles = frozenset[str]

_EVERY_ROLE: Roles = frozenset(ROLES)
#: What an end that is known by its host name may be: whoever is dialled.
_DIALLED_ROLES: Roles = _EVERY_ROLE - {"client"}

#: OpenSSL's numbers for what has its own reason here (X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED).
_OF_OPENSSL = {9: Reason.TOO_EARLY, 10: Reason.EXPIRED}


class _Unfit(Exception):
    """Ends a judgement from wherever it is noticed that it must end."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.refused = Refused(reason, detail=detail)


def judge(
    own: Certificate,
    shown: Callable[[], Sequence[x509.Certificate]],
    dialled: str | None,
    now: datetime.datetime | None = None,
) -> Union[Roles, Refused]:
    """The roles in which the other end may speak; or why it may not.

    :param own: this end's certificate, which says what it wants.
    :param shown: gives what the other end has shown, its own first.
    :param dialled: the host name or address that was dialled; None if the other end has dialled.
    :param now: by default the time it is.
    """
    try:
        return _judged(own, shown(), dialled, now or datetime.datetime.now(datetime.timezone.utc))
    except _Unfit as unfit:
        return unfit.refused
    except Exception as error:  # whatever it is, it comes of what the other end has shown: doubled extensions, names that are none …
        return Refused(Reason.UNFIT, detail=f"it cannot be read ({type(error).__name__})")


def _judged(own: Certificate, shown: Sequence[x509.Certificate], dialled: str | None, now: datetime.datetime) -> Roles:
    if not shown or is_nameless(shown[0]):
        raise _Unfit(Reason.NO_CERTIFICATE)
    leaf = shown[0]
    if now > leaf.not_valid_after_utc:
        raise _Unfit(Reason.EXPIRED, f"on {day(leaf.not_valid_after_utc)}")
    if now < leaf.not_valid_before_utc:
        raise _Unfit(Reason.TOO_EARLY, f"before {day(leaf.not_valid_before_utc)}")
    if not own.authorities:
        if leaf != own.leaf:
            raise _Unfit(Reason.OTHER_CERTIFICATE)
        return _EVERY_ROLE
    _check_strength(own, shown)
    _check_issuer(own, shown, now)
    _check_use(leaf, ExtendedKeyUsageOID.CLIENT_AUTH if dialled is None else ExtendedKeyUsageOID.SERVER_AUTH)
    return _roles(leaf, dialled)


def _check_strength(own: Certificate, shown: Sequence[x509.Certificate]) -> None:
    """What is too weak to prove anything. OpenSSL would see to it in TLS, where we let every certificate pass."""
    if len(shown) > LONGEST_CHAIN + 1:
        raise _Unfit(Reason.UNFIT, f"it comes with more than {LONGEST_CHAIN} others")
    for each in shown:
        if each in own.authorities:
            continue
        key, digest = each.public_key(), each.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA:
            raise _Unfit(Reason.UNFIT, f"an RSA key of {key.key_size} bits is too short")
        if isinstance(digest, (hashes.MD5, hashes.SHA1)):
            raise _Unfit(Reason.UNFIT, f"signed by means of {digest.name}")


def _check_issuer(own: Certificate, shown: Sequence[x509.Certificate], now: datetime.datetime) -> None:
    """By OpenSSL. An authority is trusted as it stands in the cafile, whether or not another has issued it."""
    store = crypto.X509Store()
    store.set_time(now)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for authority in own.authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
    leaf, *chain = (crypto.X509.from_cryptography(each) for each in shown)
    try:
        crypto.X509StoreContext(store, leaf, chain).verify_certificate()
    except crypto.X509StoreContextError as error:
        number, _, words = error.errors
        raise _Unfit(_OF_OPENSSL.get(number, Reason.OTHER_AUTHORITY), str(words)) from None


def _check_use(leaf: x509.Certificate, wanted: x509.ObjectIdentifier) -> None:
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if wanted not in uses and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in uses:
        name = "clientAuth" if wanted == ExtendedKeyUsageOID.CLIENT_AUTH else "serverAuth"
        raise _Unfit(Reason.UNFIT, f"{name} is not in its extendedKeyUsage")


def _roles(leaf: x509.Certificate, dialled: str | None) -> Roles:
    """A certificate that names roles is for these only; one that does not must name the host."""
    roles = _named_roles(leaf)
    if roles:
        return roles
    if dialled is None:
        raise _Unfit(Reason.OTHER_NAME, "it names no role")
    if not _is_for(leaf, dialled):
        raise _Unfit(Reason.OTHER_NAME, f"it names neither {dialled!r} nor a role")
    return _DIALLED_ROLES


def _named_roles(leaf: x509.Certificate) -> Roles:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return frozenset(uri[len(ROLE_PREFIX) :] for uri in uris if uri.startswith(ROLE_PREFIX))


def _is_for(leaf: x509.Certificate, host: str) -> bool:
    """By RFC 9525, in its subjectAltName only."""
    host = host.partition("%")[0].rstrip(".")
    try:
        if _is_address(host):
            verify_certificate_ip_address(leaf, host)
        else:
            verify_certificate_hostname(leaf, host)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
