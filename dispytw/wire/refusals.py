"""Why there is no link, in words: what failed, with whom, and what to do. Both ends say it."""

from __future__ import annotations

import re

from dispytw.errors import AuthError, DispytwError, VersionError, WireError
from dispytw.wire import WIRE_VERSION
from dispytw.wire.greeting import Reason, Refused


def explain(refused: Refused, where: str) -> DispytwError:
    """The exception for a refusal.

    :param where: the other end's address.
    """
    if refused.reason is Reason.VERSION:
        theirs = str(refused.version) if refused.version else "another"
        return VersionError(f"{where} speaks wire version {theirs}, this end {WIRE_VERSION}: install the same dispytw on both")
    if refused.reason in _CERTIFICATE_WORDS:
        return AuthError(_about_certificate(refused, where))
    if refused.reason in _PROOF_WORDS:
        said = "it says that " if refused.by_peer else ""
        return AuthError(_PROOF_WORDS[refused.reason].format(where=where, said=said, detail=_brackets(refused.detail)))
    return WireError(f"{where} {_WORDS[refused.reason]}")


_PROOF_WORDS = {
    Reason.SECRET: (
        "wrong secret: {said}this end and {where} do not hold the same secret; give both the same, by secret= or --secret-file "
        "(without either, both must run as the same user). If they do, somebody stands between them"
    ),
    Reason.MODE: (
        "{where} and this end do not prove themselves alike{detail}: start both with --insecure, or neither; give both a secret, or "
        "neither; and both a certificate, or neither"
    ),
    Reason.OLD_TLS: (
        "{where} does not speak TLS 1.3: if it runs with --insecure, leave that out; if a proxy stands before it, that must speak "
        "TLS 1.3, or pass everything on untouched"
    ),
}

_WORDS = {
    Reason.BUSY: "is greeted too often just now; it will be tried again",
    Reason.NONSENSE: "is no dispytw program, or its words were garbled on the way",
    Reason.REFLECTED: "sends our own words back: is it this very process?",
}

#: What is the matter with a certificate, and what to do about it.
_CERTIFICATE_WORDS = {
    Reason.NO_CERTIFICATE: ("there is none", "give both ends one, by certfile= and keyfile= or --certfile and --keyfile, or neither"),
    Reason.EXPIRED: ("it has expired", "get a new one and start that end again; if it is new, look at the clocks"),
    Reason.TOO_EARLY: ("it is not valid yet", "look at the clocks of both machines"),
    Reason.OTHER_CERTIFICATE: (
        "it is not the one that the other end has",
        "without a cafile both ends need the same certfile and keyfile. If they have, somebody stands between them",
    ),
    Reason.OTHER_AUTHORITY: (
        "no authority in the other end's cafile has issued it",
        "get one from that authority, or give the other end the cafile of this one's",
    ),
    Reason.OTHER_NAME: (
        "it is for another host or role",
        "issue it with a subjectAltName of URI:dispytw:client for programs, of URI:dispytw:node or the host's name for nodes",
    ),
    Reason.UNFIT: ("it cannot be used for this", "issue another, for TLS servers and clients alike"),
    Reason.NO_KEY: ("its private key is not there", "if the files of that end are in order, somebody shows a certificate that is not his"),
}


def _about_certificate(refused: Refused, where: str) -> str:
    what, fix = _CERTIFICATE_WORDS[refused.reason]
    whose = f"{where} refuses the certificate of this end" if refused.by_peer else f"the certificate of {where} is refused"
    return f"{whose}: {what}{_brackets(refused.detail)}; {fix}"


def _brackets(detail: str) -> str:
    return f" ({detail[:200]})" if detail else ""


#: What OpenSSL says of an end's certificate or its TLS, and what that means. An alert is what the other end says.
_TLS_WORDS = (
    (r"alert certificate required", Reason.NO_CERTIFICATE, True),
    (r"alert certificate expired", Reason.EXPIRED, True),
    (r"alert unknown ca", Reason.OTHER_AUTHORITY, True),
    (r"alert (bad certificate|certificate unknown|certificate revoked|unsupported certificate|access denied)", Reason.UNFIT, True),
    (r"alert decrypt error", Reason.NO_KEY, True),
    (r"bad signature", Reason.NO_KEY, False),
    (r"alert protocol version|unsupported protocol|unsupported version|wrong ssl version", Reason.OLD_TLS, False),
)


def refused_by_tls(words: str, certified: bool) -> Refused | None:
    """What a failure of TLS means, if it is a refusal. A TLS 1.3 client learns of one only when it reads for the first time.

    :param words: what OpenSSL says.
    :param certified: whether this end uses a certificate: without one, nobody can have refused it but for there being none.
    """
    for pattern, reason, by_peer in _TLS_WORDS:
        if re.search(pattern, words, re.IGNORECASE) and (certified or reason in (Reason.NO_CERTIFICATE, Reason.OLD_TLS)):
            return Refused(reason, by_peer, detail=words if reason is Reason.UNFIT else "")
    return None


def cut_short(where: str, secure: bool, began: bool, why: str) -> WireError:
    """The exception for a connection that was closed before there was a link.

    :param where: the other end's address.
    :param secure: whether this end wants TLS.
    :param began: whether the greeting had begun: TLS stood, where wanted.
    :param why: what the connection says.
    """
    if secure and not began:
        hint = "is it a dispytw program, and not one with --insecure?"
    elif secure:
        hint = "it may have too many connections; it will be tried again"
    else:
        hint = "if it wants a secret, leave --insecure out"
    return WireError(f"{where} was gone before the greeting was over; {hint} ({why[:200]})")


def too_slow(where: str, seconds: float) -> WireError:
    """The exception for an end that says too little for too long."""
    return WireError(f"{where} did not greet within {seconds:.0f} s: is it a dispytw program?")
