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
from dispytw.client.clusterfiles import ClusterFiles
from dispytw.client.depends import Shipment
from dispytw.client.engine import Engine, engine
from dispytw.client.finding import own_addresses
from dispytw.client.job import DispyJob
from dispytw.client.jobpacking import pack_job
from dispytw.client.live import LiveOutput
from dispytw.client.mapping import Mapping
from dispytw.client.nodemethods import Addressing
from dispytw.client.nodes import DispyNode, NodeAllocate
from dispytw.client.notebook import cluster_html
from dispytw.client.options import WithOptions, chosen_options
from dispytw.client.parameters import checked
from dispytw.client.placing import Placing
from dispytw.client.progress import progress_bar, wait_showing
from dispytw.client.recoverfile import begin_file
from dispytw.client.remains import Owned
from dispytw.client.report import status_table
from dispytw.client.variants import Variants, bodies
from dispytw.client.view import View
from dispytw.errors import ClusterClosedError
from dispytw.values import JOB, PLAIN, Inline, JobOptions
from dispytw.wire.batches import open_outcome
from dispytw.wire.certificates import given_certificate

_numbers = itertools.count(1)


class ClusterStatus(NamedTuple):
    """What `JobCluster.status` returns.

    :ivar nodes: a DispyNode for each node that was found.
    :ivar jobs_pending: jobs without a final status.
    """

    nodes: list[DispyNode]
    jobs_pending: int


