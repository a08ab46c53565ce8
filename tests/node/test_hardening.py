"""Nobody but root looks into the daemon's memory."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

from twisted.logger import globalLogPublisher

from dispytw.node import hardening
from dispytw.node.hardening import hide_process

#: Where a new interpreter finds the package.
BESIDE = Path(hardening.__file__).parents[2]
#: Says whether this process can be dumped, before and after.
PROGRAM = """
import ctypes
from dispytw.node.hardening import hide_process
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
hide_process()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


class Hiding(unittest.TestCase):
    """prctl(PR_SET_DUMPABLE)."""

    def test_a_process_hides(self) -> None:
        """Afterwards the kernel says that it cannot be dumped, nor read by others of its user."""
        done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=BESIDE, capture_output=True, text=True, check=True)
        self.assertEqual(["1", "0"] if sys.platform.startswith("linux") else [], done.stdout.split())

    def test_what_is_asked(self) -> None:
        """On Linux exactly this; elsewhere nothing."""
        for platform, calls in (("linux", [mock.call(4, 0, 0, 0, 0)]), ("darwin", []), ("freebsd14", [])):
            libc = mock.Mock()
            libc.prctl.return_value = 0
            with mock.patch.object(sys, "platform", platform), mock.patch.object(ctypes, "CDLL", return_value=libc):
                hide_process()
            self.assertEqual(calls, libc.prctl.mock_calls, platform)

    def test_a_kernel_that_refuses(self) -> None:
        """Is no reason not to start; it is logged with the error's number."""
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        libc = mock.Mock()
        libc.prctl.side_effect = lambda *_: ctypes.set_errno(1) or -1
        with mock.patch.object(sys, "platform", "linux"), mock.patch.object(ctypes, "CDLL", return_value=libc):
            hide_process()
        (event,) = (event for event in events if event.get("log_namespace") == hardening.__name__)
        self.assertEqual(1, event["errno"])
