"""Contents and who holds them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from unittest import TestCase, mock

from hypothesis import given, settings
from hypothesis import strategies as st

from dispytw.node import store
from dispytw.node.store import Store


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class StoreCase(TestCase):
    """A store in a directory of its own; it has what it is given at once."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        for name in ("store", "kept"):
            (self.root / name).mkdir()
        self.store = self.again()

    def again(self) -> Store:
        """The store of a node that has been restarted."""
        return Store(str(self.root / "store"), str(self.root / "kept"))

    def hold(self, holder: object, *contents: bytes) -> None:
        """Held, and what is missing comes."""
        self.store.hold(holder, map(digest, contents))
        for content in contents:
            if not self.store.has(digest(content)):
                Path(self.store.path(digest(content))).write_bytes(content)

    def delete(self, gone: list[str]) -> None:
        for path in gone:
            os.unlink(path)

    def there(self, *contents: bytes) -> list[bytes]:
        """Those that are here."""
        return [content for content in contents if self.store.has(digest(content))]


class Holding(StoreCase):
    """By computations."""

    def test_as_long_as_somebody_holds_it(self) -> None:
        """And no longer; holding twice is once."""
        self.hold("x", b"1", b"2")
        self.hold("x", b"1")
        self.hold("y", b"2", b"3")
        self.delete(self.store.let_go("x"))
        self.assertEqual([b"2", b"3"], self.there(b"1", b"2", b"3"))
        self.delete(self.store.let_go("x"))
        self.delete(self.store.let_go("y"))
        self.assertEqual([], self.there(b"1", b"2", b"3"))
        self.assertEqual([], os.listdir(self.root / "store"))

    def test_what_goes_is_gone_at_once(self) -> None:
        """Before it is deleted, the same may come anew."""
        self.hold("x", b"1")
        gone = self.store.let_go("x")
        self.assertEqual([], self.there(b"1"))
        self.hold("y", b"1")
        self.delete(gone)
        self.assertEqual([b"1"], self.there(b"1"))

    def test_what_never_came(self) -> None:
        """Is let go like the rest."""
        self.store.hold("x", [digest(b"1")])
        self.assertEqual([], self.store.let_go("x"))
        self.store.hold("x", [digest(b"1")])
        self.assertEqual([], self.store.rest("x"))
        self.assertEqual([], self.store.let_go("x", keeps=True))

    def test_kept(self) -> None:
        """It outlives its holder and the node's restart; whoever holds it next without keeping it ends that."""
        self.hold("x", b"1", b"2")
        self.assertEqual([], self.store.let_go("x", keeps=True))
        self.store = self.again()
        self.store.tidy()
        self.assertEqual([b"1", b"2"], self.there(b"1", b"2"))
        self.hold("y", b"1")
        self.delete(self.store.let_go("y"))
        self.assertEqual([b"2"], self.there(b"1", b"2"))

    def test_tidy(self) -> None:
        """What nobody holds goes."""
        self.hold("x", b"1")
        self.hold("y", b"2")
        self.store = self.again()
        self.store.hold("x", [digest(b"1")])
        self.store.tidy()
        self.assertEqual([b"1"], self.there(b"1", b"2"))


class Resting(StoreCase):
    """What jobs needed, between two of them."""

    def test_until_a_computation_is_closed(self) -> None:
        """The next job finds it; afterwards it is gone."""
        self.hold("job 1", b"1")
        self.assertEqual([], self.store.rest("job 1"))
        self.assertEqual([b"1"], self.there(b"1"))
        self.delete(self.store.let_go("x"))
        self.assertEqual([], self.there(b"1"))

    def test_held_again(self) -> None:
        """It does not rest then."""
        self.hold("job 1", b"1")
        self.store.rest("job 1")
        self.hold("job 2", b"1")
        self.delete(self.store.let_go("x"))
        self.assertEqual([b"1"], self.there(b"1"))

    def test_only_so_much(self) -> None:
        """Beyond that what has rested longest goes, and more at once where it must."""
        with mock.patch.object(store, "MOST_RESTING", 5):
            for number in range(3):
                self.hold(number, b"%d%d" % (number, number))
                self.delete(self.store.rest(number))
            self.assertEqual([b"11", b"22"], self.there(b"00", b"11", b"22"))
            self.hold("large", b"12345")
            self.delete(self.store.rest("large"))
            self.assertEqual([b"12345"], self.there(b"11", b"22", b"12345"))
            self.hold("too large", b"123456")
            self.delete(self.store.rest("too large"))
            self.assertEqual([], os.listdir(self.root / "store"))

    def test_what_is_left_when_another_keeps(self) -> None:
        """Goes all the same."""
        self.hold("job", b"1")
        self.store.rest("job")
        self.hold("x", b"2")
        self.delete(self.store.let_go("x", keeps=True))
        self.assertEqual([b"2"], self.there(b"1", b"2"))


STEPS = st.lists(st.tuples(st.sampled_from(["hold", "rest", "let go", "keep"]), st.integers(0, 3), st.sets(st.integers(0, 4))), max_size=25)


class Laws(StoreCase):
    """Whatever happens in whatever order."""

    @settings(deadline=None, max_examples=60)
    @given(STEPS)
    def test_what_is_held_is_there(self, steps: list[tuple[str, int, set[int]]]) -> None:
        """And when nobody holds anything and nobody has kept anything, nothing is."""
        self.setUp()
        held: dict[int, set[int]] = {}
        kept = False
        for step, holder, numbers in [*steps, *(("let go", holder, set()) for holder in range(4))]:
            if step == "hold":
                self.hold(holder, *(b"%d" % number for number in numbers))
                held.setdefault(holder, set()).update(numbers)
                continue
            kept = kept or step == "keep"
            self.delete(self.store.rest(holder) if step == "rest" else self.store.let_go(holder, step == "keep"))
            held.pop(holder, None)
            for number in set().union(*held.values()):
                self.assertTrue(self.store.has(digest(b"%d" % number)))
        if not kept:
            self.assertEqual([], os.listdir(self.root / "store") + os.listdir(self.root / "kept"))
        self.doCleanups()
