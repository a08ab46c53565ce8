"""CPython's own tests of executors (Lib/test/test_concurrent_futures of 3.13), by their names, over a node: run as a program.

    python contract.py ADDRESS [CLASS.TEST …]

Times are shorter, and classes of the test module are replaced by functions; what is asserted is what CPython asserts. It prints the names of
the tests that have passed.
"""

import concurrent.futures as futures
import gc
import itertools
import os
import sys
import tempfile
import threading
import time
import unittest
import weakref
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING, Future

import dispytw

NODE = sys.argv[1]
WAIT = 15.0


def create_future(state=PENDING, exception=None, result=None):
    future = Future()
    future._state, future._exception, future._result = state, exception, result
    return future


PENDING_FUTURE = create_future()
RUNNING_FUTURE = create_future(RUNNING)
CANCELLED_FUTURE = create_future(CANCELLED)
CANCELLED_AND_NOTIFIED_FUTURE = create_future(CANCELLED_AND_NOTIFIED)
EXCEPTION_FUTURE = create_future(FINISHED, exception=OSError())
SUCCESSFUL_FUTURE = create_future(FINISHED, result=42)
DONE_FUTURES = {CANCELLED_AND_NOTIFIED_FUTURE, EXCEPTION_FUTURE, SUCCESSFUL_FUTURE}


def mul(x, y):
    return x * y


def capture(*args, **kwargs):
    return args, kwargs


def sleep_and_raise(t):
    time.sleep(t)
    raise Exception("this is an exception")


def raise_runtime_error():
    raise RuntimeError(123)  # some comment


class MyObject:
    def my_method(self):
        pass


def make_dummy_object(_):
    return MyObject()


def crash():
    os.kill(os.getpid(), 11)


def exit_now():
    sys.exit(1)


class CrashAtPickle:
    def __reduce__(self):
        crash()


class ExitAtPickle:
    def __reduce__(self):
        exit_now()


class ErrorAtPickle:
    def __reduce__(self):
        raise RuntimeError("pickled")


def raise_unpickling():
    raise RuntimeError("unpickled")


class ErrorAtUnpickle:
    def __reduce__(self):
        return raise_unpickling, ()


class CrashAtUnpickle:
    def __reduce__(self):
        return crash, ()


class ExitAtUnpickle:
    def __reduce__(self):
        return exit_now, ()


def return_error_at_unpickle():
    return ErrorAtUnpickle()


def return_crash_at_pickle():
    return CrashAtPickle()


def return_exit_at_pickle():
    return ExitAtPickle()


def return_error_at_pickle():
    return ErrorAtPickle()


class Case(unittest.TestCase):
    shared = []  # for the tests that do not shut it down

    def setUp(self):
        if not self.shared:
            self.shared.append(self.executor_type())
        self.executor = self.shared[0]

    @staticmethod
    def executor_type():
        return dispytw.Executor([NODE])


