"""The tables of docs/attempts.rst, as the simulation reads them."""

from __future__ import annotations

import csv
from pathlib import Path

import attrs

DIRECTORY = Path(__file__).parents[2] / "docs" / "attempts"

Row = tuple[str, str, str]


@attrs.frozen
class Table:
    """What a mind may do with an attempt.

    :param name: the mind.
    :param steps: for each state and event, the states that may follow.
    """

    name: str
    steps: dict[tuple[str, str], tuple[str, ...]]

    @property
    def rows(self) -> list[Row]:
        """Every state, event and state that follows: what the simulation has to cover."""
        return [(state, event, after) for (state, event), follow in self.steps.items() for after in follow]


def read(name: str) -> Table:
    """The table of a mind.

    :raises ValueError: when it says two things of one state and event.
    """
    steps: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in csv.DictReader((DIRECTORY / f"{name}.csv").read_text(encoding="utf-8").splitlines()):
        key = (row["state"], row["event"])
        if key in steps:
            raise ValueError(f"{name}.csv: {key} stands there twice")
        steps[key] = tuple(row["becomes"].split(" | "))
    return Table(name, steps)


LEDGER = read("ledger")
BENCH = read("bench")
