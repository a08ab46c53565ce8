"""The table that print_status prints."""

from __future__ import annotations

from collections.abc import Iterable

from dispytw.client.nodes import DispyNode

_COLUMNS = ("Node", "CPUs", "Jobs", "Sec/Job", "Node Time Sec", "Sent", "Rcvd")
_WIDTHS = (32, 5, 8, 10, 13, 10, 10)


def status_table(nodes: Iterable[DispyNode], pending: int, wall_time: float) -> str:
    """A line for each node, then the sums.

    :param pending: jobs that have not ended.
    :param wall_time: seconds to compare the jobs' time with.
    """
    nodes = list(nodes)
    lines = [_row(_COLUMNS), "-" * (sum(_WIDTHS) + 3 * (len(_WIDTHS) - 1))]
    lines += [_row(_cells(node)) for node in nodes]
    total = sum(node.cpu_time for node in nodes)
    lines.append("")
    if pending:
        lines.append(f"Jobs pending: {pending}")
    speedup = total / wall_time if wall_time > 0 else 0.0
    lines.append(f"Total job time: {total:.3f} sec, wall time: {wall_time:.3f} sec, speedup: {speedup:.3f}")
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return " | ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS))


def _cells(node: DispyNode) -> tuple[str, ...]:
    each = node.cpu_time / node.jobs_done if node.jobs_done else 0.0
    return (
        f"{node.ip_addr}:{node.port} ({node.name})"[:32],
        str(node.cpus),
        str(node.jobs_done),
        f"{each:.3f}",
        f"{node.cpu_time:.3f}",
        _bytes(node.tx),
        _bytes(node.rx),
    )


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
