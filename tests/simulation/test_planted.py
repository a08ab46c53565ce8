"""The simulation is worth what it finds: bugs are planted, and each is found by the law that it breaks."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation import planted
from tests.simulation.run import forget_others, live
from tests.simulation.watching import Broken

EVERY_PYTHON = False

#: Seeds among which each bug must be found.
SEEDS = range(500)
CAMPAIGN = os.environ.get("DISPYTW_CAMPAIGN") == "simulation"


@attrs.frozen
class Found:
    """A life in which a law did not hold."""

    seed: int
    tried: int
    law: str


def search(known: int) -> Found | None:
    """The first life in which a law does not hold: the one known to show it, then any; in a campaign, in order."""
    seeds = SEEDS if CAMPAIGN else itertools.chain([known], SEEDS)
    for tried, seed in enumerate(seeds, 1):
        try:
            live(seed)
        except Broken as error:
            return Found(seed, tried, str(error).splitlines()[0].partition(": ")[2])
    return None


class Planted(SynchronousTestCase):
    """Each bug of `tests.simulation.planted`, in the order of how deep it sits."""

    def found(self, plant: Callable[[planted.Patch], None], known: int, law: str) -> None:
        """Plant a bug, and look for a life that shows it.

        :param known: a seed that has shown it.
        :param law: what the broken law says, as a regular expression.
        """
        forget_others()
        plant(self.patch)
        found = search(known)
        gc.collect()  # what failed in those lives is told of now, and not in another
        self.flushLoggedErrors()
        name = plant.__name__.replace("_", " ")
        assert found is not None, f"{name}: not found in {len(SEEDS)} seeds"
        print(f"\n{name}: seed {found.seed}, after {found.tried} lives: {found.law}")
        self.assertRegex(found.law, law)

    def test_acknowledge_before_keeping(self) -> None:
        """A client acknowledges an outcome a turn before its ledger has it, and dies in between."""
        self.found(planted.acknowledge_before_keeping, 2, "forgets the outcome of .* which its client's ledger has not got")

    def test_refuse_a_second_run(self) -> None:
        """A node refuses an attempt that it has."""
        self.found(planted.refuse_a_second_run, 6, "it is here already|RunJobs was said twice")

    def test_refuse_a_second_end(self) -> None:
        """A client answers the end of an attempt that it has heard of by an error."""
        self.found(planted.refuse_a_second_end, 2, "JobsEnded was said twice|a tell failed|a link was lost")

    def test_incarnation_not_raised(self) -> None:
        """A node that crashed says the number of its former life."""
        self.found(planted.incarnation_not_raised, 1, "never started.* not in the table|has begun in attempts")

    def test_late_attempt_accepted(self) -> None:
        """An outcome of a superseded attempt settles the job."""
        self.found(planted.late_attempt_accepted, 4, "nobody spoke of|is tried again .* too early")

    def test_slot_released_twice(self) -> None:
        """A slot is released when its job's end is heard, and again when the job is found to be lost."""
        self.found(planted.slot_released_twice, 3, "counts .* slots .* in use")

    def test_cancel_overwrites_finished(self) -> None:
        """A job that finished before the cancel came is said to be Cancelled."""
        self.found(planted.cancel_overwrites_finished, 2, "has ended with .* its job with")

    def test_cancel_overwrites_what_is_owed(self) -> None:
        """A node that has an outcome to tell is told to cancel, and tells another."""
        self.found(planted.cancel_overwrites_what_is_owed, 5, "has ended with .* is told")

    def test_reconcile_skipped(self) -> None:
        """A link that comes back at once begins without a reconcile."""
        self.found(planted.reconcile_skipped, 1, "without any trouble a client|is sent again and again")

    def test_window_credit_lost(self) -> None:
        """A stream's window is not given back."""
        self.found(planted.window_credit_lost, 2, "a stream stands at")

    def test_window_given_in_vain(self) -> None:
        """A stream's window is given back, and its sender does not wake."""
        self.found(planted.window_given_in_vain, 2, "a stream stands at")

    def test_wall_clock_for_liveness(self) -> None:
        """The wall clock jumps, and nodes are given up for it."""
        self.found(planted.wall_clock_for_liveness, 20, "is given up after")

    def test_wall_clock_at_the_node(self) -> None:
        """The wall clock jumps, and a node takes its client for gone."""
        self.found(planted.wall_clock_at_the_node, 10, "elapsed: .* after .* instead of")

    def test_sent_again_on_silence(self) -> None:
        """A job that is not reentrant is sent again, because its node is silent and its start was not heard of."""
        self.found(planted.sent_again_on_silence, 9, "is not reentrant, and queued again|has begun in attempts")

    def test_second_start(self) -> None:
        """Jobs that are not reentrant are queued again although they are lost."""
        self.found(planted.second_start, 1, "is not reentrant, and queued again|has begun in attempts|not in the table")

    def test_slot_too_many(self) -> None:
        """A node takes whatever it is given, and the ledger gives one more than there are slots."""
        self.found(planted.slot_too_many, 0, "slots")

    def test_outcome_forgotten_early(self) -> None:
        """A node forgets an outcome as soon as it has been told."""
        self.found(planted.outcome_forgotten_early, 0, "not in the table|has no end")

    def test_try_everything_again(self) -> None:
        """A job that failed is tried again, and its user has not asked for that."""
        self.found(planted.try_everything_again, 1, "has begun in attempts|is to be tried again after")

    def test_rest_by_the_first_clock(self) -> None:
        """A job is tried again before its backoff is over."""
        self.found(planted.rest_by_the_first_clock, 0, "is tried again .* s too early")
