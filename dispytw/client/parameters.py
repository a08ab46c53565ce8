"""What a cluster is made with: dispy's parameters by the names of both its generations, checked once, at the caller.

The manual of dispy 4.6 calls some things otherwise than dispy 4.15 does (``callback`` is ``job_status``, ``ip_addr`` is ``host``). Either
name is understood; both together are an error, whatever they say. A parameter of a wrong type raises TypeError, one whose value makes no
sense ValueError; both name it, and say what came and what is wanted.

Some parameters have no effect here, because what they steer does not exist:

- ``port`` (and what ``dispy_port`` says of it): the client dials nodes, and listens nowhere;
- ``ext_ip_addr``, ``ext_host``: nodes dial nobody back, so they need no address for it;
- ``poll_interval``: results come over the link that is open anyway, through any firewall that let it out; nothing has to be fetched;
- ``ipv4_udp_multicast``: nodes are looked for by broadcast; True is answered by a warning.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from dispytw import config
from dispytw.client.callables import refuse_beginning
from dispytw.values import JOB, START_METHODS, WORKER

#: One thing, as dispy 4.6 and as dispy 4.15 calls it.
TWO_NAMES = (("callback", "job_status"), ("ip_addr", "host"), ("ext_ip_addr", "ext_host"))

MULTICAST = "ipv4_udp_multicast: nodes are looked for by broadcast; multicast is not built yet"


@attrs.frozen(kw_only=True)
class Parameters:
    """What a cluster was asked for, checked; each thing by its name in dispy 4.6.

    :param ip_addr: addresses to use here, perhaps none.
    :param node_port: where nodes listen that are named without a port.
    :param recover_file: path, or None for the usual name; never False.
    """

    depends: tuple[Any, ...]
    callback: Callable[[Any], Any] | None
    stream: Callable[[Any, str, bool], Any] | None
    cluster_status: Callable[[Any, Any, Any], Any] | None
    ip_addr: tuple[str, ...]
    node_port: int
    recover: bool
    recover_file: Any
    dest_path: str | None
    loglevel: int
    setup: Any
    cleanup: Any
    pulse_interval: float | None
    ping_interval: float | None
    reentrant: bool
    secret: str
    keyfile: Any
    certfile: Any
    cafile: Any
    isolation: str
    max_jobs_per_worker: int | None
    start_method: str | None


def checked(given: Mapping[str, Any], kind: str = "JobCluster", warn: Callable[[str], Any] = lambda text: None) -> Parameters:
    """The parameters, checked.

    :param given: arguments by name, as they came; those that are missing were not given. Others than ours are passed over.
    :param kind: what is being made, for messages.
    :param warn: tells the user of what will not be done as asked.
    :raises TypeError: for a wrong type, and for two names of one thing.
    :raises ValueError: for a value that makes no sense.
    """
    check = _Check(kind, given)
    callback, ip_addr = check.either("callback", "job_status"), check.either("ip_addr", "host")
    _check_unused(check, warn)
    parameters = Parameters(
        depends=check.many("depends"),
        callback=check.function(callback, "a function with one argument"),
        stream=check.function("stream", "a function with three arguments (job, text, is_stderr)"),
        cluster_status=check.function("cluster_status", "a function with three arguments"),
        ip_addr=check.hosts(ip_addr),
        node_port=_node_port(check),
        recover=check.of("recover", lambda value: isinstance(value, bool), "True or False", True),
        recover_file=_recover_file(check),
        dest_path=check.path("dest_path"),
        loglevel=check.of("loglevel", _is_whole, "a level of the logging module (logging.INFO …) or of dispy.logger", 30),
        setup=check.of("setup", _is_setup, "a function or functools.partial"),
        cleanup=check.of("cleanup", lambda value: isinstance(value, bool) or _is_setup(value), "True, False or a function", True),
        pulse_interval=check.seconds("pulse_interval", 0.1, 1000),
        ping_interval=check.seconds("ping_interval", 1, 1000),
        reentrant=check.of("reentrant", lambda value: isinstance(value, bool), "True or False", False),
        secret=check.of("secret", lambda value: isinstance(value, str), "a string", ""),
        keyfile=check.path("keyfile"),
        certfile=check.path("certfile"),
        cafile=check.path("cafile"),
        isolation=given.get("isolation", JOB),
        max_jobs_per_worker=given.get("max_jobs_per_worker"),
        start_method=checked_start_method(given.get("start_method"), kind),
    )
    _check_isolation(check, parameters)
    return attrs.evolve(parameters, recover=parameters.recover and parameters.recover_file is not False)


def _check_unused(check: _Check, warn: Callable[[str], Any]) -> None:
    check.hosts(check.either("ext_ip_addr", "ext_host"))
    check.seconds("poll_interval", 5, 1000)
    check.port("port", 0)
    if check.of("ipv4_udp_multicast", lambda value: isinstance(value, bool), "True or False", False):
        warn(MULTICAST)


def _node_port(check: _Check) -> int:
    """dispy 4.6 names each port, dispy 4.15 the first of three: the client's, the nodes', the scheduler's."""
    base = check.port("dispy_port", 1, 65533)
    for name in ("port", "node_port"):
        value = check.given.get(name)
        if base is not None and value is not None:
            raise TypeError(f"{check.kind}: dispy_port={base} says which {name} is used, and {name}={value!r} too; give one of them")
    port = check.port("node_port", 1)
    return (config.port_of("NodePort") if port is None else port) if base is None else base + 1


