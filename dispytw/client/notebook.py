"""How clusters and jobs look in a notebook: small tables, with everything that came from elsewhere escaped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from dispytw.client.nodes import DispyNode

#: Characters of a traceback that are shown.
_MOST = 4000


def job_html(job: Any, status: str) -> str:
    """A job: what is known of it. Its result is neither opened nor shown.

    :param status: in words.
    """
    rows = [
        ("status", status),
        ("node", job.ip_addr),
        ("submitted", _at(job.submit_time)),
        ("started", _at(job.start_time)),
        ("ended", _at(job.end_time)),
        ("reason", job.reason),
    ]
    table = "".join(f"<tr><th>{name}</th><td>{_text(value)}</td></tr>" for name, value in rows if value)
    exception = f"<pre>{_text(job.exception[-_MOST:])}</pre>" if job.exception else ""
    return f"<table><caption>job {_text(job.id)}</caption>{table}</table>{exception}"


def cluster_html(name: str, jobs: int, pending: int, nodes: Iterable[DispyNode]) -> str:
    """A cluster: how many jobs it has had, how many have not ended, and its nodes."""
    head = _row("th", ("node", "address", "CPUs", "busy", "jobs done", "seconds"))
    body = "".join(
        _row("td", (node.name, f"{node.ip_addr}:{node.port}", node.cpus, node.busy, node.jobs_done, f"{node.cpu_time:.3f}"))
        for node in nodes
    )
    caption = f"cluster {_text(name)}: {jobs} jobs, {pending} of them not ended"
    return f"<table><caption>{caption}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"


def _row(kind: str, cells: Sequence[Any]) -> str:
    return "<tr>" + "".join(f"<{kind}>{_text(cell)}</{kind}>" for cell in cells) + "</tr>"


def _text(value: Any) -> str:
    return escape(str(value))


def _at(wall: float | None) -> str:
    return "" if wall is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
