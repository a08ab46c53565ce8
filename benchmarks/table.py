"""From lines to tables: pure functions that write markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contestants import Entry
from benchmarks.runner import Line


@dataclass(frozen=True)
class Column:
    """A column of the contestants' table.

    :ivar cell: the cell whose figure it shows.
    :ivar figure: the figure's name.
    """

    title: str
    cell: str
    figure: str
    write: Callable[[float], str]


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _fine(value: float) -> str:
    return f"{value:.2f}"


COLUMNS = (
    Column("no-op jobs/s", "noop", "noop", _whole),
    Column("round trip p50, ms", "roundtrip", "p50", _fine),
    Column("p99, ms", "roundtrip", "p99", _fine),
    Column("1 MiB echo, MB/s", "echo1", "echo1", _whole),
    Column("64 MiB echo, MB/s", "echo64", "echo64", _whole),
    Column("bytes per queued job", "queue", "memory", _whole),
    Column("submits/s", "queue", "submits", _whole),
)

LIMITS = (
    Column("fork + _exit + waitpid, two in flight", "fork_slots", "fork_slots", lambda value: f"{value:,.0f}/s"),
    Column("fork + _exit + waitpid, one after another", "fork_one", "fork_one", lambda value: f"{value:,.0f}/s"),
    Column("TCP over loopback, two processes", "tcp", "tcp", lambda value: f"{value:,.0f} MB/s"),
    Column("TLS 1.3 over loopback, two processes", "tls", "tls", lambda value: f"{value:,.0f} MB/s"),
)

BARE = "bare"


class Results:
    """What the lines say, by contestant and figure."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)

    def of(self, contestant: str, figure: str) -> list[float]:
        """This figure in each repetition that has it."""
        return [line.figures[figure] for line in self.lines if line.contestant == contestant and figure in line.figures]

    def median(self, contestant: str, figure: str) -> float | None:
        """The median over the repetitions; None where there is no figure at all."""
        values = self.of(contestant, figure)
        return median(values) if values else None

    def errors(self, contestant: str, cells: Iterable[str]) -> list[str]:
        """Why figures of these cells are missing, each reason once, with the cells it took."""
        reasons: dict[str, list[str]] = {}
        for line in self.lines:
            if line.contestant == contestant and line.error and line.cell in cells:
                reasons.setdefault(line.error, []).append(line.cell)
        return [f"{error} ({_counted(missing)})" for error, missing in reasons.items()]

    def lost(self, contestant: str) -> tuple[int, int]:
        """Jobs without a result, or with a wrong one, and jobs in all."""
        own = [line for line in self.lines if line.contestant == contestant]
        return sum(line.lost for line in own), sum(line.jobs for line in own)


def _counted(cells: Sequence[str]) -> str:
    return ", ".join(f"{cell} ×{cells.count(cell)}" for cell in dict.fromkeys(cells))


def contestants_table(results: Results, entries: Sequence[Entry]) -> str:
    """A row for each contestant that was asked; one that failed has its error in it."""
    rows = [["", "processes", *(column.title for column in COLUMNS), "jobs lost"]]
    asked = {line.contestant for line in results.lines}
    rows += [_row(results, entry) for entry in entries if entry.name in asked]
    return written(rows)


def _row(results: Results, entry: Entry) -> list[str]:
    figures = [_shown(results, entry.name, column) for column in COLUMNS]
    errors = results.errors(entry.name, {column.cell for column in COLUMNS})
    lost, jobs = results.lost(entry.name)
    title = "<br>".join([entry.title, *(f"*{error}*" for error in errors)]).replace("|", "\\|")
    return [title, "kept" if entry.kept else "one a job", *figures, f"{lost:,} of {jobs:,}" if jobs else "–"]


def _shown(results: Results, name: str, column: Column) -> str:
    value = results.median(name, column.figure)
    if value is None:
        return "–"
    if column.figure != "noop":
        return column.write(value)
    values = results.of(name, column.figure)
    return f"**{column.write(value)}** ({column.write(min(values))}–{column.write(max(values))})"


