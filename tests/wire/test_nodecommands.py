"""What a node is asked, word for word, and the laws of all commands: see `tests.wire.commands`."""

from __future__ import annotations

import unittest

from twisted.protocols import amp

from dispytw.errors import StreamError, WireError
from dispytw.node.connections import ConnectionFromScheduler
from dispytw.wire import nodecommands
from dispytw.wire.arguments import Whole
from tests.wire import commands

FACTS = (
    "incarnation: Whole, name: Text, cpus: Whole, platform: Text, python: Records, version: Text, pid: Whole, holder: Text, "
    "available: Records"
)


class NodeCommands(commands.Laws):
    """The asks of whoever schedules."""

    module = nodecommands
    answered_by = (ConnectionFromScheduler,)
    table = {
        "AnswerJobs": "answers: Records -> nothing | WIRE WireError",
        "FollowJobs": "outputs: Records -> nothing | WIRE WireError",
        "CancelJobs": "attempts: Records -> nothing | WIRE WireError",
        "RecallJobs": "computation: Uid, most: Whole -> nothing | WIRE WireError",
        "CloseComputation": "computation: Uid -> nothing | WIRE WireError",
        "Introduce": f"version: Text, python: Records, name: Text, heartbeat: Seconds, pulse: Seconds -> {FACTS} | "
        "VERSION VersionError, WIRE WireError",
        "ListJobs": "computation: Uid -> attempts: Records | WIRE WireError",
        "OpenComputation": "computation: Records -> missing: Records | HELD NodeHeldError, REFUSED RefusedError, WIRE WireError",
        "PlaceFiles": "computation: Uid, attempt: Records, files: Records -> missing: Records | "
        "REFUSED RefusedError, STREAM StreamError, UNKNOWN UnknownComputationError, WIRE WireError",
        "Reconcile": "attempts: Records -> attempts: Records, computations: Records | WIRE WireError",
        "TakeOver": "computation: Uid, token: Uid -> known: Whole | REFUSED RefusedError, WIRE WireError",
        "RunJobs": "computation: Uid, generation: Whole, jobs: Records -> refused: Records | UNKNOWN UnknownComputationError, WIRE WireError",
    }


class Walking(unittest.TestCase):
    """The walker itself finds what it is for."""

    def faults(self, **body: object) -> str:
        """Of a command with this body."""
        sound = {"__doc__": "For a test.", "commandName": b"Said", "errors": {WireError: b"WIRE"}}
        return "; ".join(commands.faults(type("Said", (amp.Command,), {**sound, **body})))  # type: ignore[arg-type]

    def test_a_sound_command(self) -> None:
        """Has no fault."""
        self.assertEqual("", self.faults(arguments=[(b"count", Whole())], requiresAnswer=False))

    def test_a_misspelt_attribute(self) -> None:
        """Is named; so is one of AMP's that would close the link."""
        for name in ("argument", "reponse", "error", "requireAnswer", "fatalErrors"):
            self.assertIn(f"sets ['{name}']", self.faults(**{name: []}))

    def test_nothing_said(self) -> None:
        """A command without a docstring of its own."""
        for text in (None, "", amp.Command.__doc__):
            self.assertIn("does not say what it is for", self.faults(__doc__=text))

    def test_another_name(self) -> None:
        """A command copied from another and renamed by half."""
        self.assertIn("is called b'Sad' on the wire", self.faults(commandName=b"Sad"))

    def test_errors(self) -> None:
        """One that is not declared, a code that is used twice, an error of Python's own."""
        self.assertIn("does not declare WireError", self.faults(errors={}))
        self.assertIn("one code for several", self.faults(errors={WireError: b"WIRE", StreamError: b"WIRE"}))
        self.assertIn("not ours", self.faults(errors={WireError: b"WIRE", KeyError: b"KEY"}))

    def test_every_module_is_walked(self) -> None:
        """No command of the package stands where nobody looks."""
        walked = {module.__name__ for module in commands.modules()}
        waiting, outside = list(amp.Command.__subclasses__()), set()
        while waiting:
            command = waiting.pop()
            waiting += command.__subclasses__()
            if command.__module__.startswith("dispytw.") and command.__module__ not in walked:
                outside.add(command)
        self.assertEqual(set(), outside)

    def test_a_description_tells_all(self) -> None:
        """Also that no answer comes."""
        said = type("Said", (amp.Command,), {"requiresAnswer": False, "errors": {WireError: b"WIRE"}})
        self.assertEqual("nothing -> no answer | WIRE WireError", commands.described(said))
