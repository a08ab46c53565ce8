"""Keeps the test process on this machine: a socket that is told to go elsewhere raises, and the trespass is remembered.

Daemons and programs that tests start are watched as well (`CUSTOM`), and what they attempt fails the test at its end, even if they
swallowed the error. What has to send elsewhere does so in a network namespace of its own (`tests.functional.networks`).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

#: What was attempted since somebody last looked, one line each.
trespasses: list[str] = []

_WATCHED = ("connect", "connect_ex", "sendto", "sendmsg")

#: The environment variable that names the file in which another process writes its trespasses down.
REPORT = "DISPYTW_TEST_TRESPASSES"
#: What such a process runs first, as its ``sitecustomize``: importing the tests puts up the guard.
CUSTOM = "import tests\n"


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
            _report()
            raise LeftLoopbackError(f"a test tried to leave this machine: {trespasses[-1]}")
        return original(self, *arguments)

    method.__name__ = name
    return method


def _report() -> None:
    if REPORT in os.environ:
        with open(os.environ[REPORT], "a", encoding="utf-8") as report:
            report.write(f"process {os.getpid()} ({' '.join(sys.argv)}): {trespasses[-1]}\n")
