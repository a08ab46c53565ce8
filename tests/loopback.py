"""Keeps the test process on this machine: a socket that is told to go elsewhere raises, and the trespass is remembered.

Daemons and programs that tests start are processes of their own and not watched; they are told to use 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

#: What was attempted since somebody last looked, one line each.
trespasses: list[str] = []

_WATCHED = ("connect", "connect_ex", "sendto")


class LeftLoopbackError(PermissionError):
    """A test tried to send something to another machine."""


def is_here(family: int, address: object) -> bool:
    """Whether a socket of this family reaches nothing but this machine at this address."""
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return True
    if address[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def install() -> None:
    """From now on every socket of this process stays on this machine. Saying it twice changes nothing."""
    for name in _WATCHED:
        if name not in vars(socket.socket):
            setattr(socket.socket, name, _watched(name, getattr(socket.socket, name)))


def _watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: socket.socket, *arguments: Any) -> Any:
        if not is_here(self.family, arguments[-1]):
            trespasses.append(f"{name} to {arguments[-1]}")
            raise LeftLoopbackError(f"a test tried to leave this machine: {trespasses[-1]}")
        return original(self, *arguments)

    method.__name__ = name
    return method
