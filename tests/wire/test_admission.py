"""Greetings are bounded by tokens, strangers by places, log lines by time; and none of it grows."""

from __future__ import annotations

import unittest
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from dispytw.wire import admission
from dispytw.wire.admission import (
    ADDRESS_BURST,
    ADDRESS_RATE,
    QUIET,
    TOTAL_BURST,
    TOTAL_RATE,
    Admission,
    Lobby,
    neighbourhood,
)


class Tokens(unittest.TestCase):
    """So many greetings at once, so many a second."""

    def test_twenty_links_at_once(self) -> None:
        """A program that opens twenty links to one node is let in."""
        gate = Admission(0.0)
        self.assertTrue(all(gate.admits("10.0.0.1", 0.0) for _ in range(20)))

    def test_one_address(self) -> None:
        """At its burst an address waits for its rate."""
        gate = Admission(0.0)
        self.assertEqual(ADDRESS_BURST, sum(gate.admits("10.0.0.1", 0.0) for _ in range(100)))
        self.assertFalse(gate.admits("10.0.0.1", 0.5 / ADDRESS_RATE))
        self.assertTrue(gate.admits("10.0.0.1", 1.01 / ADDRESS_RATE))

    def test_another_address(self) -> None:
        """One that took too much takes nothing from the next."""
        gate = Admission(0.0)
        for _ in range(1000):
            gate.admits("10.0.0.1", 0.0)
        self.assertTrue(gate.admits("10.0.0.2", 0.0))

    def test_all_together(self) -> None:
        """Many addresses share one bucket more."""
        gate = Admission(0.0)
        self.assertEqual(TOTAL_BURST, sum(gate.admits(f"10.0.0.{i}", 0.0) for i in range(250)))
        self.assertEqual(TOTAL_RATE, sum(gate.admits(f"10.0.1.{i}", 1.0) for i in range(250)))

    @given(st.lists(st.floats(0, 5), max_size=300))
    def test_never_more_than_the_rate(self, pauses: list[float]) -> None:
        """Whatever the pauses, no more than the burst and what the time has brought."""
        gate, now, admitted = Admission(0.0), 0.0, 0
        for pause in pauses:
            now += pause
            admitted += gate.admits("10.0.0.1", now)
        self.assertLessEqual(admitted, ADDRESS_BURST + ADDRESS_RATE * now + 1e-6)

    def test_memory(self) -> None:
        """A million addresses are not remembered."""
        with mock.patch.object(admission, "MOST_ADDRESSES", 10):
            gate = Admission(0.0)
            for i in range(100):
                gate.admits(f"10.0.0.{i}", 0.0)
                gate.may_log(f"10.0.0.{i}", 0.0)
            self.assertEqual((10, 10), (len(gate._addresses), len(gate._logged)))

    def test_neighbourhood(self) -> None:
        """An IPv6 host has a network to itself, which counts once; what is no address counts as it is."""
        self.assertEqual(neighbourhood("2001:db8::1"), neighbourhood("2001:db8::ffff:2"))
        self.assertNotEqual(neighbourhood("2001:db8::1"), neighbourhood("2001:db8:0:1::1"))
        self.assertEqual("10.0.0.1", neighbourhood("::ffff:10.0.0.1"))
        self.assertEqual(neighbourhood("fe80::1%eth0"), neighbourhood("fe80::1"))
        self.assertEqual("a name", neighbourhood("a name"))

    def test_log_lines(self) -> None:
        """One line about an address, then silence for a while; others are not silenced."""
        gate = Admission(0.0)
        self.assertTrue(gate.may_log("10.0.0.1", 0.0))
        self.assertFalse(gate.may_log("10.0.0.1", QUIET - 0.1))
        self.assertTrue(gate.may_log("10.0.0.2", QUIET - 0.1))
        self.assertTrue(gate.may_log("10.0.0.1", QUIET + 0.1))


class Places(unittest.TestCase):
    """The lobby is never too full, and silence never wins over a greeting."""

    def lobby(self, most: int, spoken: str = "") -> Lobby[str]:
        """Some places; the strangers named have said something."""
        return Lobby(lambda stranger: stranger in spoken, most)

    def test_the_oldest_silent_one_goes(self) -> None:
        """In the order they came."""
        lobby = self.lobby(2)
        self.assertEqual([None, None, "a", "b"], [lobby.enter(stranger) for stranger in "abcd"])

    def test_who_speaks_stays_longer(self) -> None:
        """One who has said something goes when all have."""
        lobby = self.lobby(2, spoken="ad")
        self.assertEqual([None, None, "b", "c", "a"], [lobby.enter(stranger) for stranger in "abcde"])

    def test_who_greets_stays(self) -> None:
        """One whose hello was admitted goes only when there is nobody else."""
        lobby = self.lobby(2, spoken="bc")
        lobby.enter("a")
        lobby.greets("a")
        self.assertEqual([None, "b"], [lobby.enter(stranger) for stranger in "bc"])
        lobby.greets("c")
        self.assertEqual("a", lobby.enter("d"))

    def test_leaving(self) -> None:
        """Who left makes room, and may be said to leave again; who was pushed out does not come back by greeting."""
        lobby = self.lobby(1)
        lobby.enter("a")
        lobby.leave("a")
        lobby.leave("a")
        self.assertIsNone(lobby.enter("b"))
        self.assertEqual("b", lobby.enter("c"))
        lobby.greets("b")
        self.assertEqual(1, len(lobby))

    @given(st.lists(st.tuples(st.sampled_from(["enter", "greets", "leave"]), st.integers(0, 8))), st.integers(1, 4))
    def test_never_more_than_places(self, events: list[tuple[str, int]], most: int) -> None:
        """Whatever happens, and whoever goes was there and is not the one that came."""
        lobby: Lobby[int] = Lobby(lambda stranger: stranger % 2 == 0, most)
        here: set[int] = set()
        for event, stranger in events:
            if event == "enter" and stranger not in here:
                pushed = lobby.enter(stranger)
                if pushed is not None:
                    self.assertIn(pushed, here)
                    here.remove(pushed)
                here.add(stranger)
            elif event == "greets":
                lobby.greets(stranger)
            elif event == "leave":
                lobby.leave(stranger)
                here.discard(stranger)
            self.assertEqual(len(here), len(lobby))
            self.assertLessEqual(len(lobby), most)
