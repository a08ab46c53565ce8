"""JobCluster: dispy's words. Everything here runs on the user's threads and waits only through the bridge."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from dispytw.client import speech
from dispytw.client.depends import Shipment, pack_computation
from dispytw.client.engine import Engine, engine
from dispytw.client.job import DispyJob
from dispytw.client.mapping import Mapping
from dispytw.client.nodes import NODE_PORT, DispyNode, node_entries
from dispytw.client.notebook import cluster_html
from dispytw.client.privatenode import private_node
from dispytw.client.programs import pack_strings
from dispytw.client.progress import progress_bar, wait_showing
from dispytw.client.recoverfile import begin_file
from dispytw.client.remains import Owned
from dispytw.client.report import status_table
from dispytw.client.targets import find_targets
from dispytw.client.view import View
from dispytw.errors import ClusterClosedError
from dispytw.values import JOB, WORKER, Body, Inline, Stored
from dispytw.wire.batches import open_outcome, pack_calls
from dispytw.wire.certificates import given_certificate
from dispytw.wire.payload import pack_arguments

_numbers = itertools.count(1)


class ClusterStatus(NamedTuple):
    """What `JobCluster.status` returns.

    :ivar nodes: a DispyNode for each node that was found.
    :ivar jobs_pending: jobs without a final status.
    """

    nodes: list[DispyNode]
    jobs_pending: int


class JobCluster(Mapping):
    """A cluster for one computation: jobs submitted to it run on its nodes.

    :param computation: a Python function, or the path of a program to execute.
    :param nodes: a list of ``'host'``, ``'host:port'``, `NodeAllocate`, ``'local'`` (a private node, started for this program) or
        ``'*'``.
    :param depends: functions, classes, instances, modules and paths of files that the computation needs; what it refers to in the
        program's own files comes along by itself.
    :param callback: called with each job that has ended, one after another, on a thread of its own.
    :param recover_file: path of the file in which it is written down what `recover_jobs` needs should this program be killed; it is
        removed when the cluster ends well. By default ``_dispy_YYYYMMDDHHMMSS`` in the current directory. Where the name is taken,
        ``-2`` is added.
    :param loglevel: level of the ``dispytw`` logger.
    :param setup: a function, or functools.partial, that runs once on each node before any job; 0 means success.
    :param cleanup: True, False, or a function that runs on each node when the cluster is closed.
    :param pulse_interval: 1 to 600 seconds; a node silent for five of them is given up.
    :param reentrant: True if jobs of a node that was given up may be started again elsewhere.
    :param secret: must equal the nodes'; by default the user's own secret file, unless there is a certificate.
    :param keyfile: path of a PEM file with a private key; None if it is in certfile.
    :param certfile: path of a PEM file with a certificate. The nodes must have the same; with cafile, one of that authority's.
    :param cafile: path of a PEM file with the certificates of a private authority.
    :param node_port: where nodes listen that are named without a port.
    :param isolation: ``'job'``: each job has a process of its own; ``'worker'``: processes are kept and run job after job, which costs
        little for short jobs, and what one job leaves in memory the next ones find.
    :param max_jobs_per_worker: jobs after which a kept worker is replaced by a fresh one; no limit by default.
    :param recover: False for no recover file; so does ``recover_file=False``.
    :raises TypeError: when a parameter has the wrong type; it is named.
    :raises ValueError: when one has a value that makes no sense; it is named.
    :raises NotImplementedError: for a parameter of dispy's manual that is not built yet; it is named.
    :raises CertificateError: when a certificate or key cannot be used; the file is named.
    :raises ShippingError: when the computation cannot be sent to nodes.
    :raises RecoverFileError: when the recover file cannot be made.
    """

    def __init__(
        self,
        computation: Callable[..., Any] | str,
        nodes: Any = None,
        depends: Sequence[Any] = (),
        callback: Callable[[DispyJob], Any] | None = None,
        cluster_status: Any = None,
        ip_addr: Any = None,
        ext_ip_addr: Any = None,
        port: int = 51347,
        node_port: int = NODE_PORT,
        recover_file: Any = None,
        dest_path: Any = None,
        loglevel: int = logging.WARNING,
        setup: Any = None,
        cleanup: Any = True,
        pulse_interval: float | None = None,
        ping_interval: Any = None,
        reentrant: bool = False,
        secret: str = "",
        keyfile: str | os.PathLike[str] | None = None,
        certfile: str | os.PathLike[str] | None = None,
        *,
        cafile: str | os.PathLike[str] | None = None,
        isolation: str = JOB,
        max_jobs_per_worker: int | None = None,
        recover: bool = True,
    ) -> None:
        _refuse_unbuilt(
            cluster_status=cluster_status,
            ip_addr=ip_addr,
            ext_ip_addr=ext_ip_addr,
            port=None if port == 51347 else port,
            dest_path=dest_path,
            ping_interval=ping_interval,
        )
        _check_types(depends, callback, loglevel, pulse_interval, reentrant, secret, node_port)
        _check_isolation(isolation, max_jobs_per_worker)
        _check_paths(keyfile=keyfile, certfile=certfile, cafile=cafile)
        certificate = given_certificate(certfile, keyfile, cafile, speech.LOGGER.warning)
        _check_recovery(recover_file, recover)
        entries = node_entries(nodes, node_port)
        self.uid = secrets.token_bytes(16)
        self._shipment: Shipment = pack_computation(
            computation,
            depends=list(depends or ()),
            setup=setup,
            cleanup=cleanup,
            uid=self.uid,
            token=secrets.token_bytes(16),
            isolation=isolation,
            max_jobs_per_worker=max_jobs_per_worker,
        )
        self.is_program = self._shipment.computation.program is not None
        self._closed = False
        self._ending = threading.Lock()
        self._engine: Engine = engine()
        speech.set_level(loglevel)
        found = find_targets(entries, node_port, secret, private_node, certificate=certificate)
        file = None
        if recover and recover_file is not False:
            owned = Owned(self.uid, self._shipment.computation.token, self.name, self.is_program, time.time(), os.getpid())
            credentials = [target.credential for target in found.targets]
            file = begin_file(recover_file, owned, credentials, self._engine.bridge, speech.LOGGER.warning)
        self.view = View(self, callback, found.choices, self._engine, speech.LOGGER.warning, file)
        self._engine.clusters[self.uid] = self
        self._engine.bridge.wait(
            lambda: self._engine.session.open_cluster(
                self._shipment.computation,
                {digest: _body(content) for digest, content in self._shipment.files.items()},
                self.view,
                found.targets,
                reentrant=reentrant,
                pulse_interval=pulse_interval,
                note=found.note,
            )
        )

    @property
    def name(self) -> str:
        """The computation's name."""
        return self._shipment.computation.name

    def submit(self, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation with these arguments, and return its job.

        :raises PayloadError: when an argument cannot be pickled; it is named.
        :raises TypeError: when an argument of a program is no string.
        :raises ClusterClosedError: when the cluster is closed.
        """
        if "dispy_job_depends" in kwargs:
            raise NotImplementedError("submit: dispy_job_depends is not built yet")
        self._refuse_when_closed()
        if self.is_program:
            packed = pack_strings(args, kwargs)
        else:
            packed = pack_arguments(args, kwargs, self._shipment.shipped).data
        return self._queue(packed)

    def _queue(self, packed: bytes) -> DispyJob:
        uid = secrets.token_bytes(16)
        job = DispyJob(self, uid, next(_numbers), time.time())
        body = Inline(packed)
        session, cluster = self._engine.session, self.uid
        with self._engine.keeper.uninterrupted(), self._ending:
            self._refuse_when_closed()  # by another thread, while the arguments were packed
            self.view.submitted()
            self._engine.bridge.post(lambda: session.submit(cluster, uid, body, job))
        return job

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ClusterClosedError(f"cluster {self.name} is closed")

    def submit_calls(self, calls: list[tuple[Any, ...]]) -> tuple[DispyJob, int]:
        """Queue one job for several calls (`map`); returns it, and the bytes that their arguments take."""
        self._refuse_when_closed()
        shipped = self._shipment.shipped
        if self.is_program:
            packed = pack_strings(calls[0], {})
        elif len(calls) == 1:
            packed = pack_arguments(calls[0], {}, shipped).data
        else:
            packed = pack_calls([(args, {}) for args in calls], shipped)
        return self._queue(packed), len(packed)

    def slots(self) -> int:
        """How many jobs may run at the same time, as far as is known."""
        return sum(node.cpus for node in list(self.view.nodes.values()))

    def cancel(self, job: DispyJob) -> int:
        """Cancel a job: a queued one at once, a running one by KeyboardInterrupt.

        :returns: 0, or -1 when it has ended already.
        """
        if not isinstance(job, DispyJob):
            raise TypeError(f"cancel: wanted a job that submit returned, not {job!r}")
        return 0 if self._engine.bridge.wait(self._engine.session.cancel, job._uid) else -1

    def wait(self, timeout: float | None = None, progress: bool = False) -> bool:
        """Wait until every job has ended and every callback has returned; in a callback, for the jobs only.

        :param timeout: seconds, or None.
        :param progress: whether to show how many jobs have ended: by tqdm where it is installed, else in a line on the terminal.
        :returns: False when the timeout passed first.
        """
        self._engine.bridge.refuse_to_wait(f"cluster {self.name}")
        return wait_showing(self.view.wait, self.view.counted, timeout, progress_bar(progress, self.name, "jobs"))

    def __call__(self) -> None:
        """Wait until every job has ended."""
        self.wait()

    def close(self, timeout: float | None = None, terminate: bool = False) -> bool:
        """Wait for every job, then clean up on the nodes.

        :param timeout: seconds to wait, or None.
        :param terminate: give up jobs that have not ended by then; each becomes Cancelled.
        :returns: False when the timeout passed, jobs are left and terminate is False.
        """
        if self._closed:
            return True
        if not self.wait(0 if terminate and timeout is None else timeout):
            if not terminate:
                return False
            self._engine.bridge.wait(self._engine.session.give_up, self.uid, "close(terminate=True)")
            self.wait()
        with self._ending:
            self._closed = True
        self._engine.bridge.wait(self.end)
        self._engine.clusters.pop(self.uid, None)
        return True

    def end_soon(self) -> None:
        """When no job is left: take none any more, and clean up on the nodes when every callback has returned; waits for nothing."""
        with self._ending:
            closed, self._closed = self._closed, True
        if not closed:
            self.view.call_back(self._end_after_callbacks, None)

    def _end_after_callbacks(self, _: Any) -> None:
        self._engine.clusters.pop(self.uid, None)
        try:
            self._engine.bridge.post(self.end)
        except ClusterClosedError:
            pass  # the reactor has stopped, and the links with it

    def end(self) -> Any:
        """In the reactor thread: nothing of it will be needed any more; fires when the nodes have been told."""
        self.view.file.remove()  # first: the nodes are then told that they may forget what it was waiting to keep
        return self._engine.session.close_cluster(self.uid)

    def __enter__(self) -> JobCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Ctrl-C does not wait here: the end of the program does, and says so.
        if isinstance(error, KeyboardInterrupt):
            return
        if error is not None and self.view.file.path is not None and self.wait() and self.view.unread:
            self._closed = True
            self._engine.bridge.wait(self._engine.close_unread, self.uid, self.view)
        else:
            self.close()

    def status(self) -> ClusterStatus:
        """The nodes that were found, and how many jobs have not ended."""
        return ClusterStatus(list(self.view.nodes.values()), self.view.unfinished)

    def print_status(self, wall_time: float | None = None) -> None:
        """Print a table of nodes and times.

        :param wall_time: seconds to compare the jobs' time with; by default since the cluster was made.
        """
        seconds = time.time() - self.view.began if wall_time is None else wall_time
        print(status_table(self.status().nodes, self.view.unfinished, seconds))

    stats = print_status

    def _repr_html_(self) -> str:
        return cluster_html(self.name, self.view.jobs, self.view.unfinished, self.status().nodes)

    # What a job needs of its cluster (`dispytw.client.job.Owner`).
    def refuse_to_wait(self, what: str) -> None:
        """Raise where waiting would never end."""
        self._engine.bridge.refuse_to_wait(what)

    def open_result(self, payload: bytes) -> Any:
        """Open a result."""
        return open_outcome(payload)

    def identified(self, job: bytes, value: Any) -> None:
        """A job's id was set."""
        self.view.file.identified(job, value)

    def result_read(self, job: DispyJob) -> None:
        """A job's result was read for the first time."""
        self.view.result_read(job)

    def cancel_soon(self, job: DispyJob) -> None:
        """Have a job cancelled."""
        try:
            self._engine.bridge.post(lambda: self._engine.session.cancel(job._uid))
        except ClusterClosedError:
            pass  # nothing runs any more that could be cancelled

    def call_back(self, function: Callable[[DispyJob], Any], job: DispyJob) -> None:
        """Call a function on the callback thread."""
        self.view.call_back(function, job)


def _body(content: str | bytes) -> Body:
    if isinstance(content, bytes):
        return Inline(content)
    return Stored(content, os.path.getsize(content))


def _refuse_unbuilt(**parameters: Any) -> None:
    for name, value in parameters.items():
        if value is not None:
            raise NotImplementedError(f"JobCluster: {name} is not built yet")


def _check_isolation(isolation: Any, most_jobs: Any) -> None:
    if isolation not in (JOB, WORKER):
        raise ValueError(f"isolation: wanted 'job' or 'worker', not {isolation!r}")
    if most_jobs is None:
        return
    _check("max_jobs_per_worker", isinstance(most_jobs, int) and not isinstance(most_jobs, bool), most_jobs, "a whole number")
    if most_jobs < 1:
        raise ValueError(f"max_jobs_per_worker: wanted 1 or more, not {most_jobs}")
    if isolation == JOB:
        raise ValueError("max_jobs_per_worker: goes with isolation='worker' only; with 'job' every job has a process of its own")


def _check_recovery(recover_file: Any, recover: Any) -> None:
    _check("recover", isinstance(recover, bool), recover, "True or False")
    named = isinstance(recover_file, (str, os.PathLike))
    _check("recover_file", recover_file is None or recover_file is False or named, recover_file, "the path of a file")
    if named and not recover:
        raise TypeError(f"JobCluster: recover_file={recover_file!r} names a file, recover=False wants none")


def _check_types(
    depends: Any, callback: Any, loglevel: Any, pulse_interval: Any, reentrant: Any, secret: Any, node_port: Any
) -> None:
    many = isinstance(depends, Iterable) and not isinstance(depends, (str, bytes))
    _check("depends", depends is None or many, depends, "a list")
    _check("callback", callback is None or callable(callback), callback, "a function with one argument")
    _check("loglevel", isinstance(loglevel, int), loglevel, "a level of the logging module")
    _check("reentrant", isinstance(reentrant, bool), reentrant, "True or False")
    _check("secret", isinstance(secret, str), secret, "a string")
    number = isinstance(node_port, int) and not isinstance(node_port, bool)
    _check("node_port", number and 0 < node_port < 65536, node_port, "a number from 1 to 65535")
    if pulse_interval is not None:
        number = isinstance(pulse_interval, (int, float)) and not isinstance(pulse_interval, bool)
        _check("pulse_interval", number and 0.1 <= pulse_interval <= 1000, pulse_interval, "seconds, from 0.1 to 1000")


def _check_paths(**parameters: Any) -> None:
    for name, value in parameters.items():
        _check(name, value is None or isinstance(value, (str, os.PathLike)), value, "a path")


def _check(name: str, holds: bool, value: Any, wanted: str) -> None:
    if not holds:
        raise TypeError(f"JobCluster: {name} must be {wanted}, not {value!r}")
