"""A cluster for applications of Twisted's: everything in the reactor that they run, Deferreds, and not one thread.

    cluster = dispytw.TwistedCluster(reactor, compute, ["10.0.0.7"])
    results = await gatherResults([cluster.submit(n) for n in range(10)])
    await cluster.close()

All clusters of one reactor share a session: a node's slots are counted once, and nodes see one client. What a job returned is opened, and
callbacks are called, in the reactor's thread, which is the application's own.
"""

from __future__ import annotations

import functools
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from dispytw import config
from dispytw.client.awaiting import deferred_of
from dispytw.client.callables import refuse_beginning
from dispytw.client.depends import Shipment
from dispytw.client.finding import Finder
from dispytw.client.job import DispyJob
from dispytw.client.jobpacking import pack_job
from dispytw.client.nodes import Address, DispyNode, node_entries
from dispytw.client.parameters import checked_start_method
from dispytw.client.placing import Placing
from dispytw.client.session import Introduction, Session
from dispytw.client.targets import find_targets
from dispytw.client.variants import Variants, bodies
from dispytw.client.view import View
from dispytw.errors import ClusterClosedError, ReactorThreadError
from dispytw.values import JOB, WORKER, NodeFacts
from dispytw.version import VERSION
from dispytw.wire.batches import open_outcome
from dispytw.wire.certificates import given_certificate
from dispytw.wire.dialling import connect
from dispytw.wire.heartbeat import DEFAULT_HEARTBEAT
from dispytw.wire.streams import MemorySinks

log = Logger()

#: What a computation may be made with.
_DEFAULTS = {"depends": (), "setup": None, "cleanup": True, "isolation": JOB, "max_jobs_per_worker": None, "start_method": None}

_numbers = itertools.count(1)
_sessions: dict[Any, Session] = {}
_finders: dict[Any, Finder] = {}


def session_in(reactor: Any) -> Session:
    """The session of a reactor, made when it is first asked for."""
    session = _sessions.get(reactor)
    if session is None:
        uid = secrets.token_bytes(16)

        def dial(address: Any, credential: Any, build_link: Callable[[Any], Any]) -> Deferred[Any]:
            return connect(
                reactor, address.host, address.port, credential=credential, uid=uid, role="client", build_link=build_link
            )

        me = Introduction(VERSION, f"a Twisted application (pid {os.getpid()})", DEFAULT_HEARTBEAT)
        _sessions[reactor] = session = Session(uid, dial, me, MemorySinks(), reactor, time.monotonic)
    return session


def finder_in(reactor: Any) -> Finder:
    """What looks for nodes that are not named, in a reactor; it opens nothing before it has something to look for."""
    if reactor not in _finders:
        _finders[reactor] = Finder(reactor, time.monotonic)
    return _finders[reactor]


class _View(View):
    """A cluster's view whose jobs may be waited for by Deferreds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waiting: list[Deferred[None]] = []

    def job_settled(self, *told: Any, **more: Any) -> None:
        """See ClusterEnd."""
        super().job_settled(*told, **more)
        if not self.unfinished:
            waiting, self.waiting = self.waiting, []
            for each in waiting:
                each.callback(None)


class _Placing(Placing):
    """Asks in the reactor's thread, where a NodeAllocate may answer by a Deferred."""

    def ask(self, shown: DispyNode, node: NodeFacts, address: Address) -> Deferred[int]:
        """See Placing."""
        return Deferred.fromCoroutine(self._decided(shown, node, address))

    async def _decided(self, shown: DispyNode, node: NodeFacts, address: Address) -> int:
        for entry in self.choices.of(address):
            cpus = self.counted(await maybeDeferred(self.answer_of, entry, shown, node))
            if cpus > 0:
                return self.taken(node, cpus, self.packed(entry))
        return self.taken(node, 0, None)