class ExecutorTest(Case):
    def test_submit(self):
        self.assertEqual(256, self.executor.submit(pow, 2, 8).result())

    def test_submit_keyword(self):
        self.assertEqual(16, self.executor.submit(mul, 2, y=8).result())
        future = self.executor.submit(capture, 1, self=2, fn=3)
        self.assertEqual(future.result(), ((1,), {"self": 2, "fn": 3}))
        with self.assertRaises(TypeError):
            self.executor.submit(fn=capture, arg=1)
        with self.assertRaises(TypeError):
            self.executor.submit(arg=1)

    def test_map(self):
        expected = list(map(pow, range(10), range(10)))
        self.assertEqual(list(self.executor.map(pow, range(10), range(10))), expected)
        self.assertEqual(list(self.executor.map(pow, range(10), range(10), chunksize=3)), expected)

    def test_map_exception(self):
        for options in ({}, {"chunksize": 2}):
            i = self.executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5], **options)
            self.assertEqual(i.__next__(), (0, 1))
            self.assertEqual(i.__next__(), (0, 1))
            self.assertRaises(ZeroDivisionError, i.__next__)

    def test_map_timeout(self):
        results = []
        with self.assertRaises(futures.TimeoutError):
            for i in self.executor.map(time.sleep, [0, 0, 60], timeout=5):
                results.append(i)
        self.assertEqual([None, None], results)

    def test_shutdown_race_issue12456(self):
        executor = self.executor_type()
        executor.map(str, [2] * 5)
        executor.shutdown()

    def test_no_stale_references(self):
        my_object = MyObject()
        collected = threading.Event()
        callback = weakref.ref(my_object, lambda obj: collected.set())
        self.executor.submit(my_object.my_method)
        del my_object
        self.assertTrue(collected.wait(timeout=WAIT))
        self.assertIsNone(callback())

    def test_free_reference(self):
        for obj in self.executor.map(make_dummy_object, range(10)):
            wr = weakref.ref(obj)
            del obj
            gc.collect()
            self.assertIsNone(wr())

    def test_map_submits_without_iteration(self):
        for options in ({}, {"chunksize": 3}):
            executor = self.executor_type()
            results = executor.map(mul, range(10), range(10), **options)
            executor.shutdown(wait=True)
            self.assertEqual(0, executor.cluster.view.unfinished)
            self.assertEqual([n * n for n in range(10)], list(results))

    def test_map_chunksize(self):
        ref = list(map(pow, range(40), range(40)))
        for chunksize in (6, 50, 40, "auto"):
            self.assertEqual(list(self.executor.map(pow, range(40), range(40), chunksize=chunksize)), ref)
        self.assertRaises(ValueError, lambda: list(self.executor.map(pow, range(40), range(40), chunksize=-1)))

    def test_map_with_buffersize(self):
        taken = []
        numbers = (taken.append(n) or n for n in itertools.count())
        results = self.executor.map(mul, numbers, itertools.repeat(2), buffersize=3)
        self.assertEqual([0, 2, 4], [next(results) for _ in range(3)])
        self.assertLess(len(taken), 10)
        results.close()
        for wrong in (0, -1):
            self.assertRaises(ValueError, self.executor.map, mul, [1], [1], buffersize=wrong)

    def test_executor_map_current_future_cancel(self):
        first = self.executor.submit(time.sleep, 60)
        results = self.executor.map(time.sleep, [60, 60, 60], timeout=0.1)
        self.assertRaises(futures.TimeoutError, next, results)
        self.assertTrue(first.cancel())  # and the others were, by the timeout: else shutdown would take a minute

    def test_traceback(self):
        future = self.executor.submit(raise_runtime_error)
        with self.assertRaises(Exception) as cm:
            future.result()
        self.assertIs(type(cm.exception), RuntimeError)
        self.assertEqual(cm.exception.args, (123,))
        self.assertIn("raise RuntimeError(123)  # some comment", str(cm.exception.__cause__))

    def test_saturation(self):
        fs = [self.executor.submit(time.sleep, 0.01) for _ in range(60)]
        self.assertEqual(60, len(futures.wait(fs, timeout=WAIT).done))


