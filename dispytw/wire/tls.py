"""TLS for the greeting: version 1.3 only, with a certificate made at start that proves nothing by itself (the greeting does)."""

from __future__ import annotations

import datetime
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

_EXPORTER = b"EXPORTER-dispytw-greeting"
_MADE = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_CENTURY = datetime.timedelta(days=36500)


@implementer(IOpenSSLContextFactory)
class ContextFactory:
    """What Twisted asks for a context.

    :param server: whether for the end that was dialled, which shows the certificate.
    """

    def __init__(self, server: bool) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if server:
            key, certificate = _own_certificate()
            context.use_privatekey(key)
            context.use_certificate(certificate)
        self._context = context

    def getContext(self) -> SSL.Context:
        """Twisted's name."""
        return self._context


@functools.lru_cache(maxsize=1)
def _own_certificate() -> tuple[Any, Any]:
    """This process's key and certificate, in memory only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dispytw")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_MADE).not_valid_after(_MADE + _CENTURY)
    return key, builder.sign(key, hashes.SHA256())


@functools.lru_cache(maxsize=2)
def context_factory(server: bool) -> ContextFactory:
    """One context for each side of this process."""
    return ContextFactory(server)


def under_tls(factory: Any, server: bool, clock: Any) -> Any:
    """A factory whose connections are those of the given one, under TLS.

    :param server: whether for the end that was dialled.
    :param clock: a reactor or `twisted.internet.task.Clock`, which gathers small writes.
    """
    context: Any = context_factory(server)
    return TLSMemoryBIOFactory(context, not server, factory, clock)


def exporter(transport: Any) -> bytes:
    """What only the two ends of this connection know, 32 bytes (RFC 5705)."""
    return bytes(transport.getHandle().export_keying_material(_EXPORTER, 32))


def has_begun(transport: Any) -> bool:
    """Whether the other end has said the first word of TLS."""
    return bool(transport.getHandle().get_state_string() != b"before SSL initialization")
