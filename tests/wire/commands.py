"""What every command of the wire has to keep, for the tests of each module of commands.

A test of such a module inherits from `Laws` and names the module, the class that answers it, and the table of what is said.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import unittest
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols import amp

import dispytw.wire
from dispytw.errors import DispytwError, WireError
from dispytw.wire.arguments import MOST_PARTS, Bytes, Digest, Long, Records, Seconds, Text, Uid, Whole
from dispytw.wire.limits import FAILED, MOST_BYTES, MOST_KEYS, WIRE

#: What the body of a command may set; AMP takes a misspelt name without a word.
ATTRIBUTES = {"commandName", "arguments", "response", "errors", "requiresAnswer"}
#: What AMP adds to each command.
ADDED = {"reverseErrors", "allErrors"}

packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
#: Of each type of argument, the values that must arrive as they were sent.
VALUES: dict[type[amp.Argument], st.SearchStrategy[Any]] = {
    Uid: st.binary(min_size=16, max_size=16),
    Digest: st.binary(min_size=32, max_size=32),
    Text: st.text(max_size=100),
    Whole: st.integers(0, 2**63 - 1),
    Seconds: st.floats(allow_nan=False, allow_infinity=False),
    Records: st.lists(packable, max_size=4),
    Bytes: st.binary(max_size=100),
    Long: st.binary(max_size=100),
}
#: And one of each, not among the smallest.
EXAMPLES: dict[type[amp.Argument], Any] = {
    Uid: b"u" * 16,
    Digest: b"d" * 32,
    Text: "t" * 1000,
    Whole: 2**62,
    Seconds: -1.2345678901234567e-300,
    Records: [[b"u" * 16, 1]],
}
#: Bytes that fill a list of records to the last byte of its last part, five for their own length and one for the list's.
LONGEST = b"r" * (MOST_PARTS * 0xFFFF - 6)
#: Keys that AMP adds to a box, beside short values.
AMPS_OWN = (b"_command", b"_ask")

Fields = list[tuple[bytes, amp.Argument]]


def modules() -> list[ModuleType]:
    """Every module of commands."""
    names = [found.name for found in pkgutil.iter_modules(dispytw.wire.__path__) if found.name.endswith("commands")]
    return [importlib.import_module(f"dispytw.wire.{name}") for name in names]


def commands_of(module: ModuleType) -> list[type[amp.Command]]:
    """The commands that are defined in a module, by name."""
    defined = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    return sorted((each for each in defined if issubclass(each, amp.Command)), key=lambda each: each.__name__)


def every_command() -> list[type[amp.Command]]:
    """Those of all modules."""
    return [command for module in modules() for command in commands_of(module)]


def unknown_attributes(command: type[amp.Command]) -> set[str]:
    """What the body of a command sets without any effect."""
    return {name for name in vars(command) if not name.startswith("__")} - ATTRIBUTES - ADDED


def faults(command: type[amp.Command]) -> Iterator[str]:
    """What is wrong with a command, whatever it says."""
    name = command.__name__
    if unknown_attributes(command):
        yield f"{name} sets {sorted(unknown_attributes(command))}, which AMP does not know"
    if command.commandName != name.encode():
        yield f"{name} is called {command.commandName!r} on the wire"
    if not inspect.cleandoc(command.__doc__ or "").endswith((".", "``", ":")) or command.__doc__ == amp.Command.__doc__:
        yield f"{name} does not say what it is for"
    if command.errors.get(WireError) != WIRE:
        yield f"{name} does not declare WireError, which every command may be answered with"
    if len(set(command.errors.values())) < len(command.errors):
        yield f"{name} has one code for several errors"
    if not all(issubclass(error, DispytwError) for error in command.errors):
        yield f"{name} declares an error that is not ours"


def described(command: type[amp.Command]) -> str:
    """All that the other end can notice of a command."""
    errors = ", ".join(sorted(f"{code.decode()} {error.__name__}" for error, code in command.errors.items()))
    answer = _fields(command.response) or "nothing"
    return f"{_fields(command.arguments) or 'nothing'} -> {answer if command.requiresAnswer else 'no answer'} | {errors}"


def _fields(fields: Fields) -> str:
    return ", ".join(f"{name.decode()}: {type(argument).__name__}" for name, argument in fields)


def values_of(fields: Fields) -> st.SearchStrategy[dict[str, Any]]:
    """Values for arguments or an answer."""
    return st.fixed_dictionaries({name.decode(): VALUES[type(argument)] for name, argument in fields})


def over_the_wire(box: amp.AmpBox) -> amp.AmpBox:
    """What the other end receives."""
    (received,) = amp.parseString(box.serialize())
    return received  # type: ignore[no-any-return]


def _boxed(fields: Fields, values: dict[str, Any]) -> amp.AmpBox:
    box, values = amp.AmpBox(), dict(values)
    for name, argument in fields:
        argument.toBox(name, box, values, None)
    return box


def _unboxed(fields: Fields, box: amp.AmpBox) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, argument in fields:
        argument.fromBox(name, box.copy(), values, None)
    return values


class Laws(unittest.TestCase):
    """For each module; its test says which."""

    #: The module, and the classes that answer its commands.
    module: ModuleType
    answered_by: tuple[type[amp.AMP], ...]
    #: Of each command, `described`; whoever changes a line changes the wire.
    table: dict[str, str]

    def test_every_command_is_sound(self) -> None:
        """No misspelt attribute, a docstring, its own name on the wire, its errors declared."""
        self.assertEqual([], [fault for command in commands_of(self.module) for fault in faults(command)])

    def test_the_wire_stays(self) -> None:
        """Each command has the arguments, the answer and the errors that the other end expects."""
        self.assertEqual(self.table, {command.__name__: described(command) for command in commands_of(self.module)})

    def test_all_are_public(self) -> None:
        """``__all__`` names the commands, and nothing else."""
        self.assertEqual(sorted(self.module.__all__), [command.__name__ for command in commands_of(self.module)])

    def test_no_two_alike(self) -> None:
        """One link carries all commands: no name is used twice, and a code stands for the same error everywhere."""
        names = [command.commandName for command in every_command()]
        self.assertEqual(len(names), len(set(names)))
        meanings = {(code, error) for command in every_command() for error, code in command.errors.items()}
        self.assertEqual(len(meanings), len({code for code, _ in meanings}))
        self.assertEqual(len(meanings), len({error for _, error in meanings}))
        self.assertNotIn(FAILED, {code for code, _ in meanings})

    def test_round_trip(self) -> None:
        """What is asked and answered arrives as it was said."""

        @given(st.data())
        @settings(deadline=None, max_examples=60)
        def arrives(data: st.DataObject) -> None:
            command = data.draw(st.sampled_from(commands_of(self.module)))
            asked, answered = data.draw(values_of(command.arguments)), data.draw(values_of(command.response))
            box = over_the_wire(command.makeArguments(dict(asked), None))
            self.assertEqual(asked, command.parseArguments(box, None))
            box = over_the_wire(command.makeResponse(dict(answered), None))
            self.assertEqual(answered, command.parseResponse(box, None))

        arrives()

    def test_the_longest_list_fits(self) -> None:
        """A box whose list takes all parts that it may have is within the bounds of a link, whatever else is said in it."""
        for command in commands_of(self.module):
            for fields in (command.arguments, command.response):
                for full in (name for name, argument in fields if isinstance(argument, Records)):
                    said = {name.decode(): EXAMPLES[type(argument)] for name, argument in fields} | {full.decode(): [LONGEST]}
                    box = over_the_wire(_boxed(fields, said))
                    self.assertEqual(said, _unboxed(fields, box))
                    self.assertLess(len(box) + len(AMPS_OWN), MOST_KEYS)
                    self.assertLess(sum(len(key) + len(value) for key, value in box.items()) + 10 * len(AMPS_OWN), MOST_BYTES)

    def test_somebody_answers(self) -> None:
        """Each class that has to answer does, with a method that takes exactly the command's arguments."""
        for answering in self.answered_by:
            for command in commands_of(self.module):
                with self.subTest(command=command.__name__, by=answering.__name__):
                    declared, method = answering._commandDispatch[command.commandName]  # type: ignore[attr-defined]
                    self.assertIs(command, declared)
                    parameters = list(inspect.signature(method).parameters)[1:]
                    self.assertEqual([name.decode() for name, _ in command.arguments], parameters)
