"""Where processes that serve slots are no copies of the supervisor, but fresh ones: as there is no fork, or the user wants it so.

Such a process is executed (`dispytw.worker.spawned`). What all of them have to know are its *papers*, a file without a name that each of
them reads: the bundle, and the globals that setup() has left (`dispytw.worker.handover`). The sockets and captures of its slot are passed
as descriptors.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from typing import IO, Any

import attrs

from dispytw.values import FORK, SPAWN, WORKER
from dispytw.wire.frames import Setup
from dispytw.worker import descriptors
from dispytw.worker.handover import Handed, Handover, HandoverError
from dispytw.worker.slots import Slot
from dispytw.worker.voice import voice

#: Whether this platform can copy a process.
CAN_FORK = hasattr(os, "fork")

_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: What is executed; the current directory, which is the user's, is not looked into for modules of ours.
COMMAND: tuple[str, ...] = (
    sys.executable,
    "-c",
    f"import sys; sys.path[0] = {_PACKAGE_PARENT!r}; from dispytw.worker.spawned import main; main()",
)


@attrs.frozen
class Papers:
    """What all processes of a computation have to know.

    :param bundle: its code.
    :param handed: the globals that setup() has left.
    :param path: where modules are looked for.
    :param ear: where jobs are heard.
    :param tracker: the descriptor of the process that removes shared memory, if setup() has started it.
    """

    setup: Setup
    bundle: bytes
    handed: Handed
    path: tuple[str, ...]
    ear: str
    tracker: int | None

    @property
    def passing(self) -> tuple[int, ...]:
        """The descriptors that are named in it."""
        return (*self.handed.descriptors, *(() if self.tracker is None else (self.tracker,)))


def spawns(setup: Setup) -> bool:
    """Whether jobs of a computation get fresh processes; a program is one anyway, whichever way it is started.

    :raises OSError: when they should not, and it cannot be done otherwise.
    """
    if setup.start_method == FORK and not CAN_FORK:
        raise OSError("start_method='fork': this node cannot fork; leave it out, or use 'spawn'")
    return setup.program is None and (setup.start_method == SPAWN or not CAN_FORK)


def prepare() -> None:
    """Before any of the user's code is run: let multiprocessing make what can be given to fresh processes, as it does on Windows.

    It is the default, not what somebody has chosen: that may be done once, and is the user's.
    """
    from multiprocessing import context

    context._default_context._default_context = context._concrete_contexts[SPAWN]  # type: ignore[attr-defined]


class Spawner:
    """Starts the servers of one computation; made before setup() is called.

    :param bundle: the computation's code.
    :param names: its globals.
    """

    def __init__(self, setup: Setup, bundle: bytes, names: dict[str, Any]) -> None:
        self._setup = setup
        self._bundle = bundle
        self._handover = Handover(names)
        self._papers: IO[bytes]
        self._passing: tuple[int, ...] = ()

    @property
    def most_jobs(self) -> int | None:
        """Jobs that one process runs."""
        return self._setup.max_jobs_per_worker if self._setup.isolation == WORKER else 1

    def take_over(self) -> str | None:
        """Keep what setup() has left; returns why that cannot be, or None.

        :raises OSError: when there is no room for it.
        """
        try:
            handed = self._handover.handed()
        except HandoverError as error:
            return str(error)
        del self._handover  # it holds the globals once more
        papers = Papers(self._setup, self._bundle, handed, tuple(sys.path), voice.ear, _tracker())
        self._papers = tempfile.TemporaryFile(dir=self._setup.out)  # noqa: SIM115  # kept as long as this process lives
        pickle.dump(papers, self._papers, 5)
        self._papers.flush()
        self._passing = (descriptors.keep(self._papers.fileno()), *papers.passing)
        return None

    def open_slot(self) -> Slot:
        """See `dispytw.worker.serving.Servers`."""
        return Slot.open(self._setup.out)

    def begin(self, slot: Slot) -> int:
        """See `dispytw.worker.serving.Servers`."""
        numbers = (os.getpid(), self.most_jobs or 0, voice.max_file_size, self._papers.fileno(), *slot.passing)
        process = subprocess.Popen(
            [*COMMAND, *map(str, numbers)], stdin=subprocess.DEVNULL, pass_fds=(*self._passing, *slot.passing)
        )
        process.returncode = 0  # whoever asked for it waits for its end
        return process.pid


def _tracker() -> int | None:
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    return getattr(tracker, "_fd", None)
