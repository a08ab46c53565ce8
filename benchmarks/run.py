"""The one command: ``python3 benchmarks/run.py`` makes an environment, runs every contestant in turns, and writes the tables.

It takes about ten minutes, 25 at most. ``--short`` runs each contestant once, in less than three.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not this directory: its profile.py would stand before the standard library's

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from benchmarks import loopback, machine, report  # noqa: E402
from benchmarks.bare import CELLS as BARE_CELLS  # noqa: E402
from benchmarks.cells import TOGETHER  # noqa: E402
from benchmarks.contestants import ENTRIES, Entry  # noqa: E402
from benchmarks.environment import Environment  # noqa: E402
from benchmarks.profile import PROFILES  # noqa: E402
from benchmarks.runner import DESCRIPTOR, Line, Program, Runner  # noqa: E402
from benchmarks.table import BARE  # noqa: E402

#: Seconds after which no further program is started.
LIMIT = 24 * 60.0
HERE = ROOT / "benchmarks"


def main() -> None:
    """Everything; in the environment's Python after it has been made by ours."""
    options = parser().parse_args()
    environment = Environment(options.venv)
    if not environment.runs_this:
        environment.prepare(say)
        os.execv(environment.python, [str(environment.python), __file__, *sys.argv[1:]])
    compete(options, environment)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--short", action="store_true", help="one repetition")
    made.add_argument("--repetitions", type=int, default=5, metavar="N", help="how often each contestant runs (5)")
    names = [BARE, *(entry.name for entry in ENTRIES)]
    made.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    made.add_argument("--profile", action="store_true", help="only where dispytw's time goes")
    made.add_argument("--output", type=Path, default=HERE / "results", metavar="DIR", help="for results.md and results.json")
    made.add_argument("--readme", action="store_true", help="put the tables into README.md too")
    made.add_argument("--venv", type=Path, default=HERE / ".venv", metavar="DIR", help="the environment")
    return made


def compete(options: argparse.Namespace, environment: Environment) -> None:
    """Run, and write down what came of it."""
    began, facts = time.monotonic(), machine.described()
    notes = [f"Not installed: {peer}: {reason}" for peer, reason in environment.refused.items()]
    alone = _enter_loopback(notes)
    repetitions = 1 if options.short else options.repetitions
    entries = [entry for entry in ENTRIES if entry.name in options.only]
    planned = programs(entries, BARE in options.only and not options.profile, options.profile)
    able = [program for program in planned if alone or program.name not in _talkative(entries)]
    facts["load before"] = machine.load()
    lines = Runner(able, ROOT, began + LIMIT, say).run(repetitions)
    lines += [_unheard(program) for program in planned if program not in able]
    facts["load after"] = machine.load()
    facts["run"] = f"{repetitions} repetitions, {(time.monotonic() - began) / 60:.1f} minutes, longest cell {_longest(lines):.1f} s"
    finish(options, lines, facts, notes)


def programs(entries: Sequence[Entry], bare: bool, profile_only: bool) -> list[Program]:
    """What will be started in each repetition: for each contestant a program for each group of cells."""
    found = [Program(BARE, [sys.executable, "-m", "benchmarks.bare", DESCRIPTOR, *BARE_CELLS], list(BARE_CELLS), starts=False)]
    for entry in entries:
        groups = [] if profile_only else list(TOGETHER)
        groups += [tuple(PROFILES)] if entry.profiled else []
        command = [sys.executable, "-m", "benchmarks.child", DESCRIPTOR, entry.place, json.dumps(entry.words)]
        found += [Program(entry.name, [*command, *cells], cells) for cells in groups]
    return found if bare else found[1:]


def _enter_loopback(notes: list[str]) -> bool:
    try:
        loopback.enter()
    except OSError as error:
        notes.append(f"{error}: contestants that cannot be kept on 127.0.0.1 were left out.")
        return False
    notes.append("Everything ran in a network namespace that has nothing but loopback.")
    return True


def _talkative(entries: Sequence[Entry]) -> set[str]:
    return {entry.name for entry in entries if not entry.quiet}


def _unheard(program: Program) -> Line:
    return Line(program.name, 0, program.cells[0], error="speaks beyond 127.0.0.1, and no network namespace could be made")


def _longest(lines: Sequence[Line]) -> float:
    return max((line.seconds for line in lines if line.cell != "start"), default=0.0)


def finish(options: argparse.Namespace, lines: Sequence[Line], facts: dict[str, str], notes: Sequence[str]) -> None:
    """The files, and the text for whoever waits."""
    path = report.write(options.output, lines, facts, notes)
    print(path.read_text(encoding="utf-8"))
    say(f"written to {options.output}")
    if options.readme:
        readme = report.README.read_text(encoding="utf-8")
        report.README.write_text(report.placed(readme, path.read_text(encoding="utf-8")), encoding="utf-8")


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
