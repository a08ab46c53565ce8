"""recover_jobs: which file, which jobs, and what becomes of the file. Nodes are asked in tests/client/test_fetching.py."""

from __future__ import annotations

import errno
import os
import tempfile
import unittest
from typing import Any
from unittest import mock

import dispytw
from dispytw.client import recovery
from dispytw.client.bodies import store_body
from dispytw.client.ids import packed_id
from dispytw.client.recoverlog import RecoverLog, create_log, framed
from dispytw.client.recovery import recover_jobs
from dispytw.client.remains import (
    PACKED,
    Owned,
    Place,
    computation_entry,
    delivered_entry,
    ended_entry,
    id_entry,
    node_entry,
    sent_entry,
)
from dispytw.errors import RecoverFileBusyError, RecoverFileError, RecoverFileMissingError
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Inline, Outcome

NODE = b"n" * 16
ONE, TWO, THREE = b"1" * 16, b"2" * 16, b"3" * 16
FINE = Outcome(FINISHED, Inline(b"m\x07"), Inline(b"out"), Inline(b"err"), started=1.0, ended=2.0)
FAILED = Outcome(TERMINATED, exception="ValueError: no")
PLACE = Place(NODE, "10.0.0.7", 51348, ["Insecure"], False)


def sent(*jobs: bytes) -> list[Any]:
    """With 5, 6 and so on for their numbers."""
    return sent_entry(NODE, (1, 9), 77.0, [(Attempt(job, 1), 5 + index) for index, job in enumerate(jobs)])