class JobCluster(ClusterFiles, LiveOutput, Mapping):
    """A cluster for one computation: jobs submitted to it run on its nodes.

    The parameters are those of dispy 4.6, in its order, and by keyword those of dispy 4.15 and ours; see `dispytw.client.parameters`.

    :param computation: a Python function, the path of a program to execute, or a method: then its class goes along, and the first
        argument of each job is the instance. A job that brings none is called with the instance that the method was bound to.
    :param nodes: a list, each entry ``'host'``, ``'host:port'``, a tuple or list (host, port, cpus, depends, setup_args), a dict with these
        keys, a `NodeAllocate`, a `DispyNode`, or ``'local'`` (a private node, started for this program); ``*`` in a host stands for any
        characters of the IP addresses of nodes that are found.
    :param depends: functions, classes, instances, modules and paths of files and directories that the computation needs; what it refers
        to in the program's own files comes along by itself. A function named ``init_depends`` is called on each node before anything else.
    :param callback: called with each job that has ended or has a provisional result, one after another, on a thread of its own;
        ``job_status`` is the same.
    :param ext_ip_addr: accepted, as are ``ext_host``, ``port``, ``poll_interval`` and ``ipv4_udp_multicast``, without effect.
    :param cluster_status: called as ``cluster_status(status, node, job)`` with each change of a job (Created, Running, ProvisionalResult,
        and its end), or of a node (`DispyNode.Initialized`, ``Closed``, ``AvailInfo``; job is None), on the same thread, in order.
    :param recover_file: path of the file in which it is written down what `recover_jobs` needs should this program be killed; it is
        removed when the cluster ends well. By default ``_dispy_YYYYMMDDHHMMSS`` in the current directory. Where the name is taken,
        ``-2`` is added.
    :param ip_addr: addresses or host names of this machine, on whose networks nodes are looked for, all by default;
        ``host`` is the same.
    :param ping_interval: 1 to 1000 seconds between two looks for nodes; by default it is looked until there is one.
    :param loglevel: level of the ``dispytw`` logger.
    :param setup: a function, method or functools.partial that runs once on each node before any job; 0 means success.
    :param cleanup: True, False, or a function that runs on each node when the cluster is closed.
        With False the files stay on the nodes afterwards: another cluster that needs the same ones sends nothing.
    :param dest_path: relative path of a directory on the nodes in which the jobs run; clusters that name the same one share it. By default
        each cluster has one of its own.
    :param pulse_interval: 0.1 to 1000 seconds; a node silent for five of them is given up.
    :param reentrant: True if jobs of a node that was given up may be started again elsewhere.
    :param secret: must equal the nodes'; by default the user's own secret file, unless there is a certificate.
    :param keyfile: path of a PEM file with a private key; None if it is in certfile.
    :param certfile: path of a PEM file with a certificate. The nodes must have the same; with cafile, one of that authority's.
    :param cafile: path of a PEM file with the certificates of a private authority.
    :param node_port: where nodes listen that are named without a port; 51348, or what `dispytw.config` says.
    :param dispy_port: the port before that one, in its place.
    :param isolation: ``'job'``: each job has a process of its own; ``'worker'``: processes are kept and run job after job, which costs
        little for short jobs, and what one job leaves in memory the next ones find.
    :param max_jobs_per_worker: jobs after which a kept worker is replaced by a fresh one; no limit by default.
    :param start_method: ``'fork'``: the processes of jobs are copies of one in which setup has run; ``'spawn'``: they are fresh ones, as on
        Windows, and are sent the globals that setup has left, as far as they can be pickled. By default what the node can, fork first.
    :param recover: False for no recover file; so does ``recover_file=False``.
    :param stream: called with a job, text that it has just written, and whether to its stderr, while it runs; on the thread of callback.
    :raises TypeError: when a parameter has the wrong type, or came by both its names; it is named.
    :raises ValueError: when one has a value that makes no sense; it is named.
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
        port: int | None = None,
        node_port: int | None = None,
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
        job_status: Callable[[DispyJob], Any] | None = None,
        host: Any = None,
        ext_host: Any = None,
        dispy_port: int | None = None,
        ipv4_udp_multicast: bool = False,
        poll_interval: float | None = None,
        cafile: str | os.PathLike[str] | None = None,
        isolation: str = JOB,
        max_jobs_per_worker: int | None = None,
        start_method: str | None = None,
        recover: bool = True,
        stream: Callable[[DispyJob, str, bool], Any] | None = None,
    ) -> None:
        given = checked(locals(), warn=speech.LOGGER.warning)
        hosts = own_addresses(list(given.ip_addr) or None)
        certificate = given_certificate(given.certfile, given.keyfile, given.cafile, speech.LOGGER.warning)
        self._addressing = Addressing(given.node_port, given.secret, certificate)
        entries = self._addressing.entries(nodes)
        self.uid = secrets.token_bytes(16)
        self._variants = Variants(
            computation,
            depends=list(given.depends),
            setup=given.setup,
            cleanup=given.cleanup,
            uid=self.uid,
            token=secrets.token_bytes(16),
            isolation=given.isolation,
            max_jobs_per_worker=given.max_jobs_per_worker,
            start_method=given.start_method,
            dest_path=given.dest_path,
        )
        self._shipment: Shipment = self._variants.pack()
        self._check_allocations(entries)
        self.is_program = self._shipment.computation.program is not None
        self._closed = False
        self._ending = threading.Lock()
        self._engine: Engine = engine()
        speech.set_level(given.loglevel)
        found = self._addressing.targets(entries)
        self._targets = found.targets
        file = None
        if given.recover:
            owned = Owned(self.uid, self._shipment.computation.token, self.name, self.is_program, time.time(), os.getpid())
            credentials = [*(target.credential for target in found.targets), *(each.credential for each in found.wildcards)]
            file = begin_file(given.recover_file, owned, credentials, self._engine.bridge, speech.LOGGER.warning)
        placing = Placing(self, found.choices, self._engine, self._variants.pack, self._use_variant)
        say, ask = speech.LOGGER.warning, self._ask_for_output
        self.view = View(given.callback, placing, self._engine, say, file, given.cluster_status, given.stream, ask)
        self._engine.clusters[self.uid] = self
        self._engine.bridge.wait(
            lambda: self._engine.session.open_cluster(
                self._shipment.computation,
                bodies(self._shipment),
                self.view,
                found.targets,
                reentrant=given.reentrant,
                pulse_interval=given.pulse_interval,
                search=self._engine.finder.search(found.wildcards, found.choices, hosts, given.ping_interval),
            )
        )

    @property
    def name(self) -> str:
        """The computation's name."""
        return self._shipment.computation.name

    def submit(self, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation with these arguments, and return its job.

        ``dispy_job_depends=[…]`` names what this job alone needs, of the kinds that depends may have; the computation does not get that
        keyword. A job with files of its own runs in a directory of its own, in which it sees those of the cluster too.

        :raises PayloadError: when an argument cannot be pickled; it is named.
        :raises TypeError: when an argument of a program is no string.
        :raises ClusterClosedError: when the cluster is closed.
        """
        return self._submitted(args, kwargs)

    def options(
        self, *, timeout: float | None = None, retries: int = 0, backoff: float = 1.0, priority: int = 0
    ) -> WithOptions:
        """The cluster for jobs that are wanted so: ``cluster.options(timeout=60).submit(…)``. What is not given is as without options.

        :param timeout: seconds that a job's body may take on its node, counted from its start there; then it is ended as by a cancel, and
            is Terminated.
        :param retries: how often a job is tried again that ended Terminated: by an exception, a death, its timeout. A lost node is none of
            these; see ``reentrant``.
        :param backoff: seconds between such an end and the next attempt.
        :param priority: of the jobs that wait, the higher go first, also before those of other clusters; among equals, the oldest.
        :raises TypeError: for a wrong type; the option is named.
        :raises ValueError: for a value that makes no sense; the option is named.
        """
        return WithOptions(self, chosen_options(timeout, retries, backoff, priority))

    def _submitted(self, args: Any, kwargs: Any, node: bytes | None = None, job_id: Any = None, options: JobOptions = PLAIN) -> DispyJob:
        """Queue one job, whoever asks for it.

        :param args: positional arguments; or a payload that has been packed already, of many calls.
        """
        self._refuse_when_closed()
        body = Inline(args) if isinstance(args, bytes) else pack_job(self._shipment, args, kwargs)
        uid = secrets.token_bytes(16)
        job = DispyJob(self, uid, next(_numbers), time.time())
        session, cluster = self._engine.session, self.uid
        with self._engine.keeper.uninterrupted(), self._ending:
            self._refuse_when_closed()  # by another thread, while the arguments were packed
            if job_id is not None:
                job.id = job_id
            self.view.submitted()
            self.view.created(job)
            self._engine.bridge.post(lambda: session.submit(cluster, uid, body, job, options, node))
        return job

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ClusterClosedError(f"cluster {self.name} is closed")

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
        self.wait()  # for what cluster_status is told of the end
        return True

    def shutdown(self) -> None:
        """Close the cluster; what it shares with others of this program ends with the last of them."""
        self.close()

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

    def _check_allocations(self, entries: Iterable[NodeAllocate]) -> None:
        """See `Variants.check`."""
        self._variants.check(entries)

    def _use_variant(self, node: bytes, shipment: Shipment | None) -> None:
        computation, files = (None, {}) if shipment is None else (shipment.computation, bodies(shipment))
        self._engine.session.use_variant(self.uid, node, computation, files)

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
