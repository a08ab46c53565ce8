"""The house keeps its laws, and each law notices when it is broken."""

from __future__ import annotations

import unittest
from pathlib import Path

from tests.house import laws
from tests.house.reading import House, read_house, read_sources

EVERY_PYTHON = False

ROOT = Path(__file__).parents[2]


class TheHouse(unittest.TestCase):
    """dispytw as it stands."""

    def test_every_law_holds(self) -> None:
        """No module of dispytw breaks any law."""
        house = read_house(ROOT / "dispytw")
        for law in laws.LAWS:
            with self.subTest(law=law.__name__):
                found = law(house)
                self.assertFalse(found, "\n".join(["", f"The law: {law.__doc__}", *found]))

    def test_the_whole_package_was_read(self) -> None:
        """Reading finds packages, modules and imports; an empty house would keep every law."""
        house = read_house(ROOT / "dispytw")
        self.assertIn("dispytw", house)
        self.assertIn("dispytw.values", {i.module for i in house["dispytw.scheduler.ledger"].imports})

    def test_twisted_stays_twisted(self) -> None:
        """An __init__.py in our part of the twisted namespace would hide Twisted itself."""
        self.assertEqual([], list((ROOT / "twisted").rglob("__init__.py")))
        self.assertLessEqual(len((ROOT / "twisted/plugins/dispynode.py").read_text().splitlines()), 8)


#: An innocent house, into which each test below plants one violation.
CLEAN = {
    "dispytw": "",
    "dispytw.values": "import attrs",
    "dispytw.errors": "",
    "dispytw.wire": "",
    "dispytw.wire.frames": "from dispytw.values import A",
    "dispytw.wire.limits": "from twisted.protocols import amp",
    "dispytw.wire.payload": "import pickle, dill",
    "dispytw.scheduler": "",
    "dispytw.scheduler.policy": "import heapq",
    "dispytw.scheduler.ledger": "from dispytw.scheduler.policy import Queue\nfrom dispytw.values import A",
    "dispytw.scheduler.dispatcher": "from dispytw.scheduler import ledger",
    "dispytw.scheduler.connections": "from dispytw.scheduler.dispatcher import D\nfrom dispytw.wire.limits import L",
    "dispytw.scheduler.tap": "def main():\n    from twisted.internet import reactor",
    "dispytw.client": "",
    "dispytw.client.session": "from dispytw.scheduler.ledger import Ledger",
    "dispytw.client.bridge": "def install():\n    from twisted.internet import reactor",
    "dispytw.worker": "",
    "dispytw.worker.performer": "from dispytw.wire.payload import opened",
    "dispytw.cli": "",
    "dispytw.cli.main": "import dispytw.worker.performer, dispytw.scheduler.tap",
}


def planted(module: str, source: str) -> House:
    """The innocent house with this source in the place of, or beside, what is there."""
    return read_sources({**CLEAN, module: source}, {n for n in CLEAN if any(o.startswith(n + ".") for o in CLEAN)})


