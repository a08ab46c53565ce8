"""What opens a node, as it stands in a recover file: a stretched key but not the secret it was made of, paths but not what lies there."""

from __future__ import annotations

from typing import Any, get_args

import attrs

from dispytw.errors import WireError
from dispytw.wire.certificates import Files, load_certificate
from dispytw.wire.credentials import Certified, Credential, Secret

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Credential)}


def _certified(files: list[Any], key: bytes | None) -> Certified:
    return Certified(load_certificate(Files(*files)), None if key is None else Secret(key))


_KINDS[Certified.__name__] = _certified


def login_entry(credential: Credential) -> list[Any]:
    """A credential as a list: its kind, then its fields; of a certificate the paths, of a secret the stretched key."""
    if isinstance(credential, Certified):
        key = None if credential.secret is None else credential.secret.key
        return [Certified.__name__, list(attrs.astuple(credential.certificate.files)), key]
    return [type(credential).__name__, *attrs.astuple(credential, recurse=False)]


def login_from(entry: Any) -> Credential:
    """The credential that `login_entry` wrote down.

    :raises WireError: for anything else.
    :raises CertificateError: when a certificate cannot be used any more.
    """
    if not isinstance(entry, list) or not entry or entry[0] not in _KINDS:
        raise WireError(f"a login of a kind that is not known here: {entry[0] if isinstance(entry, list) and entry else entry!r:.40}")
    credential: Credential = _KINDS[entry[0]](*entry[1:])
    return credential
