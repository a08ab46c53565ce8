"""Runs the programs of the contestants, one at a time and in turns, and writes down what they say.

Every contestant is measured once in each repetition, so that a machine that is slower for a while is slower for all. Whatever a
program does, it has so many seconds for each thing that it was asked, then it is ended with all that it has started.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import processes

#: Seconds that a program has to start, that one cell may take, and that the orderly end may take.
STARTING, PATIENCE, GRACE = 40.0, 15.0, 4.0

#: Stands in a command for the number of the descriptor that the program speaks to.
DESCRIPTOR = "DESCRIPTOR"

SILENT = "the process ended"


@dataclass(frozen=True)
class Program:
    """Something to start, and what it will be asked.

    :ivar name: the contestant's name.
    :ivar command: what to start; the number of the descriptor that it speaks to is put in the place of `DESCRIPTOR`.
    :ivar cells: what it says beside "start", in this order.
    :ivar starts: whether it says "start" first.
    """

    name: str
    command: Sequence[str]
    cells: Sequence[str]
    starts: bool = True


@dataclass(frozen=True)
class Line:
    """What a program said of one cell, or what is said for it.

    :ivar seconds: how long the cell took, trials included.
    :ivar figures: by name.
    :ivar error: why there are none; empty if there are.
    """

    contestant: str
    repetition: int
    cell: str
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    jobs: int = 0
    lost: int = 0
    error: str = ""


class Runner:
    """Takes the programs through the repetitions.

    :param programs: in the order of the first repetition; each later one begins with the next of them.
    :param root: the checkout, which the programs import `benchmarks` from.
    :param ends: when, by `time.monotonic`, no further program is started.
    :param say: gets a line of text for whoever waits.
    :param patience: seconds for one cell.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        root: Path,
        ends: float,
        say: Callable[[str], object],
        patience: float = PATIENCE,
    ) -> None:
        self._programs = programs
        self._root = root
        self._ends = ends
        self._say = say
        self._patience = patience
        self._hopeless: dict[str, str] = {}

    def run(self, repetitions: int) -> list[Line]:
        """Everything that was said."""
        processes.adopt_orphans()
        lines: list[Line] = []
        for repetition in range(repetitions):
            first = repetition % len(self._programs)
            for program in [*self._programs[first:], *self._programs[:first]]:
                said = self._one(program, repetition)
                self._say(_summary(program, repetition, said))
                lines += said
        return lines

    def _one(self, program: Program, repetition: int) -> list[Line]:
        if program.name in self._hopeless:
            return [Line(program.name, repetition, cell, error=self._hopeless[program.name]) for cell in program.cells]
        if time.monotonic() > self._ends:
            return [Line(program.name, repetition, cell, error="the run's time was over") for cell in program.cells]
        lines = measured(program, repetition, self._root, self._patience)
        if program.starts and not any(line.cell == "start" and not line.error for line in lines):
            self._hopeless[program.name] = lines[0].error
        return lines


def measured(program: Program, repetition: int, root: Path, patience: float) -> list[Line]:
    """Start one program in an empty home, listen to it, and end it with all that it has started."""
    home = tempfile.mkdtemp(prefix="bench-")  # short: it will hold Unix sockets
    reading, writing = os.pipe()
    try:
        with open(os.path.join(home, "log"), "wb") as log:
            process = subprocess.Popen(
                [str(writing) if part == DESCRIPTOR else part for part in program.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env=_environment(home, root),
                pass_fds=(writing,),
                start_new_session=True,
            )
        os.close(writing)
        lines = list(_heard(program, repetition, reading, patience))
        _wait(process, 0 if lines[-1].error else GRACE)
        return [_explained(line, home) for line in lines]
    finally:
        os.close(reading)
        processes.end_descendants()
        shutil.rmtree(home, ignore_errors=True)


def _heard(program: Program, repetition: int, descriptor: int, patience: float) -> Iterator[Line]:
    """A line for each cell, said by the program or in its place."""
    lines = _lines(descriptor)
    expected = ["start", *program.cells] if program.starts else list(program.cells)
    for position, cell in enumerate(expected):
        said = lines(STARTING if cell == "start" else patience)
        if isinstance(said, str):
            yield from (Line(program.name, repetition, left, error=said) for left in expected[position:])
            return
        yield Line(program.name, repetition, **said)
        if cell == "start" and said.get("error"):
            yield from (Line(program.name, repetition, left, error=said["error"]) for left in program.cells)
            return


def _lines(descriptor: int) -> Callable[[float], dict | str]:
    """A function that waits so many seconds for the next line: what it says, or why there is none."""
    gathered = bytearray()

    def following(seconds: float) -> dict | str:
        ends = time.monotonic() + seconds
        while b"\n" not in gathered:
            if not select.select([descriptor], [], [], max(0.0, ends - time.monotonic()))[0]:
                return f"nothing came within {seconds:g} s; the process was ended"
            chunk = os.read(descriptor, 65536)
            if not chunk:
                return SILENT
            gathered.extend(chunk)
        line, _, rest = bytes(gathered).partition(b"\n")
        gathered[:] = rest
        return json.loads(line)

    return following


def _explained(line: Line, home: str) -> Line:
    """With the last words of a process that ended without saying why."""
    if line.error != SILENT:
        return line
    with open(os.path.join(home, "log"), encoding="utf-8", errors="replace") as log:
        last = [said.strip() for said in log if said.strip()][-1:]
    return replace(line, error=": ".join([SILENT, *last]))


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let it end in order, if it does that soon."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass  # the caller ends whatever is left


def _environment(home: str, root: Path) -> dict[str, str]:
    """A new user's, and nothing leaves the machine: no usage statistics, no proxies."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(root),
        "PYTHONWARNINGS": "ignore",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _summary(program: Program, repetition: int, lines: Sequence[Line]) -> str:
    figures = {name: figure for line in lines for name, figure in line.figures.items()}
    errors = sorted({line.error for line in lines if line.error})
    shown = ", ".join([f"{name} {figure:.4g}" for name, figure in figures.items() if not name.endswith(" faults")] + errors)
    return f"{repetition + 1}. {program.name}: {shown}"
