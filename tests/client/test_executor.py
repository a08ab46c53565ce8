"""dispytw.Executor over a stand-in for the engine, and the table of CPython's own tests: which apply, and why the others do not."""

from __future__ import annotations

import gc
import itertools
import re
from concurrent import futures
from pathlib import Path
from typing import Any
from unittest import mock

from dispytw.client import mapping
from dispytw.client.executor import Executor, dispytw_call
from dispytw.client.job import DispyJob
from dispytw.values import CANCELLED
from dispytw.wire.batches import open_calls
from dispytw.wire.payload import open_arguments
from tests.client.clustering import SECRET, ClusterTestCase, forget_others

EVERY_PYTHON = True

CONTRACT = Path(__file__).parents[1] / "functional/contract.py"

#: Names of the tests in Lib/test/test_concurrent_futures of CPython 3.13, without ``test_``.
CPYTHON = """
20369 all_completed cancel cancel_futures cancel_futures_wait_false cancelled context_manager_shutdown
correct_timeout_exception_msg crash_at_task_unpickle crash_big_data crash_during_func_exec_on_worker
crash_during_result_pickle_on_worker default_workers del_shutdown done done_callback_already_cancelled
done_callback_already_failed done_callback_already_successful done_callback_raises
done_callback_raises_already_succeeded done_callback_with_cancel done_callback_with_exception done_callback_with_result
duplicate_futures error_at_task_pickle error_at_task_unpickle error_during_func_exec_on_worker
error_during_result_pickle_on_worker error_during_result_unpickle_in_result_handler exception_with_success
exception_with_timeout executor_map_current_future_cancel exit_at_task_unpickle exit_during_func_exec_on_worker
exit_during_result_pickle_on_worker exit_during_result_unpickle_in_result_handler first_completed
first_completed_some_already_completed first_exception first_exception_one_already_failed
first_exception_some_already_complete forkserver free_reference free_reference_yielded_future future_times_out
gh105829_should_not_deadlock_if_wakeup_pipe_full hang_gh83386 hang_gh94440 hang_global_shutdown_lock hang_issue12364
idle_process_reuse_multiple idle_process_reuse_one idle_thread_reuse initializer interpreter_shutdown killed_child map
map_chunksize map_exception map_submits_without_iteration map_timeout max_tasks_early_shutdown max_tasks_per_child
max_tasks_per_child_defaults_to_spawn_context max_workers_negative max_workers_too_large multiple_set_exception
multiple_set_result no_stale_references no_timeout pending_calls_race processes_terminate python_finalization_error repr
ressources_gced_in_workers result_with_cancel result_with_success result_with_timeout run_after_shutdown running
saturation shutdown_deadlock shutdown_deadlock_pickle shutdown_no_wait shutdown_race_issue12456 spawn submit
submit_after_interpreter_shutdown submit_keyword thread_names_assigned thread_names_default threads_terminate timeout
traceback
"""

#: Those that are not in tests/functional/contract.py.
ELSEWHERE = dict.fromkeys(
    ("hang_gh83386", "interpreter_shutdown", "submit_after_interpreter_shutdown"), "tests/functional/test_executor.py: the end of a program"
)
DO_NOT_APPLY = {
    **dict.fromkeys(("default_workers", "max_workers_too_large"), "the nodes say how many calls run at a time"),
    **dict.fromkeys(("forkserver", "spawn", "max_tasks_per_child_defaults_to_spawn_context"), "nodes fork: there is no mp_context"),
    **dict.fromkeys(("thread_names_assigned", "thread_names_default", "threads_terminate"), "calls do not run in threads of this process"),
    "idle_thread_reuse": "calls do not run in threads of this process; processes: test_idle_process_reuse_one",
    "gh105829_should_not_deadlock_if_wakeup_pipe_full": "about a pipe of ProcessPoolExecutor; there is none",
    "hang_gh94440": "about processes that share a queue; here each has its own",
    "hang_global_shutdown_lock": "about a lock of concurrent.futures.thread, which is not used",
    "python_finalization_error": "no thread and no process is started here for a call",
}


class TheContract(ClusterTestCase):
    """CPython's names."""

    def test_every_name_has_its_place(self) -> None:
        """Each test of CPython's is in the contract, elsewhere, or does not apply for a reason; and in one place only."""
        names = re.findall(r"^    (?:def )?test_(\w+)(?: =|\()", CONTRACT.read_text("utf-8"), re.MULTILINE)
        places = [*names, *ELSEWHERE, *DO_NOT_APPLY]
        self.assertEqual([], [name for name in CPYTHON.split() if places.count(name) != 1])
        self.assertEqual({"map_with_buffersize"}, set(places) - set(CPYTHON.split()))  # of CPython 3.14