class DeadlockTest(Case):
    """Whatever happens while something is pickled or runs: the future ends, and the executor goes on."""

    def check_error(self, error, function, *args):
        with self.assertRaises(error):
            self.executor.submit(function, *args).result(timeout=WAIT)
        self.assertEqual(4, self.executor.submit(mul, 2, 2).result(timeout=WAIT))

    def test_error_at_task_pickle(self):
        self.check_error(TypeError, id, ErrorAtPickle())

    def test_exit_at_task_unpickle(self):
        self.check_error(dispytw.errors.JobExitError, id, ExitAtUnpickle())

    def test_error_at_task_unpickle(self):
        self.check_error(dispytw.errors.PayloadError, id, ErrorAtUnpickle())

    def test_crash_at_task_unpickle(self):
        self.check_error(dispytw.errors.JobKilledError, id, CrashAtUnpickle())

    def test_crash_during_func_exec_on_worker(self):
        self.check_error(dispytw.errors.JobKilledError, crash)

    def test_exit_during_func_exec_on_worker(self):
        self.check_error(dispytw.errors.JobExitError, exit_now)

    def test_error_during_func_exec_on_worker(self):
        self.check_error(RuntimeError, raise_runtime_error)

    def test_crash_during_result_pickle_on_worker(self):
        self.check_error(dispytw.errors.JobKilledError, return_crash_at_pickle)

    def test_exit_during_result_pickle_on_worker(self):
        self.check_error(dispytw.errors.JobExitError, return_exit_at_pickle)

    def test_error_during_result_pickle_on_worker(self):
        self.check_error(dispytw.errors.PayloadError, return_error_at_pickle)

    def test_error_during_result_unpickle_in_result_handler(self):
        self.check_error(dispytw.errors.ResultError, return_error_at_unpickle)

    def test_crash_big_data(self):
        data = "a" * 3_000_000
        with self.assertRaises(dispytw.errors.JobKilledError):
            list(self.executor.map(crash_with, [data] * 3))

    def test_exit_during_result_unpickle_in_result_handler(self):
        self.check_error(dispytw.errors.ResultError, ExitAtUnpickle)

    def test_killed_child(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "pid")
            future = self.executor.submit(note_pid_and_sleep, path)
            wait_until(lambda: os.path.exists(path))
            with open(path) as file:
                os.kill(int(file.read()), 9)
            self.assertRaises(dispytw.errors.JobKilledError, future.result, timeout=WAIT)
        self.assertEqual(256, self.executor.submit(pow, 2, 8).result())  # the executor is not broken by that

    def test_shutdown_deadlock(self):
        executor = self.executor_type()
        executor.submit(mul, 1, 1).result()
        future = executor.submit(crash)
        executor.shutdown(wait=True)
        self.assertRaises(dispytw.errors.JobKilledError, future.result)

    def test_shutdown_deadlock_pickle(self):
        executor = self.executor_type()
        self.assertRaises(TypeError, executor.submit, id, ErrorAtPickle())
        executor.shutdown(wait=True)


def crash_with(data):
    crash()


def note_pid_and_sleep(path):
    with open(path + "~", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + "~", path)
    time.sleep(60)


class Marks:
    """Leaves a file when it goes."""

    def __init__(self, path):
        self.path = path

    def __del__(self):
        if os.getpid() != self.__dict__.get("pid"):
            open(self.path, "w").close()


def set_up():
    global initial
    initial = "initialized"
    return 0


def get_initial():
    return initial


class ProcessTest(Case):
    """test_process_pool.py and test_init.py: the processes behind it."""

    def pids(self, executor, count):
        return [executor.submit(os.getpid).result(timeout=WAIT) for _ in range(count)]

    def test_idle_process_reuse_one(self):
        self.assertLessEqual(len(set(self.pids(self.executor, 6))), 2)

    def test_idle_process_reuse_multiple(self):
        self.assertLessEqual(len({f.result() for f in [self.executor.submit(os.getpid) for _ in range(20)]}), 2)

    def test_max_tasks_per_child(self):
        with dispytw.Executor([NODE], max_jobs_per_worker=1) as executor:
            self.assertEqual(4, len(set(self.pids(executor, 4))))

    def test_max_tasks_early_shutdown(self):
        executor = dispytw.Executor([NODE], max_jobs_per_worker=1)
        fs = [executor.submit(mul, n, n) for n in range(6)]
        executor.shutdown()
        self.assertEqual([n * n for n in range(6)], [f.result() for f in fs])

    def test_max_workers_negative(self):
        for number in (0, -1, 4):
            with self.assertRaisesRegex(TypeError, "no option max_workers; the nodes say"):
                dispytw.Executor([NODE], max_workers=number)

    def test_initializer(self):
        with dispytw.Executor([NODE], setup=set_up) as executor:
            self.assertEqual("initialized", executor.submit(get_initial).result())

    def test_ressources_gced_in_workers(self):
        with tempfile.TemporaryDirectory() as directory:
            marks = Marks(os.path.join(directory, "gone"))
            marks.pid = os.getpid()  # here it may go without a trace
            self.executor.submit(id, marks).result()
            wait_until(lambda: os.path.exists(marks.path))

    def test_processes_terminate(self):
        executor = self.executor_type()
        (pid,) = self.pids(executor, 1)
        executor.shutdown()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


