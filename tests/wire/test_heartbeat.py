"""Signs of life are given in time, silence is noticed in time, and neither by mistake."""

from __future__ import annotations

import unittest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from dispytw.wire.heartbeat import MOST_SILENT, Heart, Heartbeats

H = 2.0


class Machine:
    """A clock that wakes and jumps, a time that goes on evenly, and a link of which both are told."""

    def __init__(self, interval: float = H) -> None:
        self.clock = Clock()
        self.time = 1000.0
        self.last_received = self.last_sent = self.time
        self.signs: list[float] = []
        self.silences: list[float] = []
        self.stops_when_silent = False
        self.heartbeats = Heartbeats(self.clock, lambda: self.time, self, interval)

    def give_sign(self) -> None:
        self.signs.append(self.time)
        self.last_sent = self.time

    def fall_silent(self) -> None:
        self.silences.append(self.time)
        if self.stops_when_silent:
            self.heartbeats.stop()

    def hear(self) -> None:
        """A byte comes."""
        self.last_received = self.time

    def pass_time(self, seconds: float, step: float = 0.25, hears: bool = False) -> None:
        """Time passes, and the clock with it."""
        for _ in range(round(seconds / step)):
            self.time += step
            if hears:
                self.hear()
            self.clock.advance(step)

    def sleep(self, seconds: float) -> None:
        """The machine is suspended: time passes, and nobody looks."""
        self.time += seconds
        self.clock.rightNow += seconds


class Deciding(unittest.TestCase):
    """The mind."""

    def test_silent_after_five(self) -> None:
        """The other end is silent after five heartbeats without a byte, and not a moment earlier."""
        heart = Heart(H, 0.0)
        for step in range(1, 100):
            now = step * H / 8
            self.assertEqual(now >= 5 * H, heart.is_silent(now, 0.0), now)
        self.assertEqual(5, MOST_SILENT)

    def test_any_byte_counts(self) -> None:
        """Silence is counted from the last byte that came."""
        heart = Heart(H, 0.0)
        self.assertFalse(any(heart.is_silent(now, 3.0) for now in (4.0, 8.0, 12.0, 12.99)))
        self.assertTrue(heart.is_silent(13.0, 3.0))

    def test_not_before_it_listens(self) -> None:
        """What came before the heart began is no reason to be impatient."""
        heart = Heart(H, 100.0)
        self.assertFalse(heart.is_silent(101.0, 0.0))
        self.assertFalse(heart.is_silent(103.0, 0.0))

    def test_a_late_check_counts_anew(self) -> None:
        """A check more than two heartbeats late has not listened: five more must pass."""
        heart = Heart(H, 0.0)
        self.assertFalse(heart.is_silent(1000.0, 0.0))
        listening = [1000.0 + step for step in range(1, 12)]
        self.assertEqual([now >= 1010.0 for now in listening], [heart.is_silent(now, 0.0) for now in listening])

    def test_a_check_that_is_a_little_late(self) -> None:
        """A busy reactor is no excuse: up to two heartbeats late, silence goes on counting."""
        heart = Heart(H, 0.0)
        self.assertEqual([False, False, True], [heart.is_silent(now, 0.0) for now in (4.0, 8.0, 12.0)])

    @given(st.lists(st.floats(0.01, 2 * H), max_size=60))
    def test_who_speaks_is_not_silent(self, pauses: list[float]) -> None:
        """An end that is heard at least once a heartbeat is never found silent, whenever it is looked at."""
        heart, now = Heart(H, 0.0), 0.0
        for pause in pauses:
            now += pause
            self.assertFalse(heart.is_silent(now, now - H))

    @given(st.lists(st.floats(0.01, 1.9 * H), min_size=1, max_size=200))
    def test_who_is_gone_is_silent(self, pauses: list[float]) -> None:
        """An end that is never heard is found silent by the first check that is five heartbeats after the beginning."""
        heart, now = Heart(H, 0.0), 0.0
        for pause in pauses:
            now += pause
            self.assertEqual(now >= MOST_SILENT * H, heart.is_silent(now, 0.0))

    @given(st.floats(0.05, 600), st.lists(st.floats(0, 1), max_size=50))
    def test_it_speaks_at_least_once_a_heartbeat(self, interval: float, lateness: list[float]) -> None:
        """Checked every half heartbeat, each check up to a twentieth late, nothing longer than a heartbeat passes unsaid."""
        heart, now, last_sent = Heart(interval, 0.0), 0.0, 0.0
        for late in lateness:
            now += heart.pause * (1 + late / 20)
            if heart.must_speak(now, last_sent):
                last_sent = now
            self.assertLess(now + heart.pause * 1.05 - last_sent, interval * 1.06)

    def test_who_has_spoken_need_not(self) -> None:
        """Anything sent is a sign of life."""
        heart = Heart(H, 0.0)
        self.assertFalse(heart.must_speak(10.0, 9.5))
        self.assertTrue(heart.must_speak(10.0, 9.0))


