"""What a supervisor gets from its daemon, and how they meet."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase, TestCase

from dispytw.node.leftovers import MARK
from dispytw.node.supervisorlink import scrubbed
from dispytw.values import FINISHED
from tests.node.launching import RealLauncherCase
from tests.worker.driving import opened


class SupervisorLinkTests(RealLauncherCase, TestCase):
    """Real processes."""

    async def test_the_environment_of_a_job(self) -> None:
        """No secret, no service manager's socket; the computation's mark and everything else are there."""
        for name, value in (("DISPYTW_SECRET", "x"), ("DISPYTW_RUN_SECRET_FILE", "/x"), ("CREDENTIALS_DIRECTORY", "/x"),
                            ("NOTIFY_SOCKET", "/x"), ("LISTEN_FDS", "1"), ("OMP_NUM_THREADS", "3")):  # fmt: skip
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(
                os.environ.__setitem__ if before else os.environ.__delitem__, *((name, before) if before else (name,))
            )
        uid = self.launch()
        (attempt,) = self.start(uid, ("environment",))
        found = opened((await self.outcome(uid, attempt)).result)
        assert isinstance(found, dict)
        self.assertEqual(found["OMP_NUM_THREADS"], "3")
        self.assertTrue(found[MARK].startswith(uid.hex()), found[MARK])
        self.assertEqual(
            {"DISPYTW_SECRET", "DISPYTW_RUN_SECRET_FILE", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_FDS"}
            & set(found),
            set(),
        )

    async def test_a_long_run_directory(self) -> None:
        """A path longer than a Unix address holds is no obstacle."""
        self.launcher.run_dir = os.path.join(self.run, "d" * 120)
        os.mkdir(self.launcher.run_dir)
        uid = self.launch()
        (attempt,) = self.start(uid, ("fine",))
        self.assertEqual((await self.outcome(uid, attempt)).status, FINISHED)


class ScrubTests(SynchronousTestCase):
    """The environment of a supervisor."""

    def test_what_goes_and_what_stays(self) -> None:
        """Names that hold secrets or sockets go, the rest stays, the mark is set."""
        environment = {
            b"DISPYTW_NODE_SECRET_FILE": b"1",
            b"LISTEN_PID": b"1",
            b"PATH": b"/bin",
            b"DISPYTW_RUN_NODE": b"n",
            b"SECRET": b"users",
        }
        kept = {b"PATH": b"/bin", b"DISPYTW_RUN_NODE": b"n", b"SECRET": b"users", b"DISPYTW_COMPUTATION": b"00" * 16}
        self.assertEqual(scrubbed(environment, bytes(16)), kept)
