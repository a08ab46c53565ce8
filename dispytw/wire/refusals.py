"""Why there is no link, in words: what failed, with whom, and what to do. Both ends say it."""

from __future__ import annotations

from dispytw.errors import AuthError, DispytwError, VersionError, WireError
from dispytw.wire import WIRE_VERSION
from dispytw.wire.greeting import Reason, Refused


def explain(refused: Refused, where: str) -> DispytwError:
    """The exception for a refusal.

    :param where: the other end's address.
    """
    said = "it says that " if refused.by_peer else ""
    if refused.reason is Reason.SECRET:
        return AuthError(
            f"wrong secret: {said}this end and {where} do not hold the same secret; give both the same, by secret= or "
            "--secret-file (without either, both must run as the same user). If they do, somebody stands between them"
        )
    if refused.reason is Reason.VERSION:
        theirs = str(refused.version) if refused.version else "another"
        return VersionError(f"{where} speaks wire version {theirs}, this end {WIRE_VERSION}: install the same dispytw on both")
    if refused.reason is Reason.MODE:
        return AuthError(f"{where} and this end do not both use a secret: start both with --insecure, or neither")
    return WireError(f"{where} {_WORDS[refused.reason]}")


_WORDS = {
    Reason.BUSY: "is greeted too often just now; it will be tried again",
    Reason.NONSENSE: "is no dispytw program, or its words were garbled on the way",
    Reason.REFLECTED: "sends our own words back: is it this very process?",
}


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
