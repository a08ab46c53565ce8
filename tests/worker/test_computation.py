"""A computation that lives in the supervisor itself, as where there are no subreapers: all else is as with a zygote."""

from __future__ import annotations

import os

from dispytw.values import FINISHED
from dispytw.wire.frames import Close, Kept, Ready, SetupFailed
from tests.worker.driving import SupervisorTestCase, opened
from tests.worker.standin import ALONE


class InTheSupervisor(SupervisorTestCase):
    """A real one."""

    def test_its_life(self) -> None:
        """setup(), jobs of both kinds, and cleanup() find the same globals, in the supervisor's own process."""
        for isolation in ("job", "worker"):
            with self.subTest(isolation):
                driver = self.supervisor(
                    "def setup(): globals().update(made_in=os.getpid()); return 0\n"
                    "def cleanup(): open('cleaned', 'w').write(str(os.getpid()))\n"
                    "def look(): return made_in, os.getppid()",
                    isolation=isolation,
                    command=ALONE,
                )
                driver.hear_a(Ready)
                assert driver.process is not None
                attempt = driver.begin("look")
                outcome = driver.outcome(attempt)
                self.assertEqual(FINISHED, outcome.status, outcome)
                made_in, parent = opened(outcome.result)  # type: ignore[misc]
                self.assertEqual(driver.process.pid, made_in)
                self.assertEqual(isolation == "worker", parent == made_in)
                driver.say(Kept((attempt,)), Close())
                self.assertEqual(0, self.ended(driver))
                with open(os.path.join(driver.work, "cleaned")) as cleaned:
                    self.assertEqual(made_in, int(cleaned.read()))

    def test_a_setup_that_fails(self) -> None:
        """Its traceback comes home."""
        driver = self.supervisor("def setup(): raise ValueError('no')", command=ALONE)
        failed = driver.hear_a(SetupFailed)
        assert isinstance(failed, SetupFailed)
        self.assertIn("ValueError: no", failed.text)