class ShutdownTest(Case):
    def setUp(self):
        self.executor = self.executor_type()

    def test_run_after_shutdown(self):
        self.executor.shutdown()
        self.assertRaises(RuntimeError, self.executor.submit, pow, 2, 5)
        self.assertRaises(RuntimeError, self.executor.map, pow, [2], [5], chunksize=2)

    def test_hang_issue12364(self):
        fs = [self.executor.submit(time.sleep, 0.01) for _ in range(50)]
        self.executor.shutdown()
        for f in fs:
            f.result()

    def test_cancel_futures(self):
        running = self.executor.submit(time.sleep, 1.0)
        while not running.running():
            time.sleep(0.01)
        fs = [self.executor.submit(time.sleep, 1.0) for _ in range(50)]
        self.executor.shutdown(cancel_futures=True)
        self.assertGreater(sum(fut.cancelled() for fut in fs), 20)
        others = [fut for fut in [running, *fs] if not fut.cancelled()]
        for fut in others:
            self.assertTrue(fut.done(), msg=f"{fut._state=}")
            self.assertIsNone(fut.exception())
        self.assertGreater(len(others), 0)

    def test_cancel_futures_wait_false(self):
        fs = [self.executor.submit(time.sleep, 0.3) for _ in range(20)]
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertGreater(sum(fut.cancelled() for fut in fs), 10)
        futures.wait(fs, timeout=WAIT)

    def test_shutdown_no_wait(self):
        executor = self.executor_type()
        results = executor.map(abs, range(-5, 5))
        executor.shutdown(wait=False)
        self.assertRaises(RuntimeError, executor.submit, pow, 2, 5)
        self.assertEqual([5, 4, 3, 2, 1, 0, 1, 2, 3, 4], list(results))
        wait_until(lambda: executor.cluster.uid not in dispytw.client.engine.engine().clusters)

    def test_context_manager_shutdown(self):
        with self.executor_type() as e:
            self.assertEqual(list(e.map(abs, range(-5, 5))), [5, 4, 3, 2, 1, 0, 1, 2, 3, 4])
        self.assertRaises(RuntimeError, e.submit, pow, 2, 5)

    def test_del_shutdown(self):
        executor = self.executor_type()
        cluster = executor.cluster
        results = executor.map(abs, range(-5, 5))
        del executor
        gc.collect()
        self.assertEqual(list(results), [5, 4, 3, 2, 1, 0, 1, 2, 3, 4])
        wait_until(lambda: cluster.uid not in dispytw.client.engine.engine().clusters)


def wait_until(holds):
    """What has no event to wait for."""
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class WaitTest(Case):
    def test_20369(self):
        future = self.executor.submit(time.sleep, 0.1)
        done, not_done = futures.wait([future, future], return_when=futures.ALL_COMPLETED)
        self.assertEqual(({future}, set()), (done, not_done))

    def test_first_completed(self):
        future1 = self.executor.submit(mul, 21, 2)
        future2 = self.executor.submit(time.sleep, 60)
        done, not_done = futures.wait([CANCELLED_FUTURE, future1, future2], return_when=futures.FIRST_COMPLETED)
        self.assertEqual(({future1}, {CANCELLED_FUTURE, future2}), (done, not_done))
        future2.cancel()

    def test_first_completed_some_already_completed(self):
        future1 = self.executor.submit(time.sleep, 60)
        some = [CANCELLED_AND_NOTIFIED_FUTURE, SUCCESSFUL_FUTURE, future1]
        finished, pending = futures.wait(some, return_when=futures.FIRST_COMPLETED)
        self.assertEqual(({CANCELLED_AND_NOTIFIED_FUTURE, SUCCESSFUL_FUTURE}, {future1}), (finished, pending))
        future1.cancel()

    def test_first_exception(self):
        future1 = self.executor.submit(mul, 2, 21)
        future1.result()
        future2 = self.executor.submit(sleep_and_raise, 0.1)
        future3 = self.executor.submit(time.sleep, 60)
        finished, pending = futures.wait([future1, future2, future3], return_when=futures.FIRST_EXCEPTION)
        self.assertEqual(({future1, future2}, {future3}), (finished, pending))
        future3.cancel()

    def test_first_exception_some_already_complete(self):
        future1 = self.executor.submit(divmod, 21, 0)
        future2 = self.executor.submit(time.sleep, 60)
        some = [SUCCESSFUL_FUTURE, CANCELLED_FUTURE, CANCELLED_AND_NOTIFIED_FUTURE, future1, future2]
        finished, pending = futures.wait(some, return_when=futures.FIRST_EXCEPTION)
        self.assertEqual({SUCCESSFUL_FUTURE, CANCELLED_AND_NOTIFIED_FUTURE, future1}, finished)
        self.assertEqual({CANCELLED_FUTURE, future2}, pending)
        future2.cancel()

    def test_first_exception_one_already_failed(self):
        future1 = self.executor.submit(time.sleep, 60)
        finished, pending = futures.wait([EXCEPTION_FUTURE, future1], return_when=futures.FIRST_EXCEPTION)
        self.assertEqual(({EXCEPTION_FUTURE}, {future1}), (finished, pending))
        future1.cancel()

    def test_all_completed(self):
        future1 = self.executor.submit(divmod, 2, 0)
        future2 = self.executor.submit(mul, 2, 21)
        finished, pending = futures.wait([*DONE_FUTURES, future1, future2], return_when=futures.ALL_COMPLETED)
        self.assertEqual((DONE_FUTURES | {future1, future2}, set()), (finished, pending))

    def test_timeout(self):
        future = self.executor.submit(time.sleep, 60)
        finished, pending = futures.wait([*DONE_FUTURES, future], timeout=0.05, return_when=futures.ALL_COMPLETED)
        self.assertEqual((DONE_FUTURES, {future}), (finished, pending))
        future.cancel()

    def test_pending_calls_race(self):
        fs = [self.executor.submit(mul, n, n) for n in range(100)]
        self.assertEqual(100, len(futures.wait(fs, timeout=WAIT).done))


