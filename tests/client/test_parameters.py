"""The parameters of a cluster: two generations of names, types, bounds, and what is said of mistakes."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any
from unittest import TestCase, mock

from dispytw import config
from dispytw.client import parameters as module
from dispytw.client.parameters import MULTICAST, Parameters, checked


def function(*args: Any) -> int:
    return 0


class ParametersTestCase(TestCase):
    """Takes one parameter."""

    def one(self, name: str, **given: Any) -> Any:
        return getattr(checked(given), name)


class Defaults(ParametersTestCase):
    """What was not given."""

    def test_defaults(self) -> None:
        """The manual's."""
        nothing = dict.fromkeys(("callback", "stream", "cluster_status", "recover_file", "dest_path", "setup", "pulse_interval", "ping_interval"))
        files = dict.fromkeys(("keyfile", "certfile", "cafile", "max_jobs_per_worker", "start_method"))
        others = {"node_port": 51348, "loglevel": 30, "cleanup": True, "reentrant": False, "secret": "", "isolation": "job", "recover": True}
        self.assertEqual(Parameters(depends=(), ip_addr=(), **nothing, **files, **others), checked({}))  # type: ignore[arg-type]
        self.assertEqual(checked({}), checked(dict.fromkeys(("callback", "job_status", "ip_addr", "host", "port", "depends", "poll_interval"))))

    def test_config(self) -> None:
        """A program that has set dispy.config.DispyPort looks for nodes at the port after that."""
        with mock.patch.object(config, "DispyPort", 9700):
            self.assertEqual((9701, 51400), (self.one("node_port"), self.one("node_port", node_port=51400)))


class Names(ParametersTestCase):
    """One thing by either of its names."""

    def test_either(self) -> None:
        """Both do the same."""
        for old, new, value, found in (
            ("callback", "job_status", function, function),
            ("ip_addr", "host", "10.0.0.7", ("10.0.0.7",)),
            ("ip_addr", "host", ["node7", "::1"], ("node7", "::1")),
        ):
            for name in (old, new):
                self.assertEqual(found, self.one(old, **{name: value}), name)

    def test_both(self) -> None:
        """Both together are an error that names them, even when they say the same."""
        for old, new in module.TWO_NAMES:
            with self.assertRaisesRegex(TypeError, f"^JobCluster: {old} and {new} are two names of one thing, and both were given"):
                checked({old: function, new: function})

    def test_dispy_port(self) -> None:
        """dispy 4.15's one port is one less than the nodes'; beside one of 4.6's ports it is an error."""
        self.assertEqual(9701, self.one("node_port", dispy_port=9700))
        for name in ("port", "node_port"):
            with self.assertRaisesRegex(TypeError, f"dispy_port=9700 says which {name} is used, and {name}=51348 too"):
                checked({"dispy_port": 9700, name: 51348})


