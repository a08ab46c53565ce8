"""The joblib backend: what is there without joblib, and, where joblib is, what it asks of the backend."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
import unittest
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

import dispytw

ROOT = Path(__file__).parents[1]
MISSING = importlib.util.find_spec("joblib") is None


class Without(unittest.TestCase):
    """joblib is an extra."""

    def test_what_is_missing(self) -> None:
        """Whoever wants the backend without joblib is told what to install; nobody else is bothered."""
        program = "import sys; sys.modules['joblib'] = None\nimport dispytw\ntry: dispytw.joblib\nexcept ImportError as error: print(error)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
        self.assertEqual("dispytw.joblib needs joblib: pip install dispytw[joblib]\n", done.stdout, done.stderr)

    def test_it_is_listed(self) -> None:
        """As a name of the package, which imports it when it is used."""
        self.assertIn("joblib", dir(dispytw))


class Executor:
    """Calls nothing; has a cluster of as many slots as there are nodes by now."""

    def __init__(self, nodes: Any, **options: Any) -> None:
        self.arguments = nodes, options
        self.futures: list[Future[Any]] = []
        self.shut = False
        self.cluster = self
        self.nodes = [object()]

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if function is abs:
            future.set_result(0)
        self.futures.append(future)
        return future

    def status(self) -> Any:
        return self

    def slots(self) -> int:
        return 4 * len(self.nodes)

    def shutdown(self, wait: bool) -> None:
        self.shut = True


@unittest.skipIf(MISSING, "joblib is not installed here; tox -e joblib has it")
class Backend(unittest.TestCase):
    """What joblib asks."""

    def setUp(self) -> None:
        self.module = importlib.import_module("dispytw.joblib")
        for name, value in (("Executor", Executor), ("GATHERING", 0.0)):
            patch = mock.patch.object(self.module, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def backend(self, nodes: Any = ("10.0.0.7",), **options: Any) -> Any:
        return self.module.DispytwBackend(nodes, **options)

    def test_options(self) -> None:
        """They are the executor's, which is made when it is needed, once."""
        backend = self.backend(isolation="job")
        self.assertIsNone(backend._executor)
        self.assertEqual((("10.0.0.7",), {"isolation": "job"}), backend._running().arguments)
        self.assertIs(backend._running(), backend._running())

    def test_how_many(self) -> None:
        """As many as asked for; -1 for all slots, -2 for one less; never none."""
        backend = self.backend()
        for asked, found in ((3, 3), (-1, 4), (None, 4), (-2, 3), (-9, 1)):
            self.assertEqual(found, backend.configure(asked, parallel="parallel"))
        self.assertRaises(ValueError, backend.effective_n_jobs, 0)

    def test_batches(self) -> None:
        """The callback gets the future, and from that the result; what was raised is raised."""
        backend, got = self.backend(), []
        first, second = backend.submit(print, got.append), backend.apply_async(print)
        first.set_result(7)
        self.assertEqual(([first], 7), (got, backend.retrieve_result_callback(first)))
        second.set_exception(LookupError())
        self.assertRaises(LookupError, backend.retrieve_result_callback, second)

    def test_abort(self) -> None:
        """What has not ended is cancelled; the cluster stays for the next call, or not."""
        backend = self.backend()
        done, left = backend.submit(print), backend.submit(print)
        done.set_result(1)
        backend.abort_everything()
        self.assertEqual((False, True), (done.cancelled(), left.cancelled()))
        executor = backend._executor
        backend.terminate()
        self.assertFalse(executor.shut)
        backend.abort_everything(ensure_ready=False)
        self.assertTrue(executor.shut)
        self.assertIsNone(backend._executor)

    def test_on_a_node(self) -> None:
        """A job that brings the backend along finds a sequential one."""
        self.assertEqual("SequentialBackend", type(pickle.loads(pickle.dumps(self.backend()))).__name__)

    def test_register(self) -> None:
        """joblib finds it by its name."""
        joblib = importlib.import_module("joblib")
        self.module.register("dispytw-here")
        with joblib.parallel_config(backend="dispytw-here", nodes=["10.0.0.8"], isolation="job"):
            backend, _ = joblib.parallel.get_active_backend()
            self.assertEqual((["10.0.0.8"], {"isolation": "job"}), (backend._nodes, backend._options))
