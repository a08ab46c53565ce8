"""What an end proves itself by. Secrets: where they come from, how they are stretched, and the file that a user's processes share.

A certificate (`dispytw.wire.certificates`) may stand in a secret's place, or beside it. A secret comes from a file, a systemd
credential, the environment or an argument, in this order; with none of them it is the user's own file, made at first use. Generated
secrets hold 160 bits and skip the stretch; any other goes through scrypt (RFC 7914), once in a process.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from typing import Union

import attrs

from dispytw.errors import AuthError
from dispytw.wire.certificates import Certificate

#: Bytes of the longest secret.
LONGEST = 4096

_GENERATED = "dtw1-"
_GENERATED_FORM = re.compile(rb"dtw1-[a-z2-7]{32}")
_SALT = b"dispytw secret, stretched once"


@attrs.frozen
class Secret:
    """A shared secret, stretched.

    :param key: 32 bytes.
    """

    key: bytes = attrs.field(repr=False)


@attrs.frozen
class Certified:
    """A certificate, and perhaps a secret beside it: then both must pass.

    :param certificate: what this end shows, and wants to be shown.
    :param secret: what both ends must hold as well; None for nothing more.
    """

    certificate: Certificate
    secret: Secret | None = None


@attrs.frozen
class Insecure:
    """No proof, no encryption: only when said explicitly."""


INSECURE = Insecure()

#: What an end proves, and wants proved.
Credential = Union[Secret, Certified, Insecure]


def secret_of(credential: Credential) -> Secret | None:
    """The secret in a credential."""
    if isinstance(credential, Certified):
        return credential.secret
    return credential if isinstance(credential, Secret) else None


def certificate_of(credential: Credential) -> Certificate | None:
    """The certificate in a credential."""
    return credential.certificate if isinstance(credential, Certified) else None


def new_secret() -> str:
    """A secret of 160 random bits, in a form that is recognised."""
    return _GENERATED + base64.b32encode(secrets.token_bytes(20)).decode("ascii").lower()


def secret_credential(secret: str) -> Secret:
    """The credential that a secret makes; the first time takes about 0.1 s, unless it was generated.

    :raises ValueError: for an empty one.
    """
    if not secret:
        raise ValueError("the secret is empty")
    return Secret(stretch(secret.encode("utf-8", "surrogateescape")))


@functools.lru_cache(maxsize=64)
def stretch(secret: bytes) -> bytes:
    """A key of 32 bytes that is slow to guess: scrypt for what people make up, one hash for what was generated."""
    if _GENERATED_FORM.fullmatch(secret):
        return hashlib.sha256(_SALT + secret).digest()
    return hashlib.scrypt(secret, salt=_SALT, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)


# Files.
def read_secret_file(path: str) -> str:
    """The secret in a file that nobody else may read; one newline at its end is no part of it.

    :raises AuthError: when it belongs to another user, others may read it, or it holds no secret.
    :raises OSError: when it cannot be read.
    """
    return _read(path, forbidden=0o077)


def _read(path: str, forbidden: int) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        found = os.fstat(file.fileno())
        if found.st_uid not in (os.geteuid(), 0):
            raise AuthError(f"{path} belongs to another user: a secret must be in a file of your own")
        if stat.S_IMODE(found.st_mode) & forbidden:
            raise AuthError(f"{path} can be read by others: chmod 600 {path}")
        secret = file.read(LONGEST + 1)
    secret = secret[:-1] if secret.endswith("\n") else secret
    if not secret:
        raise AuthError(f"{path} is empty: write a secret into it")
    if len(secret) > LONGEST:
        raise AuthError(f"{path} is longer than {LONGEST} characters: is it the right file?")
    return secret


def user_secret_path(environ: Mapping[str, str] = os.environ) -> str:
    """$XDG_CONFIG_HOME/dispytw/secret, or the same below ~/.config; a relative $XDG_CONFIG_HOME does not count, as XDG demands."""
    config = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config):
        config = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.join(config, "dispytw", "secret")


def user_secret(environ: Mapping[str, str] = os.environ) -> str:
    """The secret that all processes of this user share; made at first use, so that two first users agree.

    :raises AuthError: when others may read it.
    :raises OSError: when it can be neither read nor made.
    """
    path = user_secret_path(environ)
    if not os.path.exists(path):
        _make_secret_file(path)
    return read_secret_file(path)


def _make_secret_file(path: str) -> None:
    """A file is written whole under a name of its own, then linked: there is never half a secret to be read."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    mine = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(new_secret() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(mine, path)
    except FileExistsError:
        pass  # another first user was faster: its secret is the one
    finally:
        os.unlink(mine)


# Choice.
def explicit_secret(argument: str = "", file: str | None = None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The secret that somebody has chosen, or None.

    :param argument: given on a command line or by a program; the last that counts.
    :param file: path of a file; the first that counts.
    :raises AuthError: when a file that was named can be read by others, or is empty.
    :raises OSError: when it cannot be read.
    """
    if file:
        return read_secret_file(file)
    systemd = os.path.join(environ.get("CREDENTIALS_DIRECTORY", ""), "dispytw_secret")
    if environ.get("CREDENTIALS_DIRECTORY") and os.path.exists(systemd):
        return _read(systemd, forbidden=0o007)  # systemd lets a service's user read by an ACL, whose mask shows as group bits
    if environ.get("DISPYTW_SECRET_FILE"):
        return read_secret_file(environ["DISPYTW_SECRET_FILE"])
    return environ.get("DISPYTW_SECRET") or argument or None


def credential_from(
    argument: str = "",
    file: str | None = None,
    environ: Mapping[str, str] = os.environ,
    certificate: Certificate | None = None,
) -> Credential:
    """The credential of whoever says this: a certificate, an explicit secret, or both; with neither it is the user's own secret.

    Other parameters and errors are those of `explicit_secret`.
    """
    chosen = explicit_secret(argument, file, environ)
    secret = secret_credential(chosen) if chosen else None
    if certificate is not None:
        return Certified(certificate, secret)
    return secret or secret_credential(user_secret(environ))