class AsCompletedTest(Case):
    def test_no_timeout(self):
        mine = {self.executor.submit(mul, 2, 21), self.executor.submit(mul, 7, 6)}
        self.assertEqual(DONE_FUTURES | mine, set(futures.as_completed(DONE_FUTURES | mine)))

    def test_future_times_out(self):
        future = self.executor.submit(time.sleep, 60)
        for timeout in (0, 0.1):
            completed = set()
            with self.assertRaises(futures.TimeoutError):
                for f in futures.as_completed(DONE_FUTURES | {future}, timeout):
                    completed.add(f)
            self.assertEqual(completed, DONE_FUTURES)
        future.cancel()

    def test_duplicate_futures(self):
        future1 = self.executor.submit(time.sleep, 0.1)
        self.assertEqual([future1], list(futures.as_completed(itertools.repeat(future1, 3))))

    def test_free_reference_yielded_future(self):
        futures_list = [self.executor.submit(mul, n, n) for n in range(8)]
        for future in futures.as_completed(futures_list, timeout=WAIT):
            futures_list.remove(future)
            wr = weakref.ref(future)
            future.result()
            del future
            wait_until(lambda wr=wr: gc.collect() is not None and wr() is None)

    def test_correct_timeout_exception_msg(self):
        mine = self.executor.submit(time.sleep, 60)
        with self.assertRaises(futures.TimeoutError) as cm:
            list(futures.as_completed([CANCELLED_AND_NOTIFIED_FUTURE, PENDING_FUTURE, mine, SUCCESSFUL_FUTURE], timeout=0))
        self.assertEqual(str(cm.exception), "2 (of 4) futures unfinished")
        mine.cancel()


