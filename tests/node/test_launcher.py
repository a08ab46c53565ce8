"""What any launcher does, tried on the real one."""

from __future__ import annotations

import os

from twisted.trial.unittest import TestCase

from dispytw.errors import RefusedError, UnknownComputationError
from dispytw.node.adoption import Papers
from dispytw.values import CANCELLED, FINISHED, Computation, File
from dispytw.wire.jobframes import HEARD, Answer
from tests.node.launching import LauncherCase, RealLauncherCase
from tests.worker.driving import opened


class LauncherContract(LauncherCase):
    """What any launcher does."""

    async def test_many_jobs(self) -> None:
        """Jobs started in one call, even before setup() has ended, each end once, and those that take a moment start once; then the computation is closed."""
        uid = self.launch("def setup(): return 0")
        attempts = self.start(uid, *[("fine",)] * 8)
        for attempt in attempts:
            outcome = await self.outcome(uid, attempt)
            self.assertEqual((outcome.status, opened(outcome.result)), (FINISHED, "fine"))
        self.launcher.close(uid)
        self.assertEqual((await self.events.next("gone"))[1:], (uid, ""))
        kinds = self.events.kinds(uid)
        self.assertEqual((kinds[0], kinds[-1], kinds.count("gone")), ("ready", "gone", 1))
        self.assertEqual(8, kinds.count("ended"))
        self.assertLessEqual(kinds.count("started"), 8)

    async def test_a_failed_setup(self) -> None:
        """The traceback is told, then the end; the computation can be launched anew."""
        uid = self.launch("def setup(): raise ValueError('no data')")
        self.assertIn("ValueError: no data", (await self.events.next("failed"))[2])
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_cancel(self) -> None:
        """A running job is cancelled; a cancel of anything else means nothing."""
        uid = self.launch()
        (attempt,) = self.start(uid, ("sleeps",))
        await self.events.next("started", uid, attempt)
        for names in ((uid, self.attempt()), (os.urandom(16), attempt), (uid, attempt), (uid, attempt)):
            self.launcher.cancel(*names)
        self.assertEqual((await self.outcome(uid, attempt)).status, CANCELLED)

    async def test_more_than_its_width(self) -> None:
        """Four run, the others wait, and are given back when they are asked for; then there is nothing more to give."""
        uid = self.launch()
        attempts = self.start(uid, *[("sleeps",)] * 6)
        for attempt in attempts[:4]:
            await self.events.next("started", uid, attempt)
        self.launcher.recall(uid, 5)
        self.assertEqual(("given back", uid, (attempts[5], attempts[4])), await self.events.next("given back"))
        self.launcher.recall(uid, 5)
        await self.events.next("given back", uid, ())
        self.launcher.recall(os.urandom(16), 1)
        self.assertEqual(4, self.events.kinds(uid).count("started"))

    async def test_close_cancels_what_runs(self) -> None:
        """Every outcome is told before the end is."""
        uid = self.launch()
        attempts = self.start(uid, ("sleeps",), ("sleeps",))
        await self.events.next("started", uid, attempts[1])
        self.launcher.close(uid)
        self.start(uid, ("fine",))  # too late: left to whoever counts attempts
        await self.events.next("gone")
        self.assertEqual(sorted(self.events.kinds(uid)[-3:]), ["ended", "ended", "gone"])

    async def test_unknown_and_repeated_computations(self) -> None:
        """Jobs for an unknown computation and a second launch of one are errors; other words about an unknown one are not."""
        self.assertRaises(UnknownComputationError, self.launcher.start, bytes(16), [])
        self.launcher.close(bytes(16))
        self.launcher.kill(bytes(16))
        computation = Computation(self.launch(), "compute", File("bundle", bytes(32), 0))
        self.assertRaises(RefusedError, self.launcher.launch, Papers(computation, bytes(16), "", 9), "", "", "")

    async def test_stop(self) -> None:
        """All computations end, each told; nothing is launched any more."""
        uids = [self.launch() for _ in range(3)]
        self.start(uids[0], ("sleeps",))
        await self.events.next("started")
        await self.launcher.stop()
        for uid in uids:
            self.assertEqual(self.events.kinds(uid)[-1], "gone")
        self.assertEqual(self.launcher.pids(), {})
        self.assertRaises(RefusedError, self.launch)


class LauncherTests(RealLauncherCase, LauncherContract, TestCase):
    """The real launcher, real processes."""

    async def test_a_job_speaks(self) -> None:
        """What it says is told, its answer gets there, and the limit for files too; what a killed one has left goes in the end."""
        self.launcher.max_file_size = 3
        uid = self.launch("def tells():\n    with open('x', 'w') as file: file.write('four')\n    return dispy_provisional_result(1), dispy_send_file('x')")
        await self.ready(uid)
        (attempt,) = self.start(uid, ("tells",))
        remark = (await self.events.next("said", uid))[2]
        self.assertEqual((attempt, 1, 1), (remark.attempt, remark.number, opened(remark.body)))
        self.launcher.say(uid, [Answer(attempt, 1, HEARD)])
        self.launcher.say(os.urandom(16), [Answer(attempt, 1, HEARD)])
        outcome = await self.outcome(uid, attempt)
        self.assertEqual((0, -1), opened(outcome.result))
        (papers,) = [name for name in os.listdir(self.launcher.spool_dir) if name.endswith(".papers")]
        left = os.path.join(self.launcher.spool_dir, papers.replace(".papers", ".owed.said-0123"))
        with open(left, "w"):
            pass
        self.launcher.close(uid)
        await self.events.next("gone")
        self.assertFalse(os.path.exists(left))
