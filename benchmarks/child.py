"""A contestant's process: ``python -m benchmarks.child DESCRIPTOR PLACE WORDS CELL ...`` starts it, measures the cells, and stops it.

PLACE and WORDS (JSON) are those of a `benchmarks.contestants.Entry`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from benchmarks.cells import CELLS, Reading
from benchmarks.contestants import Contestant
from benchmarks.profile import PROFILES
from benchmarks.speech import told


def main(descriptor: int, place: str, words: dict[str, Any], cells: list[str]) -> None:
    """Say "start", then each cell. A contestant that does not start is asked for nothing."""
    with open(descriptor, "w", encoding="utf-8") as out:
        module, _, name = place.partition(":")
        contestant: Contestant = getattr(import_module(module), name)(**words)
        if not told(out, "start", lambda: _start(contestant)):
            return
        known = {**CELLS, **PROFILES}
        for cell in cells:
            told(out, cell, lambda cell=cell: known[cell](contestant))
    contestant.stop()


def _start(contestant: Contestant) -> Reading:
    contestant.start()
    return Reading({})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:])
