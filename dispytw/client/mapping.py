"""cluster.map: a computation over what an iterable gives, however long that is, with a bounded number of jobs at a time."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError
from functools import partial
from typing import Any, Protocol

import attrs

from dispytw.client.chunking import Chunker
from dispytw.client.joberrors import error_of
from dispytw.client.jobpacking import packed_arguments
from dispytw.client.progress import Bar, NoBar, progress_bar
from dispytw.errors import ResultError
from dispytw.values import PLAIN, TERMINATED, JobOptions, Outcome
from dispytw.wire.batches import Answer, pack_calls

#: Jobs in flight for each slot, and at least, when no window is asked for.
_PER_SLOT, _LEAST = 4, 16
#: Seconds for which an iterable is asked for more before what is there goes on its way.
_PATIENCE = 0.05

Args = tuple[Any, ...]
_NO_BAR = NoBar()


class Cluster(Protocol):
    """What a map needs of its cluster."""

    is_program: bool

    def submit_calls(self, calls: list[Args]) -> tuple[Any, int]:
        """Queue one job for these calls; returns it, and the bytes that their arguments take."""

    def slots(self) -> int:
        """How many jobs may run at the same time, as far as is known."""

    def refuse_to_wait(self, what: str) -> None:
        """Raise where waiting would never end."""


@attrs.define(eq=False)
class _Chunk:
    """Calls that travel together.

    :ivar job: None when their arguments could not be packed, and nothing travels.
    """

    first: int
    calls: int
    job: Any = None
    ended: bool = False
    failure: BaseException | None = None


class MapResults(Iterator[Any]):
    """What the calls return, one after another. What a call raised is raised in its place; the iterator then goes on with the next.

    `close`, the end of a ``with`` block, and leaving the loop cancel what has not ended.

    :param calls: the arguments of each call.
    :param window: jobs in flight, at most.
    :param timeout: seconds from now for all of it.
    :param bar: shows how many calls are done.
    :param eager: whether to submit as much as the window has room for before anything else.
    """

    def __init__(
        self,
        cluster: Cluster,
        calls: Iterator[Args],
        chunker: Chunker,
        ordered: bool = True,
        window: int | None = None,
        timeout: float | None = None,
        bar: Bar = _NO_BAR,
        eager: bool = False,
    ) -> None:
        self._cluster = cluster
        self._calls = calls
        self._chunker = chunker
        self._ordered = ordered
        self._window = window
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._bar = bar
        self._had = 0
        self._settled: queue.SimpleQueue[_Chunk] = queue.SimpleQueue()
        self._chunks: dict[int, _Chunk] = {}
        self._ended: deque[_Chunk] = deque()
        self._answers: deque[Callable[[], Any]] = deque()
        self._taken = 0
        self._failure: BaseException | None = None
        self._slow = self._exhausted = self._closed = False
        self._fill(float("inf") if eager else time.monotonic() + _PATIENCE, eager)

    def __iter__(self) -> MapResults:
        return self

    def __next__(self) -> Any:
        while not self._closed:
            if self._answers:
                self._had += 1
                self._bar.at(self._had, self._chunker.length)
                return self._answers.popleft()()
            self._hear()
            if self._is_due():
                self._answers.extend(_answers(self._due_chunk()))
                if not self._slow:
                    self._fill(0.0)
            elif not self._fill(time.monotonic() + _PATIENCE):
                if not self._chunks:
                    return self._end()
                self._wait()
        raise StopIteration

    def _end(self) -> Any:
        self.close()
        raise StopIteration if self._failure is None else self._failure

    # What ends.
    def _is_due(self) -> bool:
        """Whether a chunk has ended that may be had now."""
        if not self._ordered:
            return bool(self._ended)
        first = next(iter(self._chunks.values()), None)
        return first is not None and first.ended

    def _due_chunk(self) -> _Chunk:
        chunk = next(iter(self._chunks.values())) if self._ordered else self._ended.popleft()
        return self._chunks.pop(chunk.first)

    def _hear(self) -> None:
        while not self._settled.empty():
            self._take(self._settled.get())

    def _wait(self) -> None:
        """Wait for any chunk to end.

        :raises TimeoutError: when the time of the map is over; what is left is cancelled.
        """
        self._cluster.refuse_to_wait("a map")
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            self._take(self._settled.get(timeout=left))
        except queue.Empty:
            self.close()
            raise TimeoutError(f"map: not all results have come within {self._timeout} seconds; the others are cancelled") from None

    def _take(self, chunk: _Chunk) -> None:
        chunk.ended = True
        if not self._ordered:
            self._ended.append(chunk)
        job = chunk.job
        if job is not None and job.start_time is not None and job.end_time is not None:
            self._chunker.learned(chunk.calls, job.end_time - job.start_time)

    # What begins.
    def _fill(self, until: float, eager: bool = False) -> bool:
        """Submit what the window has room for, one chunk at least, until that time, or until something is due.

        :returns: whether there was anything.
        """
        before = self._taken
        while not self._exhausted and len(self._chunks) < self._room():
            self._submit(self._take_calls(self._chunker.size(self._cluster.slots())))
            self._hear()
            if time.monotonic() >= until or (self._is_due() and not eager):
                break
        return self._taken > before

    def _room(self) -> int:
        return self._window or max(_LEAST, _PER_SLOT * self._cluster.slots())

    def _take_calls(self, most: int) -> list[Args]:
        """The next calls; fewer where the iterable takes its time, unless their number is fixed."""
        calls: list[Args] = []
        until = time.monotonic() + _PATIENCE
        while len(calls) < most and not self._exhausted:
            try:
                calls.append(next(self._calls))
            except StopIteration:
                self._exhausted = True
            except Exception as error:  # raised when what came before it has been had
                self._exhausted, self._failure = True, error
            self._slow = time.monotonic() > until
            if self._slow and self._chunker.fixed is None:
                break
        return calls

    def _submit(self, calls: list[Args]) -> None:
        if not calls:
            return
        try:
            job, size = self._cluster.submit_calls(calls)
        except TypeError as error:  # an argument that cannot be packed: its place is known when it is alone
            if len(calls) > 1:
                for call in calls:
                    self._submit([call])
            else:
                self._settled.put(self._new_chunk(_Chunk(self._taken, 1, failure=error)))
            return
        chunk = self._new_chunk(_Chunk(self._taken, len(calls), job))
        self._chunker.taken(len(calls), size)
        job._when_settled(partial(self._settled.put, chunk))

    def _new_chunk(self, chunk: _Chunk) -> _Chunk:
        self._taken += chunk.calls
        self._chunks[chunk.first] = chunk
        return chunk

    # The end.
    def close(self) -> None:
        """Want nothing more; jobs that have not ended are cancelled."""
        if not self._closed:
            self._closed = True
            self._bar.close()
        for chunk in self._chunks.values():
            if chunk.job is not None and not chunk.ended:
                chunk.job._owner.cancel_soon(chunk.job)
        self._chunks.clear()
        self._ended.clear()
        self._answers.clear()

    def __enter__(self) -> MapResults:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()


def _answers(chunk: _Chunk) -> list[Callable[[], Any]]:
    """What became of each call: functions that return it or raise it."""
    job, failure = chunk.job, chunk.failure
    if job is not None:
        failure = job.error
    if failure is not None:
        return [partial(_raise, failure)] * chunk.calls
    if chunk.calls == 1:
        return [lambda: job.result]
    try:
        return [partial(_returned, job, chunk.first + place, answer) for place, answer in enumerate(job.result)]
    except ResultError as error:
        return [partial(_raise, error)] * chunk.calls


def _raise(error: BaseException) -> Any:
    raise error


def _returned(job: Any, place: int, answer: Answer) -> Any:
    if answer.result is None:
        who = f"call {place} of a map, in job {job.id} on node {job.ip_addr}, attempt {job.attempts}"
        raise error_of(Outcome(TERMINATED, exception=answer.exception, error=answer.error), who, job._owner.open_result)
    try:
        return job._owner.open_result(answer.result)
    except (Exception, SystemExit) as error:  # user classes may raise anything while being opened
        raise ResultError(f"result {place} of a map cannot be opened here: {error}") from error


class Mapping:
    """What a cluster gets `map` from; the cluster as it is for jobs with options has it too."""

    def map(
        self: Any,
        iterable: Iterable[Any],
        *more: Iterable[Any],
        chunksize: int | str = "auto",
        ordered: bool = True,
        window: int | None = None,
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults:
        """Call the computation with each element of an iterable, however long that is, and iterate over what the calls return.

        Jobs are submitted as results are taken, a *window* of them at a time; the first ones at once. What a call raised is raised in its
        place, and the next element then goes on with the next call. Leaving the loop, or `close`, cancels what has not ended.

        :param more: further arguments, as for the builtin map; the shortest iterable ends it.
        :param chunksize: how many calls make up one job; ``"auto"``: as many as take about a tenth of a second, as is measured.
            Calls of one job share its process, its output and, should it be killed, its end. With a timeout or retries (`options`), each
            call is a job of its own unless a number is given here.
        :param ordered: False to have results as they come.
        :param window: how many jobs may be under way, or wait to be taken; by default four for each slot, and 16 at least.
        :param timeout: seconds from now, after which TimeoutError is raised and what is left is cancelled.
        :param progress: whether to show how many results have been taken: by tqdm where it is installed, else in a line on the terminal.
        :raises TypeError: when a parameter has the wrong type; it is named.
        :raises ValueError: when one has a value that makes no sense; it is named.
        """
        options: JobOptions = getattr(self, "chosen", PLAIN)
        if chunksize == "auto" and (options.timeout is not None or options.retries):
            chunksize = 1
        bar = progress_bar(progress, self.name, "results")
        return begin_map(self, (iterable, *more), chunksize, ordered, window, timeout, bar)

    def submit_calls(self: Any, calls: list[Args]) -> tuple[Any, int]:
        """Queue one job for several calls; returns it, and the bytes that their arguments take."""
        self._refuse_when_closed()
        if len(calls) == 1:
            packed = packed_arguments(self._shipment, calls[0], {})
        else:
            called = self._shipment.called
            given = calls if called is None else [called.arguments_for(args, {}) for args in calls]
            packed = pack_calls([(args, {}) for args in given], self._shipment.shipped)
        return self._submitted(packed, {}), len(packed)

    def slots(self: Any) -> int:
        """How many jobs may run at the same time, as far as is known."""
        return sum(node.cpus for node in list(self.view.nodes.values()))


def begin_map(
    cluster: Cluster,
    iterables: tuple[Iterable[Any], ...],
    chunksize: Any,
    ordered: Any,
    window: Any,
    timeout: Any,
    bar: Bar = _NO_BAR,
    eager: bool = False,
) -> MapResults:
    """Check what a user has asked for, and begin it; the parameters are those of `Mapping.map`, and `MapResults`."""
    if chunksize != "auto":
        _check_count("chunksize", chunksize, "a whole number or 'auto'")
        if cluster.is_program and chunksize > 1:
            raise ValueError("map: chunksize: each run of a program is a job of its own")
    if window is not None:
        _check_count("window", window, "a whole number of jobs")
    if not isinstance(ordered, bool):
        raise TypeError(f"map: ordered must be True or False, not {ordered!r}")
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not number:
        raise TypeError(f"map: timeout must be seconds, not {timeout!r}")
    fixed = 1 if cluster.is_program else None if chunksize == "auto" else chunksize
    lengths = [len(each) if hasattr(each, "__len__") else None for each in iterables]  # type: ignore[arg-type]
    known = [length for length in lengths if length is not None]
    chunker = Chunker(fixed, min(known) if known else None)
    return MapResults(cluster, zip(*iterables), chunker, ordered, window, timeout, bar, eager)


def _check_count(name: str, value: Any, wanted: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"map: {name} must be {wanted}, not {value!r}")
    if value < 1:
        raise ValueError(f"map: {name} must be 1 or more, not {value}")
