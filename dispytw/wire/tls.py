"""TLS for the greeting: version 1.3 only.

An end with a certificate of its own shows that, whether it has dialled or was dialled. An end without shows one made at start when
it is dialled, which proves nothing: the greeting does. TLS itself lets every certificate pass whose holder has its key. Whether it
is fit is judged as soon as the handshake is over, before a word of the greeting (`dispytw.wire.doorway`), so that both ends can be
told the reason.
"""

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
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from dispytw.wire.certificates import Certificate

#: The name in a certificate made at start.
NAMELESS = "dispytw without a certificate"

_EXPORTER = b"EXPORTER-dispytw-greeting"
_MADE = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_CENTURY = datetime.timedelta(days=36500)


@implementer(IOpenSSLContextFactory)
class ContextFactory:
    """What Twisted asks for a context.

    :param server: whether for the end that was dialled.
    :param certificate: this end's own; None for none.
    """

    def __init__(self, server: bool, certificate: Certificate | None = None) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_verify(SSL.VERIFY_NONE if certificate is None else SSL.VERIFY_PEER, lambda *_: True)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)  # every connection shows its certificate anew
        if certificate is not None:
            certificate.show_in(context)
        elif server:
            key, nameless = _own_certificate()
            context.use_privatekey(key)
            context.use_certificate(nameless)
        self._context = context

    def getContext(self) -> SSL.Context:
        """Twisted's name."""
        return self._context


@functools.lru_cache(maxsize=1)
def _own_certificate() -> tuple[Any, Any]:
    """This process's key and certificate, in memory only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMELESS)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_MADE).not_valid_after(_MADE + _CENTURY)
    return key, builder.sign(key, hashes.SHA256())


def is_nameless(certificate: x509.Certificate) -> bool:
    """Whether it says that it was made at start: a hint about an end that has no certificate."""
    return [each.value for each in certificate.subject] == [NAMELESS]


@functools.lru_cache(maxsize=64)
def context_factory(server: bool, certificate: Certificate | None) -> ContextFactory:
    """One context for each side of this process and each certificate."""
    return ContextFactory(server, certificate)


class _Wrapping(TLSMemoryBIOFactory):
    """Writes at once: boxes are gathered before they are written, and another turn of the reactor would only make each of them late."""

    protocol = TLSMemoryBIOProtocol


def under_tls(factory: Any, server: bool, clock: Any, certificate: Certificate | None = None) -> Any:
    """A factory whose connections are those of the given one, under TLS.

    :param server: whether for the end that was dialled.
    :param clock: a reactor or `twisted.internet.task.Clock`; Twisted would take the global reactor.
    :param certificate: this end's own; None for none.
    """
    context: Any = context_factory(server, certificate)
    return _Wrapping(context, not server, factory, clock)


def exporter(transport: Any) -> bytes:
    """What only the two ends of this connection know, 32 bytes (RFC 5705)."""
    return bytes(transport.getHandle().export_keying_material(_EXPORTER, 32))


def shown(transport: Any) -> list[x509.Certificate]:
    """The certificates that the other end has shown, its own first; its key is proved, and nothing else. Empty if it has shown none.

    :raises ValueError: for one that cannot be read.
    """
    handle = transport.getHandle()
    leaf = handle.get_peer_certificate(as_cryptography=True)
    if leaf is None:
        return []
    chain = handle.get_peer_cert_chain(as_cryptography=True) or []
    return [leaf, *(each for each in chain if each != leaf)]


def has_begun(transport: Any) -> bool:
    """Whether the other end has said the first word of TLS."""
    return bool(transport.getHandle().get_state_string() != b"before SSL initialization")
