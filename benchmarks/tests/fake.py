"""A contestant that needs no library: it has a speed, loses what it is told to lose, and fails as it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import LOST, Batch


class Fake:
    """Runs jobs in no time and says that they took some.

    :param rate: jobs a second, as it claims.
    :param lose: every so manieth job gives no result; 0 for none.
    :param fails: "" or what goes wrong: "start" raises, "cell" raises at each batch, "hang" never returns from one, "die" ends the
        process there.
    :param leaves: a file that gets the pid of a process which it starts, in a session of its own, and forgets.
    """

    def __init__(self, rate: float = 1000.0, lose: int = 0, fails: str = "", leaves: str = "") -> None:
        self.rate, self.lose, self.fails, self.leaves = rate, lose, fails, leaves
        self.sizes: list[int] = []
        self.queued: list[Any] = []

    def start(self) -> None:
        print("libraries print")
        if self.leaves:
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
            with open(self.leaves, "a") as file:
                file.write(f"{left.pid}\n")
        if self.fails == "start":
            raise RuntimeError("this one does not start")

    def run(self, arguments: Sequence[Any]) -> Batch:
        if self.fails == "cell":
            raise ValueError("no batches here\nwith more to say")
        if self.fails == "hang":
            time.sleep(60)
        if self.fails == "die":
            print("I give up", file=sys.stderr)
            sys.stderr.flush()
            os._exit(3)
        self.sizes.append(len(arguments))
        results = [LOST if self.lose and n % self.lose == 0 else argument for n, argument in enumerate(arguments)]
        return Batch(results, len(arguments) / self.rate)

    def one(self, argument: Any) -> Any:
        return argument

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self.queued.append((argument, seconds))

    def stop(self) -> None:
        print("stopped")
