"""Who are you, before anything else: the greeting, without any I/O.

Both ends say hello, the initiator proves first, then the acceptor. Every frame has 96 bytes, and each of them is checked.
The proof is SPAKE2 (RFC 9382) with a password derived from the shared secret *and* from what only the two ends of this very
TLS connection know (the exporter, RFC 5705). Who stands in the middle has two connections, so two exporters, and fails;
and nobody learns anything from which to guess the secret offline. Then each end confirms both hellos, with the roles and
uids in them, by HMAC. Where certificates are shown they have been judged before the first frame (`dispytw.wire.verdict`); with no
secret beside them the HMAC's key comes from the exporter alone. With neither (``--insecure``) the same frames prove nothing.

    initiator                                acceptor
    HELLO (uid, role, SPAKE2 message)  ->
                                       <-    HELLO (uid, role, SPAKE2 message)
    PROOF                              ->
                                       <-    PROOF
    a link                                   a link

A REFUSAL may stand in place of any frame: a hint for people, which proves nothing. What an end makes of what
comes, by what it waits for:

    ============  ==========================  ============================  =============
    it waits for  HELLO                       PROOF                         anything else
    ============  ==========================  ============================  =============
    HELLO         acceptor: answer HELLO      refuse                        refuse
                  initiator: answer PROOF
    PROOF         refuse                      acceptor: answer PROOF, open  refuse
                                              initiator: open
    ============  ==========================  ============================  =============

The acceptor opens before it can know that its own proof arrives. If that is cut or garbled the initiator never opens, and
answers nothing.

A frame: magic (6), wire version (2), kind (1), side (1), body (70), checksum (16). The first eight bytes mean the same in all
versions for ever. The checksum stops garbled bytes where nothing is proved, and before anything costly is computed.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable
from typing import Any, Union

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B

from dispytw.wire import WIRE_VERSION
from dispytw.wire.credentials import Credential, certificate_of, secret_of

MAGIC = b"dispyT"
#: Bytes of a frame.
FRAME = 96

_HEAD = struct.Struct(">6sHcc")
_HELLO = struct.Struct(">BB16s33s")
_CHECKSUM = 16
_BODY = FRAME - _HEAD.size - _CHECKSUM

_KIND_HELLO, _KIND_PROOF, _KIND_REFUSAL = b"H", b"P", b"R"
_INITIATOR, _ACCEPTOR, _NO_SIDE = b"I", b"A", b"-"

ROLES = {"client": 1, "node": 2, "scheduler": 3, "relay": 4}
_ROLE_NAMES = {number: name for name, number in ROLES.items()}

#: How TLS begins: the first byte of a handshake or an alert, and the major version.
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


#: What an end may use, by the number in its hello.
_MODES = {0: "neither secret nor certificate", 1: "a secret", 2: "a certificate", 3: "a secret and a certificate"}


def mode_of(credential: Credential) -> int:
    """What the credential wants the other end to use, as it is said in a hello."""
    return (secret_of(credential) is not None) + 2 * (certificate_of(credential) is not None)


class Reason(enum.IntEnum):
    """Why an end does not open. The numbers travel: they are never given another meaning."""

    SECRET = 1  #: the other end does not prove our secret
    VERSION = 2  #: it speaks another version of the wire
    MODE = 3  #: one end wants a secret or a certificate, the other does not
    BUSY = 4  #: too many greetings just now
    NONSENSE = 5  #: not the words of a greeting
    REFLECTED = 6  #: our own words, come back
    NO_CERTIFICATE = 7  #: the other end has shown no certificate
    EXPIRED = 8  #: its certificate is not valid any more
    TOO_EARLY = 9  #: its certificate is not valid yet
    OTHER_CERTIFICATE = 10  #: it is not the one that we have, and has to be
    OTHER_AUTHORITY = 11  #: no authority of ours has issued it
    OTHER_NAME = 12  #: it is for another host, or another role
    UNFIT = 13  #: it is not to be used like this
    NO_KEY = 14  #: the other end does not hold its key
    OLD_TLS = 15  #: the other end does not speak TLS 1.3


@attrs.frozen
class Opened:
    """The other end has proved itself.

    :param uid: its uid, 16 bytes.
    :param role: client, node, scheduler or relay.
    :param rest: bytes that came after the greeting: the first of what follows.
    """

    uid: bytes
    role: str
    rest: bytes


@attrs.frozen
class Refused:
    """No link.

    :param reason: why.
    :param by_peer: whether the other end says so: a hint, nothing that is proved.
    :param version: the other end's wire version, where that is the reason and it is known, else 0.
    :param detail: what more this end knows, for people; or empty.
    """

    reason: Reason
    by_peer: bool = False
    version: int = 0
    detail: str = attrs.field(default="", eq=False)


Result = Union[Opened, Refused, None]


class _Refusal(Exception):
    """Ends a greeting from wherever it is noticed that it must end."""

    def __init__(self, reason: Reason, by_peer: bool = False, version: int = 0, detail: str = "") -> None:
        super().__init__(reason)
        self.refused = Refused(reason, by_peer, version, detail)


def _frame(kind: bytes, side: bytes, body: bytes) -> bytes:
    checked = _HEAD.pack(MAGIC, WIRE_VERSION, kind, side) + body.ljust(_BODY, b"\0")
    return checked + _checksum(checked)


def _checksum(checked: bytes) -> bytes:
    return hashlib.sha256(checked).digest()[:_CHECKSUM]


def refusal(reason: Reason) -> bytes:
    """The frame that says why there is no link."""
    return _frame(_KIND_REFUSAL, _NO_SIDE, bytes([reason]))


class Greeting:
    """One end of one greeting.

    :param initiator: whether this end has dialled.
    :param credential: what proves both ends.
    :param uid: this end's uid, 16 bytes.
    :param role: this end's role, a key of `ROLES`.
    :param exporter: what only the two ends of this TLS connection know; empty without TLS.
    :param admit: asked once, when a whole valid hello has come and before SPAKE2 is computed, with the role that it claims; None
        to go on, else why not.
    """

    def __init__(
        self,
        initiator: bool,
        credential: Credential,
        uid: bytes,
        role: str,
        exporter: bytes,
        admit: Callable[[str], Reason | None] = lambda role: None,
    ) -> None:
        self._initiator = initiator
        self._side, self._other_side = (_INITIATOR, _ACCEPTOR) if initiator else (_ACCEPTOR, _INITIATOR)
        self._credential = credential
        self._uid = uid
        self._role = role
        self._exporter = exporter
        self._admit = admit
        self._awaited = _KIND_HELLO
        self._buffer = b""
        self._hellos = b""
        self._key = b""
        self._pake: Any = None
        self._peer: tuple[bytes, str] = (b"", "")
        self._over = False

    def start(self) -> bytes:
        """The first bytes to send: the initiator's hello; nothing from an acceptor."""
        if not self._initiator:
            return b""
        self._hellos = self._hello()
        return self._hellos

    def receive(self, data: bytes) -> tuple[bytes, Result]:
        """Bytes have come.

        :returns: bytes to send, and how the greeting has ended, or None while it has not.
        """
        if self._over:
            return b"", None
        self._buffer += data
        answer = b""
        try:
            self._check_head()
            while len(self._buffer) >= FRAME:
                answer += self._read_frame()
                if self._over:
                    return answer, Opened(*self._peer, rest=self._buffer)
                self._check_head()
        except _Refusal as ended:
            self._over = True
            return answer + self._told(ended.refused), ended.refused
        return answer, None

    def _told(self, refused: Refused) -> bytes:
        """What the other end is told: nothing if it knows, or is no dispytw program."""
        if refused.by_peer or refused.reason is Reason.NONSENSE or self._buffer[:2] in _TLS_RECORDS:
            return b""
        return refusal(refused.reason)

    def _check_head(self) -> None:
        """The first eight bytes, as far as they are there, mean the same in every version."""
        head = self._buffer[:8]
        if len(head) >= 2 and head[:2] in _TLS_RECORDS:
            raise _Refusal(Reason.MODE)
        if head[:6] != MAGIC[: len(head)]:
            raise _Refusal(Reason.NONSENSE)
        version = int.from_bytes(head[6:], "big")
        if len(head) == 8 and version != WIRE_VERSION:
            raise _Refusal(Reason.VERSION, version=version)

    def _read_frame(self) -> bytes:
        """Take a frame from the buffer; the bytes to answer."""
        frame, self._buffer = self._buffer[:FRAME], self._buffer[FRAME:]
        if not hmac.compare_digest(frame[-_CHECKSUM:], _checksum(frame[:-_CHECKSUM])):
            raise _Refusal(Reason.NONSENSE)
        _, _, kind, side = _HEAD.unpack_from(frame)
        body = frame[_HEAD.size : -_CHECKSUM]
        if kind == _KIND_REFUSAL:
            raise _Refusal(Reason(body[0]) if body[0] in list(Reason) else Reason.NONSENSE, by_peer=True)
        if side == self._side:
            raise _Refusal(Reason.REFLECTED)
        if side != self._other_side or kind != self._awaited:
            raise _Refusal(Reason.NONSENSE)
        return self._read_hello(frame, body) if kind == _KIND_HELLO else self._read_proof(body)

    # Hello.
    def _hello(self) -> bytes:
        secret = secret_of(self._credential)
        message = secrets.token_bytes(33)
        if secret is not None:
            side = SPAKE2_A if self._initiator else SPAKE2_B
            self._pake = side(self._derived(b"dispytw greeting password", secret.key), idA=b"initiator", idB=b"acceptor")
            message = self._pake.start()
        return _frame(_KIND_HELLO, self._side, _HELLO.pack(mode_of(self._credential), ROLES[self._role], self._uid, message))

    def _derived(self, purpose: bytes, key: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=self._exporter, info=purpose).derive(key)

    def _read_hello(self, frame: bytes, body: bytes) -> bytes:
        mode, role, uid, message = _HELLO.unpack_from(body)
        if mode not in _MODES or role not in _ROLE_NAMES or any(body[_HELLO.size :]):
            raise _Refusal(Reason.NONSENSE)
        mine = mode_of(self._credential)
        if mode != mine:
            raise _Refusal(Reason.MODE, detail=f"it uses {_MODES[mode]}, this end {_MODES[mine]}")
        if uid == self._uid:
            raise _Refusal(Reason.REFLECTED)
        self._peer, self._awaited = (uid, _ROLE_NAMES[role]), _KIND_PROOF
        self._ask_admission()
        answer = b"" if self._initiator else self._hello()
        self._hellos += frame + answer
        self._key = self._agreed_key(message)
        return self._proof(_INITIATOR) if self._initiator else answer

    def _ask_admission(self) -> None:
        role = self._peer[1]
        objection = self._admit(role)
        if objection is not None:
            detail = f"it is not for a {role}, as which it speaks" if objection is Reason.OTHER_NAME else ""
            raise _Refusal(objection, detail=detail)

    def _agreed_key(self, message: bytes) -> bytes:
        if self._pake is None:
            return self._derived(b"dispytw greeting under certificates", self._exporter) if self._exporter else b"insecure"
        try:
            return bytes(self._pake.finish(message))
        except Exception:  # whatever it is, it comes of what the other end sent: a point not on the curve, our own message …
            raise _Refusal(Reason.SECRET) from None

    # Proof.
    def _proof(self, side: bytes) -> bytes:
        return _frame(_KIND_PROOF, side, hmac.digest(self._key, b"dispytw proof " + side + self._hellos, "sha256"))

    def _read_proof(self, body: bytes) -> bytes:
        expected = self._proof(self._other_side)[_HEAD.size : -_CHECKSUM]
        if not hmac.compare_digest(body, expected):
            raise _Refusal(Reason.NONSENSE if self._pake is None else Reason.SECRET)
        self._over = True
        return b"" if self._initiator else self._proof(_ACCEPTOR)
