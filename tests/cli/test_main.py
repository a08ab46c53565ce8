"""The ``dispytw`` command: what it understands, and what it passes on."""

from __future__ import annotations

import io
import unittest
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

from dispytw.cli import main as module
from dispytw.cli.main import main
from dispytw.version import VERSION


class Main(unittest.TestCase):
    """Its command line."""

    def setUp(self) -> None:
        patch = mock.patch.object(module, "run_program", return_value=0)
        self.run_program: Any = patch.start()
        self.addCleanup(patch.stop)

    def call(self, *arguments: str) -> tuple[Any, str, str]:
        """Exit status, standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), self.assertRaises(SystemExit) as caught:
            main(arguments)
        return caught.exception.code, out.getvalue(), err.getvalue()

    def test_run(self) -> None:
        """A program runs with a node of as many slots as there are cores, unless a number is given."""
        self.assertEqual(0, self.call("run", "program.py")[0])
        self.run_program.assert_called_once_with("program.py", [], 0)
        self.call("run", "--cpus", "2", "program.py")
        self.run_program.assert_called_with("program.py", [], 2)

    def test_arguments_of_the_program(self) -> None:
        """What comes after the program is the program's, options that we know included."""
        self.call("run", "program.py", "--cpus", "7", "-x", "--version", "--", "a b")
        self.run_program.assert_called_once_with("program.py", ["--cpus", "7", "-x", "--version", "--", "a b"], 0)

    def test_exit_status(self) -> None:
        """The command ends as what it ran."""
        self.run_program.return_value = 137
        self.assertEqual(137, self.call("run", "program.py")[0])

    def test_version(self) -> None:
        """--version says it."""
        self.assertEqual((0, f"dispytw {VERSION}\n", ""), self.call("--version"))

    def test_help(self) -> None:
        """--help names every subcommand."""
        code, out, _ = self.call("--help")
        self.assertEqual(0, code)
        self.assertIn("run a program with a private node on this machine", " ".join(out.split()))

    def test_mistakes(self) -> None:
        """No subcommand, an unknown one, no program, or no number: status 2 and a word about it, and nothing runs."""
        for arguments, words in (
            ((), "COMMAND"),
            (("walk",), "walk"),
            (("run",), "program"),
            (("run", "--cpus", "x", "program.py"), "--cpus"),
        ):
            code, _, err = self.call(*arguments)
            self.assertEqual(2, code)
            self.assertIn(words, err)
        self.run_program.assert_not_called()

    def test_own_command_line(self) -> None:
        """Without arguments it reads the process's."""
        with mock.patch("sys.argv", ["dispytw", "run", "program.py"]), self.assertRaises(SystemExit):
            main()
        self.run_program.assert_called_once_with("program.py", [], 0)