def limits_table(results: Results) -> str:
    """The machine's own limits."""
    rows = [["the bare machine", "median", "range"]]
    for column in LIMITS:
        values = results.of(BARE, column.figure)
        if values:
            spread = f"{column.write(min(values))} – {column.write(max(values))}"
            rows.append([column.title, column.write(median(values)), spread])
    rows += [[f"*{error}*", "–", "–"] for error in results.errors(BARE, {column.cell for column in LIMITS})]
    return written(rows)


#: What is said about whom: name, figure, against whom, figure, how it is written.
RATIOS = (
    ("dispytw-job", "noop", "dispy", "noop", "A process for each job: {:.1f} times dispy."),
    ("dispytw-job", "noop", BARE, "fork_slots", "A process for each job: {:.0%} of the bare forks, two in flight."),
    ("dispytw-job", "noop", "pool-job", "noop", "A process for each job: {:.1f} times multiprocessing.Pool with maxtasksperchild=1."),
    ("dispytw-worker", "noop", "dask", "noop", "Kept workers: {:.1f} times dask.distributed."),
    ("dispytw-worker", "noop", "ray", "noop", "Kept workers: {:.1f} times ray."),
    ("dispytw-worker", "noop", "executor", "noop", "Kept workers: {:.2f} times ProcessPoolExecutor."),
    ("dispytw-worker", "noop", "pool", "noop", "Kept workers: {:.2f} times multiprocessing.Pool."),
    ("dispytw-job", "echo64", BARE, "tls", "64 MiB echo: {:.0%} of what TLS moves between two processes."),
)


def ratios(results: Results) -> str:
    """How dispytw stands, in sentences: medians divided by medians."""
    sentences = []
    for name, figure, other, other_figure, sentence in RATIOS:
        ours, theirs = results.median(name, figure), results.median(other, other_figure)
        if ours is not None and theirs:
            sentences.append("- " + sentence.format(ours / theirs))
    return "\n".join(sentences)


def profile_table(results: Results, entry: Entry, cell: str, prefix: str) -> str:
    """Where a job's time goes; empty if that was not measured.

    :param cell: the cell of `benchmarks.profile`.
    :param prefix: what its figures begin with.
    """
    names = {name for line in results.lines if (line.contestant, line.cell) == (entry.name, cell) for name in line.figures}
    roles = sorted({name.removeprefix(prefix).rpartition(" ")[0] for name in names if name.endswith(" faults")}, key=_role_order)
    errors = results.errors(entry.name, {cell})
    if not roles:
        return "\n".join(f"*{error}*" for error in errors)
    rows = [["", "CPU, µs a job", "in programs", "in the kernel", "page faults a job"]]
    kinds = ("user", "system", "faults")
    used = {role: [results.median(entry.name, f"{prefix}{role} {kind}") or 0.0 for kind in kinds] for role in roles}
    rows += [_profile_row(role, *figures) for role, figures in used.items() if sum(figures) >= 0.1]
    total = [sum(figures[position] for figures in used.values()) for position in range(3)]
    rows.append(_profile_row("**all**", *total))
    wall = results.median(entry.name, f"{prefix}wall") or 0.0
    return f"{written(rows)}\n\n{wall:,.0f} µs of time for each job, {(total[0] + total[1]) / wall:.2f} CPUs busy."


def _role_order(role: str) -> tuple[int, str]:
    return (0 if role.startswith("client, main") else 1 if role.startswith("client") else 2, role)


def _profile_row(role: str, user: float, system: float, faults: float) -> list[str]:
    return [role, f"{user + system:,.0f}", f"{user:,.0f}", f"{system:,.0f}", f"{faults:,.1f}"]


def written(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a markdown table, the first of them its head; every column but the first is set to the right."""
    head, *body = rows
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