class RecoveryTestCase(unittest.TestCase):
    """In a directory of its own; a Fetcher that fetches what the test has for it."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)
        self.on_nodes: dict[bytes, Outcome] = {}
        self.fetched: list[tuple[float | None, bool]] = []
        self.rests = 0
        patch = mock.patch.multiple(recovery, engine=mock.Mock(return_value=self), Fetcher=self._fetcher, reopened_file=self._file)
        patch.start()
        self.addCleanup(patch.stop)
        #: The engine, its bridge and the recover file are the test itself.
        self.bridge = self.reactor = self.introduction = self.dial = self

    def _fetcher(self, owned: Owned, remains: Any, file: Any, means: Any) -> Any:
        def start(timeout: float | None, terminate: bool) -> None:
            self.fetched.append((timeout, terminate))
            for job in remains.unfinished:
                job.outcome = self.on_nodes.get(job.uid)

        return mock.Mock(start=start)

    def _file(self, log: RecoverLog, bridge: Any, say: Any) -> Any:
        return mock.Mock(rest=self._rest)

    def _rest(self) -> None:
        self.rests += 1

    def wait(self, call: Any, *arguments: Any) -> Any:
        return call(*arguments)

    def left(self, *records: Any, name: str = "rec", is_program: bool = False, places: tuple[Place, ...] = (PLACE,)) -> RecoverLog:
        """A file that a program has left."""
        log = create_log(name)
        log.append(framed(computation_entry(Owned(b"c" * 16, b"t" * 16, "compute", is_program, 1e9, 77))))
        log.append(*(framed(node_entry(place, place.login)) for place in places), *map(framed, records))
        log.close()
        return log


class Jobs(RecoveryTestCase):
    """What is returned."""

    def test_from_the_file(self) -> None:
        """Outcomes that are in the file, whole; the file is removed."""
        self.left(sent(ONE, TWO), ended_entry(ONE, NODE, FINE, {}), ended_entry(TWO, NODE, FAILED, {}))
        one, two = recover_jobs("rec")
        self.assertEqual((5, FINISHED, 7, "out", "err", "10.0.0.7"), (one.id, one.status, one.result, one.stdout, one.stderr, one.ip_addr))
        self.assertEqual((77.0, 1.0, 2.0, None, ""), (one.submit_time, one.start_time, one.end_time, one.exception, one.reason))
        self.assertEqual((6, TERMINATED, None, "ValueError: no"), (two.id, two.status, two(), two.exception))
        self.assertTrue(one.finish.is_set())
        self.assertEqual([], os.listdir())
        one.id = "another"

    def test_from_nodes(self) -> None:
        """What nodes have, with timeout and terminate_pending handed on."""
        self.left(sent(ONE))
        self.on_nodes[ONE] = FINE
        (job,) = recover_jobs("rec", 5.0, True)
        self.assertEqual((FINISHED, 7, [(5.0, True)], 1), (job.status, job.result, self.fetched, self.rests))
        self.assertEqual([], os.listdir())

    def test_never_sent(self) -> None:
        """A job that has an id and never left is Cancelled, and says so."""
        self.left(id_entry(ONE, "plain", "mine"))
        (job,) = recover_jobs("rec")
        self.assertEqual(("mine", CANCELLED, "never sent", "", None), (job.id, job.status, job.reason, job.stdout, job.ip_addr))

    def test_delivered(self) -> None:
        """What was delivered is not returned."""
        self.left(sent(ONE, TWO), ended_entry(TWO, NODE, FINE, {}), delivered_entry([ONE]))
        self.assertEqual([6], [job.id for job in recover_jobs("rec")])

    def test_nothing(self) -> None:
        """Of a program that was killed before it had done anything nothing is returned, and no file stays."""
        create_log("rec").close()
        self.left(name="other", places=())
        self.assertEqual(([], [], []), (recover_jobs("rec"), recover_jobs("other"), self.fetched))
        self.assertEqual([], os.listdir())

    def test_a_program(self) -> None:
        """A program's output is bytes."""
        self.left(sent(ONE), ended_entry(ONE, NODE, FINE, {}), is_program=True)
        self.assertEqual(b"out", recover_jobs("rec")[0].stdout)

    def test_large_results(self) -> None:
        """They are still there when the file has gone."""
        log = self.left(sent(ONE))
        body = store_body(log.bodies, b"m" + b"\xc5\xea\x60" + b"x" * 60_000)
        outcome = Outcome(FINISHED, body, stderr=body)
        log = recovery.reopen_log("rec", lambda record: None)
        log.append(framed(ended_entry(ONE, NODE, outcome, {body.path: os.path.basename(body.path).encode()})))
        log.close()
        (job,) = recover_jobs("rec")
        self.assertEqual([], os.listdir())
        self.assertEqual((b"x" * 60_000, 60_004), (job.result, len(job.stderr)))

    def test_a_result_that_is_gone(self) -> None:
        """Where a large result is not there any more, the node is asked for it."""
        log = self.left(sent(ONE))
        body = store_body(log.bodies, b"x" * 60_000)
        log = recovery.reopen_log("rec", lambda record: None)
        log.append(framed(ended_entry(ONE, NODE, Outcome(FINISHED, body), {body.path: os.path.basename(body.path).encode()})))
        log.close()
        os.unlink(body.path)
        self.on_nodes[ONE] = FINE
        self.assertEqual([7], [job.result for job in recover_jobs("rec")])

    def test_an_id_that_cannot_be_opened(self) -> None:
        """The job gets its number, and it is said."""
        form, value = packed_id((1, 2))
        self.assertEqual(PACKED, form)
        self.left(sent(ONE), id_entry(ONE, form, value[:-3]), ended_entry(ONE, NODE, FINE, {}))
        with self.assertLogs("dispytw", "WARNING") as logs:
            (job,) = recover_jobs("rec")
        self.assertEqual(5, job.id)
        self.assertIn("cannot be opened here", logs.output[0])

    def test_twice(self) -> None:
        """What has not come stays in the file; what was returned is not returned again."""
        self.left(sent(ONE, TWO, THREE), ended_entry(ONE, NODE, FINE, {}))
        self.on_nodes[TWO] = FINE
        self.assertEqual([5, 6], [job.id for job in recover_jobs("rec", timeout=1)])
        self.assertEqual([], recover_jobs("rec", timeout=1))
        self.on_nodes[THREE] = FINE
        self.assertEqual([7], [job.id for job in recover_jobs("rec")])
        with self.assertRaises(RecoverFileMissingError):
            recover_jobs("rec")

    def test_no_time(self) -> None:
        """With a timeout of 0 no node is asked."""
        self.left(sent(ONE, TWO), ended_entry(ONE, NODE, FINE, {}))
        self.assertEqual(([5], []), ([job.id for job in recover_jobs("rec", 0)], self.fetched))

    def test_killed(self) -> None:
        """Until it returns nothing is lost: who is killed, or fails, before that has left everything."""
        self.left(sent(ONE), ended_entry(ONE, NODE, FINE, {}))
        with mock.patch.object(recovery._Left, "_hand_over", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            recover_jobs("rec")
        self.assertEqual([5], [job.id for job in recover_jobs("rec")])

    def test_no_room(self) -> None:
        """What cannot be marked as returned is not returned."""
        self.left(sent(ONE, TWO), ended_entry(ONE, NODE, FINE, {}))
        full = mock.patch("dispytw.client.recoverlog.write_all", side_effect=OSError(errno.ENOSPC, "No space left on device"))
        with full, self.assertRaisesRegex(RecoverFileError, "No space left on device; nothing is lost, call recover_jobs again"):
            recover_jobs("rec", 1)
        self.assertEqual([5], [job.id for job in recover_jobs("rec", 1)])

    def test_interrupted(self) -> None:
        """Ctrl-C while it waits: the links are given up, the file is free."""
        self.left(sent(ONE))
        fetcher = mock.Mock(start=mock.Mock(side_effect=KeyboardInterrupt))
        with mock.patch.object(recovery, "Fetcher", return_value=fetcher), self.assertRaises(KeyboardInterrupt):
            recover_jobs("rec")
        fetcher.stop.assert_called_once_with()
        self.assertEqual([], recover_jobs("rec", 0))


class Files(RecoveryTestCase):
    """Which file."""

    def test_front_door(self) -> None:
        """It is the package's own name."""
        self.assertIs(recover_jobs, dispytw.recover_jobs)

    def test_newest(self) -> None:
        """Without a name, the newest of the default names in this directory; -10 comes after -9."""
        for name in ("_dispy_20260101000000-9", "_dispy_20251231235959", "_dispy_20260101000000-10", "_dispy_20270101", "rec"):
            self.left(id_entry(ONE, "plain", name), name=name)
        for name in ("_dispy_20260101000000-10", "_dispy_20260101000000-9", "_dispy_20251231235959"):
            self.assertEqual([name], [job.id for job in recover_jobs()])
        with self.assertRaisesRegex(RecoverFileMissingError, "there is no recover file _dispy_… in /"):
            recover_jobs(None)

    def test_newest_of_a_program_that_runs(self) -> None:
        """It is passed over; where there is no other, that is said."""
        running = create_log("_dispy_20260101000000")
        self.addCleanup(running.close)
        with self.assertRaisesRegex(RecoverFileMissingError, "1 belong to programs that still run"):
            recover_jobs()
        self.left(id_entry(ONE, "plain", "older"), name="_dispy_20250101000000")
        self.assertEqual(["older"], [job.id for job in recover_jobs()])

    def test_in_use(self) -> None:
        """A file whose program runs is refused, and so is one that somebody recovers from."""
        self.addCleanup(create_log("rec").close)
        with self.assertRaises(RecoverFileBusyError):
            recover_jobs("rec")

    def test_wrong_types(self) -> None:
        """They are named."""
        for arguments, name in (((5,), "recover_file"), (("rec", "1"), "timeout"), (("rec", -1), "timeout"), (("rec", 1, 1), "terminate_pending")):
            with self.assertRaisesRegex(TypeError, name):
                recover_jobs(*arguments)  # type: ignore[arg-type]