class Mistakes(ParametersTestCase):
    """A wrong parameter is named, with what came and what is wanted."""

    def refused(self, error: type[Exception], name: str, wrong: Any, kind: str = "JobCluster") -> str:
        with self.assertRaises(error, msg=f"{name}={wrong!r}") as caught:
            checked({name: wrong}, kind)
        self.assertRegex(str(caught.exception), rf"^{kind}: {name} must be .*, not {re.escape(repr(wrong))}$")
        return str(caught.exception)

    def test_wrong_types(self) -> None:
        """Are TypeErrors."""
        for name, *wrong in (
            ("depends", 5, "file.py"),
            ("callback", 5),
            ("job_status", "compute"),
            ("cluster_status", "compute"),
            *((name, 5, [5], "", [""], b"x") for name in ("ip_addr", "host", "ext_ip_addr", "ext_host")),
            *((name, "51348", 1.5, True) for name in ("port", "node_port", "dispy_port")),
            ("ipv4_udp_multicast", 1, None),
            ("recover_file", 5, True),
            ("recover", None, 0),
            ("dest_path", 5),
            ("loglevel", "DEBUG", True, None),
            ("setup", 5, int),
            ("cleanup", 5, "x", int, None),
            *((name, "1", True, [1]) for name in ("pulse_interval", "ping_interval", "poll_interval")),
            ("reentrant", 1, None),
            ("secret", None, b"bytes"),
            ("keyfile", 5),
            ("certfile", b"dispy.cert"),
            ("cafile", ["ca.pem"]),
        ):
            for each in wrong:
                self.refused(TypeError, name, each)
        with self.assertRaisesRegex(TypeError, "max_jobs_per_worker.*True"):
            checked({"isolation": "worker", "max_jobs_per_worker": True})

    def test_functions_that_only_begin(self) -> None:
        """A callback that nobody would await is no callback."""

        async def begins(*what: Any) -> None:
            pass

        for name in ("callback", "job_status", "cluster_status", "stream"):
            with self.assertRaisesRegex(TypeError, rf"JobCluster: {name}: begins is a coroutine function .* asyncio\.run\(begins\(…\)\)"):
                checked({name: begins})

    def test_out_of_bounds(self) -> None:
        """Are ValueErrors, which say the bounds."""
        for name, least, most, *wrong in (
            ("pulse_interval", 0.1, 1000, 0.05, 1001, -1, float("nan")),
            ("ping_interval", 1, 1000, 0.5, 1001, float("inf")),
            ("poll_interval", 5, 1000, 4, 1001),
            ("port", 0, 65535, -1, 65536),
            ("node_port", 1, 65535, 0, 65536),
            ("dispy_port", 1, 65533, 0, 65534),
        ):
            for each in wrong:
                self.assertIn(f"from {least} to {most}", self.refused(ValueError, name, each))
            for each in (least, most):
                checked({name: each})

    def test_whose_they_are(self) -> None:
        """The message names what was to be made."""
        self.refused(TypeError, "secret", 5, "SharedJobCluster")

    def test_isolation(self) -> None:
        """Values that do not go together."""
        for given, text in (
            ({"isolation": "process"}, "isolation: wanted 'job' or 'worker', not 'process'"),
            ({"isolation": "worker", "max_jobs_per_worker": 0}, "max_jobs_per_worker: wanted 1 or more, not 0"),
            ({"max_jobs_per_worker": 5}, "max_jobs_per_worker: goes with isolation='worker' only"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                checked(given)

    def test_start_method(self) -> None:
        """A way to make processes that there is not."""
        for value in ("forkserver", "", 1, ["fork"]):
            with self.assertRaisesRegex(ValueError, "^JobCluster: start_method: wanted 'fork', 'spawn' or None, not "):
                checked({"start_method": value})
        self.assertEqual(["fork", "spawn"], [checked({"start_method": value}).start_method for value in ("fork", "spawn")])

    def test_what_is_taken(self) -> None:
        """Paths as objects, partials, any callable; a generator as a list, read once."""
        taken = checked(
            {
                "depends": (each for each in (function, "x")),
                "setup": functools.partial(function, 1),
                "cleanup": function,
                "callback": functools.partial(function),
                "certfile": Path("x"), "dest_path": "d", "recover_file": Path("r"), "ping_interval": 5, "cluster_status": function,
            }
        )
        self.assertEqual(((function, "x"), Path("r"), 5, function), (taken.depends, taken.recover_file, taken.ping_interval, taken.cluster_status))


class Recovery(ParametersTestCase):
    """Whether there is a recover file."""

    def test_either_way(self) -> None:
        """None is wanted by recover=False, or by recover_file=False; a name and none is a contradiction."""
        self.assertEqual((False, False), (self.one("recover", recover=False), self.one("recover", recover_file=False)))
        with self.assertRaisesRegex(TypeError, "recover_file='x' names a file, recover=False wants none"):
            checked({"recover_file": "x", "recover": False})


class Unused(ParametersTestCase):
    """What has no effect is accepted where it makes sense."""

    def test_accepted(self) -> None:
        """In silence, but for multicast."""
        warned: list[str] = []
        given = {"port": 51400, "ext_ip_addr": ["router"], "poll_interval": 60, "ipv4_udp_multicast": False}
        self.assertEqual(checked({}), checked(given, warn=warned.append))
        self.assertEqual([], warned)
        checked({"ipv4_udp_multicast": True}, warn=warned.append)
        self.assertEqual([MULTICAST], warned)