class Beating(unittest.TestCase):
    """The hands: a mind, a clock that wakes and a link."""

    def test_signs_of_life(self) -> None:
        """A link on which nothing is said gives a sign at least once a heartbeat, and not much oftener than it must."""
        machine = Machine()
        machine.pass_time(60 * H, hears=True)
        gaps = [later - earlier for earlier, later in zip(machine.signs, machine.signs[1:])]
        self.assertLessEqual(max(gaps), H)
        self.assertGreaterEqual(min(gaps), H / 2)
        self.assertEqual([], machine.silences)

    def test_a_busy_link_needs_none(self) -> None:
        """A link on which something is always said gives no signs."""
        machine = Machine()
        for _ in range(200):
            machine.last_sent = machine.time
            machine.pass_time(H / 8, hears=True)
        self.assertEqual([], machine.signs)

    def test_silence(self) -> None:
        """The other end is given up after five heartbeats, half a heartbeat later at most, and gets no sign instead."""
        machine = Machine()
        machine.stops_when_silent = True
        machine.pass_time(20 * H)
        self.assertEqual(1, len(machine.silences))
        self.assertLessEqual(machine.silences[0] - 1000.0, 5.5 * H)
        self.assertGreaterEqual(machine.silences[0] - 1000.0, 5 * H)
        self.assertNotIn(machine.silences[0], machine.signs)
        self.assertEqual([], machine.clock.getDelayedCalls())

    def test_what_has_arrived_is_read_first(self) -> None:
        """After a suspended machine wakes, bytes that came meanwhile are read before anything is decided."""
        machine = Machine()
        machine.pass_time(4 * H)
        machine.sleep(1.5 * H)
        machine.clock.callLater(0, machine.hear)
        machine.pass_time(H)
        self.assertEqual([], machine.silences)

    def test_a_suspended_machine_counts_anew(self) -> None:
        """A laptop that slept for an hour gives the other end five heartbeats to be heard again, and no more."""
        machine = Machine()
        machine.pass_time(H, hears=True)
        machine.sleep(3600.0)
        woken = machine.time
        machine.pass_time(4.5 * H)
        self.assertEqual([], machine.silences)
        machine.stops_when_silent = True
        machine.pass_time(2 * H)
        self.assertEqual(1, len(machine.silences))
        self.assertGreaterEqual(machine.silences[0] - woken, 5 * H)

    def test_the_wall_clock_jumps_forward(self) -> None:
        """The clock that wakes us jumps by an hour, time does not: nobody is silent, and nothing is said in haste."""
        machine = Machine()
        machine.pass_time(H, hears=True)
        said = len(machine.signs)
        machine.clock.advance(3600.0)
        self.assertEqual(([], said), (machine.silences, len(machine.signs)))
        machine.pass_time(20 * H, hears=True)
        self.assertEqual([], machine.silences)

    def test_the_wall_clock_jumps_back(self) -> None:
        """The clock that wakes us comes an hour late: whoever was heard last an hour ago is given time to be heard."""
        machine = Machine()
        machine.pass_time(H, hears=True)
        machine.time += 3600.0
        machine.pass_time(4 * H)
        self.assertEqual([], machine.silences)

    @given(st.lists(st.tuples(st.sampled_from(["forward", "sleep", "pass"]), st.floats(0.1, 5000.0)), max_size=12))
    @settings(deadline=None)
    def test_whatever_the_clocks_do(self, events: list[tuple[str, float]]) -> None:
        """An end that is heard whenever our machine runs is never given up, and one that is gone is, within six heartbeats."""
        machine = Machine()
        for event, seconds in events:
            if event == "forward":
                machine.clock.advance(seconds)
            elif event == "sleep":
                machine.sleep(seconds)
            machine.pass_time(min(seconds, 3 * H), hears=True)
        self.assertEqual([], machine.silences)
        machine.pass_time(6 * H)
        self.assertNotEqual([], machine.silences)

    def test_stopped(self) -> None:
        """Nothing is left on the clock, whenever it is stopped, and stopping twice is stopping once."""
        for seconds in (0.0, H / 2, H, 7 * H):
            machine = Machine()
            machine.pass_time(seconds)
            machine.heartbeats.stop()
            machine.heartbeats.stop()
            self.assertEqual([], machine.clock.getDelayedCalls())

    def test_stopped_between_waking_and_looking(self) -> None:
        """Also in the turn in which what has arrived is read."""
        machine = Machine()
        machine.clock.callLater(H / 2, machine.heartbeats.stop)
        machine.pass_time(20 * H)
        self.assertEqual(([], [], []), (machine.signs, machine.silences, machine.clock.getDelayedCalls()))
