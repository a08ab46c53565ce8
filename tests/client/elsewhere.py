"""Another interpreter, standing for a node: a computation goes there in a bundle, calls go in payloads, and what comes back is opened here.

Run as a program it is that interpreter: it reads what `call_there` sends on its standard input and answers on its standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@attrs.frozen
class Failed:
    """A call that raised there."""

    text: str


def call_there(
    computation: Any, *calls: tuple[Any, ...], forget: tuple[str, ...] = (), forked: bool = False, **packing: Any
) -> list[Any]:
    """What each call returned, or a `Failed`; setup() runs before them and cleanup() after.

    :param forget: files to remove before, as they would not be there on another machine.
    :param forked: whether each is called as in a process that was forked for it.
    :param packing: for `pack_computation`.
    """
    from dispytw.client.depends import pack_computation
    from dispytw.wire.payload import pack_arguments

    shipment = pack_computation(computation, uid=b"u" * 16, **packing)
    payloads = [pack_arguments(call, {}, shipment.shipped).data for call in calls]
    for path in forget:
        os.remove(path)
    return _answers(shipment.bundle, payloads, forked)


def call_there_with(
    computation: Any, jobs: Sequence[tuple[tuple[Any, ...], list[Any]]], edit: tuple[str, str], before: int, **packing: Any
) -> list[Any]:
    """As `call_there`, for calls that each bring dependencies of their own; files are left out.

    :param jobs: arguments and dependencies of each call.
    :param edit: a file, and what is written to it.
    :param before: the number of the call that is packed after that.
    """
    from dispytw.client.depends import pack_computation
    from dispytw.client.jobpacking import pack_job
    from dispytw.wire.bundle import OWN_PLACE

    shipment = pack_computation(computation, uid=b"u" * 16, **packing)
    payloads = []
    for number, (args, depends) in enumerate(jobs):
        if number == before:
            with open(edit[0], "w", encoding="utf-8") as file:
                file.write(edit[1])
        body: Any = pack_job(shipment, args, {"dispy_job_depends": depends})
        payloads.append(body.data.removeprefix(OWN_PLACE))
    return _answers(shipment.bundle, payloads)


def _answers(bundle: bytes, payloads: list[bytes], forked: bool = False) -> list[Any]:
    from dispytw.wire.payload import open_result

    with tempfile.TemporaryDirectory() as empty:
        answer = subprocess.run(
            [sys.executable, os.path.abspath(__file__)],
            input=msgpack.packb([bundle, payloads, forked]),
            stdout=subprocess.PIPE,
            cwd=empty,
            check=True,
            timeout=60,
        )
    return [open_result(value) if ok else Failed(value.decode()) for ok, value in msgpack.unpackb(answer.stdout)]


def run_program(files: Mapping[str, str], arguments: tuple[str, ...] = ("program.py",), typed: str | None = None) -> str:
    """Run a Python program made of these files in a directory of its own; returns what it printed.

    :param typed: what it reads on its standard input.
    """
    with tempfile.TemporaryDirectory() as directory:
        for path, text in files.items():
            place = os.path.join(directory, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                file.write(textwrap.dedent(text))
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": ROOT},
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
    if ran.returncode:
        raise AssertionError(ran.stdout)
    return ran.stdout


def _serve() -> None:
    sys.path[0] = ROOT
    sys.modules["twisted"] = None  # type: ignore[assignment]  # any import of it raises
    from dispytw.wire.bundle import decode, mentioned
    from dispytw.worker.namespace import load

    bundle, payloads, forked = msgpack.unpackb(sys.stdin.buffer.read())
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    namespace = load(decode(bundle), facts={"dispy_node_name": "elsewhere"}, mentions=mentioned(bundle))
    if namespace.has_setup:
        namespace.setup()
    perform = namespace.performing() if forked else namespace.perform
    results: list[tuple[bool, bytes]] = []
    for payload in payloads:
        try:
            results.append((True, perform(payload)))
        except Exception:
            results.append((False, traceback.format_exc().encode()))
        namespace.restore()
    if namespace.has_cleanup:
        namespace.cleanup()
    with answers:
        answers.write(msgpack.packb(results))


if __name__ == "__main__":
    _serve()
