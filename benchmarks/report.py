"""A run's results as files: one markdown text, one JSON with everything, and the text's place in the README."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.contestants import ENTRIES
from benchmarks.profile import PROFILES
from benchmarks.runner import Line
from benchmarks.table import BARE, Results, contestants_table, limits_table, profile_table, ratios

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"


def text(lines: Sequence[Line], facts: Mapping[str, str], notes: Sequence[str]) -> str:
    """All tables, below what the figures belong to.

    :param facts: what `benchmarks.machine.described` found, and what the run says of itself.
    :param notes: what else a reader must know, one sentence each.
    """
    results = Results(lines)
    parts = ["\n".join(f"- {name}: {fact}" for name, fact in facts.items())]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    if any(line.contestant == BARE for line in lines):
        parts.append(limits_table(results))
    if any(line.cell not in ("start", *PROFILES) and line.contestant != BARE for line in lines):
        parts += [contestants_table(results, ENTRIES), ratios(results)]
    for entry in ENTRIES:
        for cell, prefix, what in (("profile", "noop: ", "no-op job"), ("profile_echo64", "echo64: ", "64 MiB echo")):
            if profiled := profile_table(results, entry, cell, prefix):
                parts.append(f"Where the time of a {what} goes, {entry.title}:\n\n{profiled}")
    return "\n\n".join(part for part in parts if part) + "\n"


def write(directory: Path, lines: Sequence[Line], facts: Mapping[str, str], notes: Sequence[str]) -> Path:
    """Write ``results.md`` and ``results.json``; the first one's path."""
    directory.mkdir(parents=True, exist_ok=True)
    everything = {"facts": dict(facts), "notes": list(notes), "lines": [asdict(line) for line in lines]}
    (directory / "results.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    (directory / "results.md").write_text(text(lines, facts, notes), encoding="utf-8")
    return directory / "results.md"


def placed(readme: str, results: str) -> str:
    """The README with these results in the place of the earlier ones.

    :raises ValueError: when it does not hold the two marks.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README must hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"
