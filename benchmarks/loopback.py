"""A network of our own that has nothing but loopback.

Some contestants speak or listen beyond 127.0.0.1 even if told not to: dispy broadcasts, ray listens everywhere. In a network namespace
of their own they reach nobody, and nobody reaches them; nor do their fixed ports meet those of other programs.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x1 | 0x40


def enter() -> None:
    """Move this process, and what it will start, into a new network namespace with loopback up.

    :raises OSError: when the machine does not allow that; nothing has changed then.
    """
    user, group = os.getuid(), os.getgid()
    _unshare(_CLONE_NEWNET if user == 0 else _CLONE_NEWNET | _CLONE_NEWUSER)
    if user != 0:
        # Inside we are who we were, by the only mapping that needs no privilege.
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