class FutureTest(Case):
    """test_future.py, with futures of jobs in the place of futures made by hand."""

    def called(self, future):
        """What a callback gets, when it has been called."""
        got = futures.Future()
        future.add_done_callback(lambda each: got.set_result(each))
        return got.result(timeout=WAIT)

    def test_done_callback_with_result(self):
        self.assertEqual(5, self.called(self.executor.submit(mul, 5, 1)).result())

    def test_done_callback_with_exception(self):
        self.assertEqual((123,), self.called(self.executor.submit(raise_runtime_error)).exception().args)

    def test_done_callback_with_cancel(self):
        was_cancelled = []
        f = self.executor.submit(time.sleep, 60)
        f.add_done_callback(lambda each: was_cancelled.append(each.cancelled()))
        self.assertTrue(f.cancel())
        self.assertEqual([True], was_cancelled)

    def test_done_callback_raises(self):
        called = []
        f = self.executor.submit(mul, 5, 1)

        def raising(_):
            called.append("raising")
            raise Exception("doh!")

        with self.assertLogs("concurrent.futures", "ERROR"):
            f.add_done_callback(raising)
            f.add_done_callback(lambda _: called.append("fine"))
            self.called(f)
            wait_until(lambda: len(called) == 2)

    test_done_callback_raises_already_succeeded = test_done_callback_raises

    def test_done_callback_already_successful(self):
        f = self.executor.submit(mul, 5, 1)
        f.result()
        self.assertEqual(5, self.called(f).result())

    def test_done_callback_already_failed(self):
        f = self.executor.submit(raise_runtime_error)
        f.exception()
        self.assertEqual((123,), self.called(f).exception().args)

    def test_done_callback_already_cancelled(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertTrue(f.cancel())
        self.assertTrue(self.called(f).cancelled())

    def test_repr(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertRegex(repr(f), "<JobFuture at 0x[0-9a-f]+ state=pending>")
        f.cancel()
        self.assertRegex(repr(f), "<JobFuture at 0x[0-9a-f]+ state=cancelled>")
        f = self.executor.submit(raise_runtime_error)
        f.exception()
        self.assertRegex(repr(f), "<JobFuture at 0x[0-9a-f]+ state=finished raised RuntimeError>")
        f = self.executor.submit(mul, 6, 7)
        f.result()
        self.assertRegex(repr(f), "<JobFuture at 0x[0-9a-f]+ state=finished returned int>")

    def test_cancel(self):
        done = self.executor.submit(mul, 1, 1)
        done.result()
        running = self.executor.submit(time.sleep, 60)
        wait_until(running.running)
        queued = self.executor.submit(time.sleep, 60)
        self.assertEqual((True, True, False), (queued.cancel(), running.cancel(), done.cancel()))
        self.assertEqual((True, True, False), (queued.cancel(), running.cancel(), done.cancel()))

    def test_cancelled(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertFalse(f.cancelled())
        f.cancel()
        self.assertTrue(f.cancelled())

    def test_done(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertFalse(f.done())
        f.cancel()
        self.assertTrue(f.done())
        f = self.executor.submit(mul, 6, 7)
        f.result()
        self.assertTrue(f.done())

    def test_running(self):
        f = self.executor.submit(time.sleep, 60)
        wait_until(f.running)
        f.cancel()
        self.assertFalse(f.running())

    def test_result_with_timeout(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertRaises(futures.TimeoutError, f.result, timeout=0)
        f.cancel()
        self.assertRaises(futures.CancelledError, f.result, timeout=0)

    def test_result_with_success(self):
        f = self.executor.submit(mul, 6, 7)
        self.assertEqual(42, f.result(timeout=WAIT))

    def test_result_with_cancel(self):
        f = self.executor.submit(time.sleep, 60)
        threading.Thread(target=f.cancel).start()
        self.assertRaises(futures.CancelledError, f.result, timeout=WAIT)

    def test_exception_with_timeout(self):
        f = self.executor.submit(time.sleep, 60)
        self.assertRaises(futures.TimeoutError, f.exception, timeout=0)
        f.cancel()
        self.assertRaises(futures.CancelledError, f.exception, timeout=0)

    def test_exception_with_success(self):
        self.assertEqual((123,), self.executor.submit(raise_runtime_error).exception(timeout=WAIT).args)
        self.assertIsNone(self.executor.submit(mul, 1, 1).exception(timeout=WAIT))

    def test_multiple_set_result(self):
        f = self.executor.submit(mul, 1, 1)
        f.result()
        self.assertRaises(futures.InvalidStateError, f.set_result, 2)
        self.assertEqual(1, f.result())

    def test_multiple_set_exception(self):
        f = self.executor.submit(mul, 1, 1)
        f.result()
        self.assertRaises(futures.InvalidStateError, f.set_exception, Exception())


class Result(unittest.TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        print(test.id().rpartition(".")[2])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], testRunner=unittest.TextTestRunner(resultclass=Result))