class EachLaw(unittest.TestCase):
    """A violation planted in an innocent house is found, by its own law, and at its place."""

    def broken(self, law: laws.Law, module: str, source: str, expected: str) -> None:
        self.assertEqual([], law(planted("dispytw.values", "import attrs")), "the innocent house is not innocent")
        found = law(planted(module, source))
        self.assertTrue(any(expected in line for line in found), f"{law.__name__} found {found}, not {expected!r}")

    def test_module_without_a_place(self) -> None:
        """A new module has to be classified."""
        self.broken(laws.every_module_is_placed, "dispytw.scheduler.zeal", "", "dispytw.scheduler.zeal: say in")
        self.broken(laws.every_module_is_placed, "dispytw.attic.box", "", "room attic")

    def test_import_against_the_order(self) -> None:
        """Upwards is forbidden, at the top of a module, in a function, relative, or by import_module."""
        for source in (
            "from dispytw.scheduler.connections import C",
            "def f():\n    from dispytw.scheduler import connections",
            "from . import connections",
            "from .connections import C",
            "import importlib\nimportlib.import_module('dispytw.scheduler.connections')",
        ):
            self.broken(laws.imports_follow_the_layers, "dispytw.scheduler.ledger", source, "a mind imports")

    def test_room_enters_room(self) -> None:
        """A room does not know another; a module in no room does not know any; the exceptions are narrow."""
        law = laws.rooms_are_strangers
        self.broken(
            law, "dispytw.scheduler.dispatcher", "import dispytw.client.session", "dispatcher:1: room scheduler"
        )
        self.broken(law, "dispytw.values", "from dispytw.scheduler import policy", "dispytw.values:1")
        self.broken(law, "dispytw.wire.limits", "from dispytw.scheduler import policy", "dispytw.wire.limits:1")
        self.broken(law, "dispytw.client.session", "import dispytw.scheduler.tap", "dispytw.client.session:1")
        self.broken(law, "dispytw.client.bridge", "import dispytw.scheduler.ledger", "dispytw.client.bridge:1")

    def test_tour_with_imports(self) -> None:
        """A room's __init__ imports nothing of the house."""
        self.broken(laws.tours_import_nothing, "dispytw.wire", "from .frames import F", "the tour of room wire")

    def test_front_door(self) -> None:
        """Nobody inside goes through the front door."""
        for source in ("import dispytw", "from dispytw import JobCluster", "from .. import JobCluster"):
            self.broken(laws.nothing_imports_the_front_door, "dispytw.client.bridge", source, "dispytw.client.bridge:1")

    def test_circle(self) -> None:
        """A circle through a function-level import is a circle."""
        source = "def f():\n    from dispytw.scheduler.connections import C"
        self.broken(laws.imports_make_no_circle, "dispytw.scheduler.policy", source, "dispytw.scheduler.policy")

    def test_front_door_is_lazy(self) -> None:
        """What the front door imports makes no circle."""
        self.assertEqual(
            [], laws.imports_make_no_circle(planted("dispytw", "def f():\n    import dispytw.client.session"))
        )

    def test_impure_mind(self) -> None:
        """A mind is pure, and so is what it imports."""
        for impure in ("time", "os.path", "random", "socket", "threading", "twisted.logger", "datetime", "psutil"):
            self.broken(laws.minds_are_pure, "dispytw.scheduler.policy", f"import {impure}", impure)
        found = laws.minds_are_pure(planted("dispytw.values", "from time import monotonic"))
        self.assertIn("dispytw.scheduler.ledger: a mind, reaches time by way of dispytw.values", found)

    def test_daemon_that_unpickles(self) -> None:
        """A pickler in a daemon is found, beside it and behind a corner."""
        law = laws.daemons_never_unpickle
        for pickler in ("pickle", "marshal", "shelve", "dill"):
            self.broken(law, "dispytw.scheduler.dispatcher", f"def f():\n    import {pickler}", f"reaches {pickler}")
        self.broken(law, "dispytw.wire.limits", "from dispytw.wire.payload import P", "reaches dispytw.wire.payload")
        self.broken(law, "dispytw.wire.limits", "import dispytw.worker.performer", "reaches dispytw.worker.performer")
        self.broken(law, "dispytw.values", "import dill", "dispytw.scheduler.ledger: runs in a daemon, reaches dill")
        self.broken(law, "dispytw.wire", "import pickle", "dispytw.wire.limits: runs in a daemon, reaches pickle")

    def test_twisted_where_none_may_be(self) -> None:
        """Workers and the nouns run without Twisted."""
        law = laws.some_run_without_twisted
        for module in ("dispytw.values", "dispytw.wire", "dispytw.wire.payload", "dispytw.worker.performer"):
            self.broken(law, module, "import twisted.logger", f"{module}: has to run without Twisted")
        self.broken(law, "dispytw.wire.frames", "from dispytw.wire.limits import L", "by way of dispytw.wire.limits")

    def test_reactor_in_hand(self) -> None:
        """The reactor is passed in."""
        law = laws.the_reactor_is_passed_in
        for source in ("from twisted.internet import reactor", "import twisted.internet.reactor"):
            self.broken(law, "dispytw.scheduler.dispatcher", source, "dispytw.scheduler.dispatcher:1")
            self.broken(law, "dispytw.cli.main", source, "dispytw.cli.main:1")

    def test_long_module(self) -> None:
        """401 lines are too many, 400 are not."""
        self.assertEqual([], laws.modules_stay_short(planted("dispytw.values", "\n" * 400)))
        self.broken(laws.modules_stay_short, "dispytw.values", "\n" * 401, "dispytw.values: 401 lines")
