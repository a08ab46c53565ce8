"""Several machines on one cable, each a network namespace of this one: what they send reaches them and nobody else.

In ``setUp``, after the test's `Daemons`: ``self.network = Network(self.daemons, self, 3)``. Then ``self.network.node(1, …)`` starts a node on
the machine with the address ``10.77.0.2``, and ``self.network.program(0, source)`` a program on that with ``10.77.0.1``. Where no
namespaces can be made `obstacle` says why.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import unittest
from collections.abc import Sequence
from typing import Any

from tests.functional.daemons import NODE, SOURCE_ROOT, Daemons, RunningNode
from tests.functional.telling import TellingProgram

#: What a machine's first process does: loopback is up, it says so, and waits for its end.
_HOLD = 'ip link set lo up && echo up >/proc/self/fd/"$1" && exec sleep infinity'


@functools.cache
def obstacle() -> str:
    """Why no networks can be made here, or nothing."""
    missing = [command for command in ("unshare", "nsenter", "ip") if shutil.which(command) is None]
    if missing:
        return f"no network namespaces: {', '.join(missing)} not found"
    script = "ip link set lo up && ip link add cable type bridge && ip link add port0 type veth peer name eth0 && ip link set port0 master cable"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no network namespaces: {tried.stderr.strip()}"


class Network:
    """Machines 0, 1, … at 10.77.0.1, 10.77.0.2, … on one switch.

    :param daemons: the test's processes, which may send elsewhere from now on.
    :param machines: how many.
    """

    def __init__(self, daemons: Daemons, test: unittest.TestCase, machines: int) -> None:
        self._daemons = daemons
        self._test = test
        daemons.environment["PYTHONPATH"] = str(SOURCE_ROOT)
        switch = self._namespace()
        self._run(switch, "ip link add cable type bridge && ip link set cable up")
        self._machines = [self._namespace() for _ in range(machines)]
        for number, machine in enumerate(self._machines):
            self._run(
                switch,
                f"ip link add port{number} type veth peer name eth0 netns {machine} && ip link set port{number} master cable up",
            )
            self._run(machine, f"ip addr add {self.host(number)}/24 brd + dev eth0 && ip link set eth0 up")

    def _namespace(self) -> int:
        """The pid of a process that holds a new one until the test ends."""
        reading, writing = os.pipe()
        with open(reading) as said:
            try:
                held = self._daemons.start(["unshare", "--net", "sh", "-c", _HOLD, "hold", str(writing)], pass_fds=(writing,))
            finally:
                os.close(writing)
            if said.readline() != "up\n":
                raise AssertionError(f"no network namespace: {held.wait()}")
        self._test.addCleanup(held.process.wait)
        self._test.addCleanup(held.process.kill)
        return held.pid

    def _run(self, machine: int, script: str) -> None:
        subprocess.run([*_enter(machine), "sh", "-c", script], check=True)

    def host(self, number: int) -> str:
        """A machine's address."""
        return f"10.77.0.{number + 1}"

    def on(self, number: int, command: Sequence[str]) -> list[str]:
        """A command, to be run on a machine."""
        return [*_enter(self._machines[number]), *command]

    def node(self, number: int, *options: str, host: str = "0.0.0.0", port: int = 51348, **more: Any) -> RunningNode:
        """A node on a machine; see `Daemons.node`."""
        return self._daemons.node("--host", host, "--name", f"machine{number}", *options, port=port, command=self.on(number, NODE), **more)

    def program(self, number: int, source: str, *arguments: str) -> TellingProgram:
        """A program on a machine."""
        return TellingProgram(self._daemons, source, *arguments, python=self.on(number, [sys.executable]))


def _enter(machine: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{machine}/ns/net", "--"]
