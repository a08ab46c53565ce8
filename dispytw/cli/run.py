"""``dispytw run``: a program, with a private node that lives as long as it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from dispytw.client.privatenode import PrivateNode
from dispytw.client.targets import RUN_NODE, RUN_SECRET_FILE


def run_program(program: str, arguments: Sequence[str], cpus: int = 0) -> int:
    """Run the program with this interpreter and a private node.

    :param program: path of a Python file.
    :param cpus: slots of the node; 0 for as many as the machine has cores.
    :returns: the program's exit code; 128 + n when signal n ended it, 2 when there is no such file.
    """
    if not os.path.isfile(program):
        print(f"dispytw run: no such file: {program}", file=sys.stderr)
        return 2
    try:
        node = PrivateNode(cpus)
    except RuntimeError as error:
        print(f"dispytw run: {error}", file=sys.stderr)
        return 1
    try:
        environment = {**os.environ, RUN_NODE: str(node.address), RUN_SECRET_FILE: node.secret_file}
        return _run([sys.executable, program, *arguments], environment)
    finally:
        node.end()


def _run(command: list[str], environment: dict[str, str]) -> int:
    # A terminal's Ctrl-C reaches the program, which decides; a SIGTERM to us is passed on, one that comes before there is a program too.
    # Neither is ignored: the program would inherit that.
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    with _handling(signal.SIGINT, lambda number, frame: None), _handling(signal.SIGTERM, pass_on):
        child = subprocess.Popen(command, env=environment)
        for number in early:
            child.send_signal(number)
        code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _handling(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal meanwhile, unless whoever has started us wants it to be ignored."""
    earlier = signal.getsignal(number)
    if earlier is not signal.SIG_IGN:
        signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, earlier)
