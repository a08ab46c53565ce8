"""How a test and its programs wait for each other, so that the test need neither sleep nor look again and again.

What a `TellingProgram` writes to its standard error, tracebacks included, comes here line by line. Its standard output goes to a file,
as with every other program. A `Gate` holds up jobs until the test opens it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.functional.daemons import Completed, Daemons, RunningProgram

#: First line of every telling program. Ctrl-C means what it means at a terminal, even if the tests were started where it is ignored.
_HEAD = "import os, signal, sys; os.dup2(int(sys.argv.pop()), 2); signal.signal(signal.SIGINT, signal.default_int_handler)\n"


class TellingProgram:
    """A Python program that has been started.

    :param daemons: the test's processes.
    :param source: its source text, whose first line becomes its second.
    :param arguments: its arguments.
    :param python: the command that runs it, where that is no ordinary one.
    """

    def __init__(
        self,
        daemons: Daemons,
        source: str,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        python: Sequence[str] = (sys.executable,),
    ) -> None:
        reading, writing = os.pipe()
        self._reading = open(reading, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        self._heard: list[str] = []
        path = daemons.new_file("program.py", _HEAD + source)
        argv = [*python, str(path), *map(str, arguments), str(writing)]
        try:
            self.program: RunningProgram = daemons.start(argv, env=env, pass_fds=(writing,))
        finally:
            os.close(writing)

    @property
    def told(self) -> str:
        """Everything that has been heard so far."""
        return "".join(self._heard)

    def hear(self, words: str) -> str:
        """Wait until it has told a line with these words in it, and return that line.

        :raises AssertionError: when the program, and whatever inherited its standard error, ends without it.
        """
        while True:
            for line in self._heard:
                if words in line:
                    return line
            more = self._reading.readline()
            if not more:
                raise AssertionError(f"it never told {words!r}: {self.wait()}")
            self._heard.append(more)

    def wait(self) -> Completed:
        """How it ended, with everything it told as its standard error."""
        self._heard.extend(self._reading)
        self._reading.close()
        done = self.program.wait()
        return Completed(done.code, done.stdout, self.told.encode())


class Gate:
    """A file, locked until the test opens it; a job waits there by ``fcntl.flock(file, fcntl.LOCK_SH)``.

    :param test: opens it at the latest when it ends.
    :param path: where it is to be made.
    """

    def __init__(self, test: unittest.TestCase, path: Path) -> None:
        self.path = path
        self._file = path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        test.addCleanup(self.open)

    def open(self) -> None:
        """Let every job through."""
        self._file.close()
