"""The node's state directory: who it is, which incarnation this is, and where everything lies. One daemon at a time.

Directories: ``run`` (sockets, logs and records of supervisors), ``spool`` (what outlives them: long bodies of outcomes, and
outcomes that nobody has kept), ``store`` (files by digest), ``work`` (one directory a computation), ``dest`` (directories that computations
share by name, or leave), ``kept`` (what computations have left on purpose), ``inbox`` (streams that came in).
The file ``journal`` holds what is owed. Mode 0700, held by flock for as long as the daemon lives.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Mapping

import attrs

from dispytw.errors import StateDirError

_PLACES = ("run", "spool", "store", "work", "dest", "kept", "inbox")


def default_path(port: int, environ: Mapping[str, str] = os.environ) -> str:
    """$STATE_DIRECTORY, else $XDG_STATE_HOME/dispytw/node-PORT, else the same below ~/.local/state."""
    if environ.get("STATE_DIRECTORY"):
        return environ["STATE_DIRECTORY"].split(":")[0]
    home = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "dispytw", f"node-{port}")


@attrs.frozen
class StateDir:
    """An open state directory.

    :ivar uid: 16 bytes, the same at each start.
    :ivar incarnation: raised by one at each start.
    """

    path: str
    uid: bytes
    incarnation: int
    _lock: int

    @classmethod
    def open(cls, path: str | None, port: int) -> StateDir:
        """Open, or make, the directory; raise the incarnation.

        :param path: None for the default.
        :raises StateDirError: when another daemon holds it, or it is not ours alone.
        """
        path = os.path.realpath(path or default_path(port))  # systemd gives its services a symlink
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            _check(path)
            lock = _locked(path)
            try:
                for place in _PLACES:
                    os.makedirs(os.path.join(path, place), mode=0o700, exist_ok=True)
                return cls(path, *_identity(path), lock)
            except BaseException:
                os.close(lock)
                raise
        except StateDirError:
            raise
        except OSError as error:
            raise StateDirError(f"state directory {path} cannot be used: {error}") from error

    @property
    def run(self) -> str:
        """Where supervisors live."""
        return os.path.join(self.path, "run")

    @property
    def spool(self) -> str:
        """Where outcomes lie that are owed."""
        return os.path.join(self.path, "spool")

    @property
    def journal(self) -> str:
        """The file that holds what is owed."""
        return os.path.join(self.path, "journal")

    @property
    def store(self) -> str:
        """Where files lie by their digests."""
        return os.path.join(self.path, "store")

    @property
    def work(self) -> str:
        """Where jobs run."""
        return os.path.join(self.path, "work")

    @property
    def dest(self) -> str:
        """Where jobs run whose directory has a name of its own, or is left."""
        return os.path.join(self.path, "dest")

    @property
    def kept(self) -> str:
        """Where that lies by digest which computations have left, and the names of directories that they have."""
        return os.path.join(self.path, "kept")

    @property
    def inbox(self) -> str:
        """Where streams come in."""
        return os.path.join(self.path, "inbox")

    def close(self) -> None:
        """Let another daemon have it."""
        os.close(self._lock)


def _check(path: str) -> None:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise StateDirError(f"state directory {path} is no directory")
    if found.st_uid != os.geteuid():
        raise StateDirError(f"state directory {path} belongs to another user: name one of your own with --state-dir")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise StateDirError(f"state directory {path} can be written by others: chmod 700 it, or name another with --state-dir")
    os.chmod(path, 0o700)


def _locked(path: str) -> int:
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StateDirError(
            f"state directory {path} is in use by the node with process id {holder}; stop it, or name another with --state-dir"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except FileNotFoundError:
        return None


def _write_durably(path: str, content: bytes) -> None:
    with open(path + ".part", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _identity(path: str) -> tuple[bytes, int]:
    """Uid and incarnation. If either file is torn this is a new node: what an earlier one accepted must not be taken for ours."""
    uid, last = _known_uid(os.path.join(path, "uid")), _last_incarnation(os.path.join(path, "incarnation"))
    if uid is None or last is None:
        uid, last = secrets.token_bytes(16), 0
        _write_durably(os.path.join(path, "uid"), uid.hex().encode("ascii"))
    _write_durably(os.path.join(path, "incarnation"), b"%d" % (last + 1))
    return uid, last + 1


def _known_uid(place: str) -> bytes | None:
    try:
        uid = bytes.fromhex((_read(place) or b"").decode("ascii"))
    except ValueError:
        return None
    return uid if len(uid) == 16 else None


def _last_incarnation(place: str) -> int | None:
    found = _read(place) or b""
    return int(found) if found.isdigit() else None