class _NoThreads:
    """What a view needs of threads (`dispytw.client.view.Threads`), without any: user code is called where it is.

    :param later: see Threads.
    """

    def __init__(self, later: Callable[[Callable[[], Any]], Any]) -> None:
        self.later = later

    def call_back(self, function: Callable[..., Any], job: Any, then: Callable[[], Any]) -> None:
        """See Threads."""
        try:
            function(job)
        except Exception:
            log.failure("callback {callback} raised", callback=getattr(function, "__qualname__", repr(function)))
        finally:
            then()

    def allocate(self, function: Callable[[], Any]) -> Deferred[Any]:
        """See Threads."""
        return maybeDeferred(function)

    def in_callback(self) -> bool:
        """See Threads."""
        return True


class TwistedCluster:
    """A cluster for one computation, in the application's own reactor. All methods are called in the reactor's thread.

    Names of hosts are looked up by the reactor, which has threads for that; addresses need none. There is no recover file.

    :param reactor: the application's.
    :param computation: a function, or the path of a program.
    :param nodes: as for `JobCluster`, but for ``'local'``: waiting for a private node to start would hold up the reactor.
    :param callback: called with each DispyJob that has ended.
    :param options: ``depends``, ``setup``, ``cleanup``, ``isolation``, ``max_jobs_per_worker`` and ``start_method``, as for `JobCluster`.
    :param say: takes what the user should know, a line at a time; by default it is logged.
    :raises ShippingError: when the computation cannot be sent to nodes.
    """

    def __init__(
        self,
        reactor: Any,
        computation: Callable[..., Any] | str,
        nodes: Any = None,
        *,
        callback: Callable[[DispyJob], Any] | None = None,
        node_port: int | None = None,
        pulse_interval: float | None = None,
        reentrant: bool = False,
        secret: str = "",
        keyfile: Any = None,
        certfile: Any = None,
        cafile: Any = None,
        say: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        unknown = options.keys() - _DEFAULTS.keys()
        if unknown:
            raise TypeError(f"TwistedCluster: there is no option {', '.join(sorted(unknown))}")
        if options.get("isolation", JOB) not in (JOB, WORKER):
            raise ValueError(f"isolation: wanted 'job' or 'worker', not {options['isolation']!r}")
        if callback is not None and not callable(callback):
            raise TypeError(f"TwistedCluster: callback must be a function with one argument, not {callback!r}")
        refuse_beginning("TwistedCluster: callback", callback)
        checked_start_method(options.get("start_method"), "TwistedCluster")
        self.uid = secrets.token_bytes(16)
        certificate = given_certificate(certfile, keyfile, cafile, self._told(say))
        port = config.port_of("NodePort") if node_port is None else node_port
        entries = node_entries(nodes, port)
        targets = find_targets(entries, port, secret, _no_private_node, certificate=certificate)
        self._variants = Variants(computation, uid=self.uid, token=secrets.token_bytes(16), **{**_DEFAULTS, **options})
        self._shipment = self._variants.pack()
        self._variants.check(entries)
        self.is_program = self._shipment.computation.program is not None
        threads = _NoThreads(self._post)
        placing = _Placing(self, targets.choices, threads, self._variants.pack, self._use_variant)
        self.view = _View(callback, placing, threads, self._told(say))
        self._reactor = reactor
        self._session = session_in(reactor)
        self._closed: Deferred[None] | None = None
        self._posted: list[Callable[[], Any]] = []
        self._session.open_cluster(
            self._shipment.computation,
            bodies(self._shipment),
            self.view,
            targets.targets,
            reentrant,
            pulse_interval,
            finder_in(reactor).search(targets.wildcards, targets.choices),
        )
        self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self.close, terminate=True)

    @staticmethod
    def _told(say: Callable[[str], None] | None) -> Callable[[str], None]:
        return say or (lambda text: log.warn("{text}", text=text))

    @property
    def name(self) -> str:
        """The computation's name."""
        return self._shipment.computation.name

    def submit(self, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Queue one call of the computation.

        :returns: fires with what it returned, or fails with what it raised; cancelling it cancels the job.
        """
        return deferred_of(self.submit_job(*args, **kwargs))

    def submit_job(self, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation, and return its job, which may be awaited.

        :raises PayloadError: when an argument cannot be pickled; it is named.
        :raises ClusterClosedError: when the cluster is closed.
        """
        if self._closed is not None:
            raise ClusterClosedError(f"cluster {self.name} is closed")
        body = pack_job(self._shipment, args, kwargs)
        job = DispyJob(self, secrets.token_bytes(16), next(_numbers), time.time())
        self.view.submitted()
        self._post(self._session.submit, self.uid, job._uid, body, job)
        return job

    def _post(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the session do something when it has done what it does now: user code may be called in the midst of that."""
        self._posted.append(functools.partial(function, *arguments))
        if len(self._posted) == 1:
            self._reactor.callLater(0, self._drain)

    def _drain(self) -> None:
        posted, self._posted = self._posted, []
        for each in posted:
            each()

    def _use_variant(self, node: bytes, shipment: Shipment | None) -> None:
        computation, files = (None, {}) if shipment is None else (shipment.computation, bodies(shipment))
        self._session.use_variant(self.uid, node, computation, files)

    def nodes(self) -> list[DispyNode]:
        """The nodes that were found."""
        return list(self.view.nodes.values())

    def wait(self) -> Deferred[None]:
        """Fires when every job has ended."""
        if not self.view.unfinished:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self.view.waiting.remove)
        self.view.waiting.append(waiting)
        return waiting

    def close(self, terminate: bool = False) -> Deferred[None]:
        """Take no jobs any more, wait for those that there are, and clean up on the nodes; the reactor's end does so too.

        :param terminate: give up jobs that have not ended: each is cancelled.
        :returns: fires when the nodes have been told.
        """
        if self._closed is None:
            self._closed = self.wait().addCallback(lambda _: self._session_closed()).addCallback(self._is_closed)
        if terminate:
            self._post(self._session.give_up, self.uid, "close(terminate=True)")
        closed: Deferred[None] = Deferred()
        self._closed.addCallback(lambda _: closed.callback(None))
        return closed

    def _session_closed(self) -> Deferred[None]:
        closed: Deferred[None] = Deferred()
        self._post(lambda: self._session.close_cluster(self.uid).chainDeferred(closed))
        return closed

    def _is_closed(self, _: Any) -> None:
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            try:
                self._reactor.removeSystemEventTrigger(trigger)
            except (ValueError, KeyError):
                pass  # it is what closes us

    async def __aenter__(self) -> TwistedCluster:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    # What a job needs of its cluster (`dispytw.client.job.Owner`).
    def refuse_to_wait(self, what: str) -> None:
        """Waiting would hold up the reactor that it waits for."""
        raise ReactorThreadError(f"waiting for {what} in the reactor thread would never end; await it, or use submit's Deferred")

    def open_result(self, data: bytes) -> Any:
        """Open a result."""
        return open_outcome(data)

    def identified(self, job: bytes, value: Any) -> None:
        """There is no recover file."""

    def result_read(self, job: DispyJob) -> None:
        """See View."""
        self.view.result_read(job)

    def stream(self, job: DispyJob) -> Iterator[str]:
        """Following a job's output waits for it, which the reactor thread must not."""
        raise ReactorThreadError(f"following job {job.id} in the reactor thread would never end; read its stdout when it has ended")

    def cancel_soon(self, job: DispyJob) -> None:
        """Cancel a job."""
        self._post(self._session.cancel, job._uid)

    def call_back(self, function: Callable[[DispyJob], Any], job: DispyJob) -> None:
        """Call a function of the user's."""
        self.view.call_back(function, job)


def _no_private_node() -> Any:
    raise ValueError("nodes: 'local' would hold up the reactor while a node starts; start dispynode, and name its address")