def _recover_file(check: _Check) -> Any:
    named = check.of(
        "recover_file", lambda value: value is False or isinstance(value, (str, os.PathLike)), "the path of a file, or False for none"
    )
    if named not in (None, False) and check.given.get("recover") is False:
        raise TypeError(f"{check.kind}: recover_file={named!r} names a file, recover=False wants none")
    return named


def _check_isolation(check: _Check, parameters: Parameters) -> None:
    most = parameters.max_jobs_per_worker
    if parameters.isolation not in (JOB, WORKER):
        raise ValueError(f"{check.kind}: isolation: wanted 'job' or 'worker', not {parameters.isolation!r}")
    if most is None:
        return
    check.of("max_jobs_per_worker", _is_whole, "a whole number")
    if most < 1:
        raise ValueError(f"{check.kind}: max_jobs_per_worker: wanted 1 or more, not {most}")
    if parameters.isolation == JOB:
        raise ValueError(
            f"{check.kind}: max_jobs_per_worker: goes with isolation='worker' only; with 'job' every job has a process of its own"
        )


def checked_start_method(value: Any, kind: str) -> Any:
    """How the processes of jobs are to be made.

    :raises ValueError: for a way that there is not.
    """
    if value is not None and value not in START_METHODS:
        raise ValueError(f"{kind}: start_method: wanted 'fork', 'spawn' or None, not {value!r}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_setup(value: Any) -> bool:
    return isinstance(value, functools.partial) or (callable(value) and not isinstance(value, type))


@attrs.frozen
class _Check:
    """Takes parameters out of what was given, and raises what is wrong with them."""

    kind: str
    given: Mapping[str, Any]

    def of(self, name: str, holds: Callable[[Any], bool], wanted: str, default: Any = None) -> Any:
        """A parameter for which this holds, or its default where it was not given; None only where that is the default."""
        value = self.given.get(name, default)
        if not (value is None and default is None) and not holds(value):
            raise TypeError(f"{self.kind}: {name} must be {wanted}, not {value!r}")
        return value

    def either(self, old: str, new: str) -> str:
        """By which of its two names a thing was given."""
        if self.given.get(old) is not None and self.given.get(new) is not None:
            raise TypeError(f"{self.kind}: {old} and {new} are two names of one thing, and both were given; give one of them")
        return old if self.given.get(new) is None else new

    def function(self, name: str, wanted: str) -> Any:
        """A function, or None."""
        function = self.of(name, callable, wanted)
        refuse_beginning(f"{self.kind}: {name}", function)
        return function

    def path(self, name: str) -> Any:
        """A path, or None."""
        return self.of(name, lambda value: isinstance(value, (str, os.PathLike)), "a path")

    def many(self, name: str) -> tuple[Any, ...]:
        """A list of anything."""
        wanted = self.of(name, lambda value: isinstance(value, Iterable) and not isinstance(value, (str, bytes)), "a list")
        return tuple(wanted or ())

    def hosts(self, name: str) -> tuple[str, ...]:
        """Host names or addresses: one, or a list of them."""
        value: Any = self.given.get(name)
        hosts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        if value is not None and not all(isinstance(host, str) and host for host in hosts):
            raise TypeError(f"{self.kind}: {name} must be a host name or IP address, or a list of them, not {value!r}")
        return () if value is None else tuple(hosts)

    def seconds(self, name: str, least: float, most: float) -> Any:
        """Seconds between two bounds, or None."""
        wanted = f"a number of seconds from {least} to {most}, or None"
        value = self.of(name, lambda value: isinstance(value, (int, float)) and not isinstance(value, bool), wanted)
        return self._bounded(name, value, least, most, wanted)

    def port(self, name: str, least: int, most: int = 65535) -> Any:
        """A port, or None."""
        wanted = f"a port from {least} to {most}"
        return self._bounded(name, self.of(name, _is_whole, wanted), least, most, wanted)

    def _bounded(self, name: str, value: Any, least: float, most: float, wanted: str) -> Any:
        if value is not None and not least <= value <= most:
            raise ValueError(f"{self.kind}: {name} must be {wanted}, not {value!r}")
        return value