class Executing(ClusterTestCase):
    """What becomes of a call."""

    def executor(self, **options: Any) -> Executor:
        return Executor(["node7"], secret=SECRET, **options)

    def sent(self, place: int) -> Any:
        """The arguments of a job that was submitted."""
        return open_arguments(self.session.submitted[place][2].data)

    def test_submit(self) -> None:
        """A job of one computation, whatever is called; its future."""
        executor = self.executor()
        future = executor.submit(pow, 2, 8, mod=7)
        self.assertIsInstance(future, futures.Future)
        self.assertEqual(((pow, (2, 8), {"mod": 7}), {}), self.sent(0))
        self.session.end(self.session.submitted[0][3])
        self.assertEqual(7, future.result(timeout=0))
        self.assertEqual(256, dispytw_call(pow, (2, 8), {}))

    def test_options(self) -> None:
        """Processes are kept and there is no recover file, unless asked for; what is no option here says what to use."""
        for isolation in ("worker", "job"):
            executor = self.executor(**({} if isolation == "worker" else {"isolation": isolation}))
            self.assertEqual(isolation, executor.cluster._shipment.computation.isolation)
            self.assertIsNone(executor.cluster.view.file.path)
        for name in ("computation", "callback", "max_workers", "initializer", "initargs", "mp_context", "max_tasks_per_child"):
            with self.assertRaisesRegex(TypeError, f"no option {name}; "):
                self.executor(**{name: None})
        with self.assertRaises(TypeError):
            self.executor(no_such_option=1)

    def test_map(self) -> None:
        """Everything is submitted at once, in chunks of the size that was asked for; with a buffersize, so many jobs."""
        executor = self.executor()
        executor.map(pow, range(7), range(7))
        self.assertEqual(7, len(self.session.submitted))
        for wrong in (0, -1):
            self.assertRaises(ValueError, executor.map, pow, [1], [1], chunksize=wrong)
        hours = itertools.count(0, 3600)  # however slow the machine is
        with mock.patch.object(mapping.time, "monotonic", lambda: next(hours)):
            results = executor.map(pow, range(70), range(70), chunksize=3)
        self.assertEqual(7 + 24, len(self.session.submitted))
        self.assertEqual(((pow, (2, 2), {}), {}), open_calls(self.session.submitted[7][2].data, self.fail)[2])
        buffered = executor.map(pow, range(70), range(70), buffersize=4)
        self.assertEqual(7 + 24 + 4, len(self.session.submitted))
        del results, buffered

    def test_shutdown(self) -> None:
        """Nothing is taken any more; with wait=False the cluster is closed by the last job that ends."""
        executor = self.executor()
        first, second = executor.submit(pow, 1, 1), executor.submit(pow, 2, 2)
        executor.shutdown(wait=False)
        executor.shutdown(wait=False)
        self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown", executor.submit, pow, 1, 1)
        self.session.end(self.session.submitted[0][3])
        self.assertEqual(([], {executor.cluster.uid}), (self.session.closed, set(self.engine.clusters)))
        self.session.end(self.session.submitted[1][3])
        self.assertEqual(([executor.cluster.uid], set()), (self.session.closed, set(self.engine.clusters)))
        executor.shutdown(wait=True)
        self.assertEqual((7, 7), (first.result(), second.result()))

    def test_shutdown_without_calls(self) -> None:
        """At once, waiting or not."""
        for wait in (True, False):
            executor = self.executor()
            executor.shutdown(wait=wait)
            self.assertIn(executor.cluster.uid, self.session.closed)

    def test_cancel_futures(self) -> None:
        """What has not begun is cancelled; what runs goes on."""
        executor = self.executor()
        running, waiting = executor.submit(pow, 1, 1), executor.submit(pow, 2, 2)
        self.session.submitted[0][3]._running("10.0.0.7", 1.0)
        executor.shutdown(wait=False, cancel_futures=True)
        self.assertEqual((False, True), (running.cancelled(), waiting.cancelled()))

    def test_forgotten(self) -> None:
        """An executor that nobody has any more is shut down, when its calls have ended."""
        executor = self.executor()
        future, uid = executor.submit(pow, 1, 1), executor.cluster.uid
        del executor
        gc.collect()
        self.assertEqual([], self.session.closed)
        self.session.end(self.session.submitted[0][3])
        self.assertEqual(([uid], 7), (self.session.closed, future.result()))

    def test_one_that_could_not_be_made(self) -> None:
        """Leaves nothing that would be shut down."""
        forget_others(self)
        self.assertRaises(TypeError, self.executor, nodes=5, secret=7)
        gc.collect()
        self.assertEqual([], self.flushLoggedErrors())

    def test_ended_otherwise(self) -> None:
        """A job that is cancelled counts as ended too."""
        executor = self.executor()
        future = executor.submit(pow, 1, 1)
        executor.shutdown(wait=False)
        self.session.end(self.session.submitted[0][3], CANCELLED)
        self.assertEqual((True, DispyJob.Cancelled), (future.cancelled(), self.session.submitted[0][3].status))
        self.assertIn(executor.cluster.uid, self.session.closed)
