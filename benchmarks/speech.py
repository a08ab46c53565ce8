"""What a contestant's process says to the runner: one JSON object a line, on a descriptor of its own, since libraries print."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any

from benchmarks.cells import Reading


def told(out: IO[str], cell: str, measure: Callable[[], Reading]) -> bool:
    """Measure one cell and say what came of it, or why nothing did; whether something did."""
    began = time.perf_counter()
    try:
        said: dict[str, Any] = asdict(measure())
    except Exception as error:  # whatever a library raises is its row's content
        traceback.print_exc()
        said = {"error": f"{type(error).__name__}: {error}".strip().splitlines()[0]}
    line = {"cell": cell, "seconds": round(time.perf_counter() - began, 3), **said}
    out.write(json.dumps(line) + "\n")
    out.flush()
    return "error" not in said
