"""Values survive being written as records; whatever is no record is a WireError, and nothing else."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import attrs
import msgpack
from hypothesis import given
from hypothesis import strategies as st

from dispytw.errors import StreamError, WireError
from dispytw.values import (
    ABANDONED,
    CANCELLED,
    CREATED,
    ERROR_LIMIT,
    FINISHED,
    INLINE_LIMIT,
    RUNNING,
    TERMINATED,
    Attempt,
    Availability,
    Body,
    Computation,
    File,
    Inline,
    Outcome,
    Stored,
)
from dispytw.wire import records
from dispytw.wire.arguments import MOST_PARTS
from dispytw.wire.records import (
    BATCH_BYTES,
    attempt_from,
    attempts_with,
    availability_from,
    availability_record,
    body_from,
    body_record,
    body_weight,
    computation_from,
    computation_record,
    limits_record,
    minor_from,
    outcome_bodies,
    outcome_from,
    outcome_record,
    outcome_weight,
    timeouts_from,
)
from tests.wire.commands import packable

STREAM = b"s" * 16
UID, DIGEST = b"u" * 16, b"d" * 32

texts = st.text(max_size=40) | st.text("aé€\udce9", max_size=40)  # lone surrogates too: file names that are no UTF-8
uids = st.binary(min_size=16, max_size=16)
sizes = st.integers(0, 2**40)
bodies = st.builds(Inline, st.binary(max_size=100)) | st.builds(Stored, st.sampled_from(["/1", "/2"]), st.just(100))
times = st.none() | st.floats(0, 2e9)
outcomes = st.builds(
    Outcome,
    status=st.sampled_from([FINISHED, TERMINATED, CANCELLED]),
    result=st.none() | bodies,
    stdout=bodies,
    stderr=bodies,
    exception=st.none() | texts,
    started=times,
    ended=times,
    reason=texts,
    error=st.binary(max_size=100),
)
files = st.builds(File, texts, st.binary(min_size=32, max_size=32), sizes, st.integers(0, 0o777))
computations = st.builds(
    Computation,
    uid=uids,
    name=texts,
    bundle=files,
    files=st.lists(files, max_size=3).map(tuple),
    program=st.none() | texts,
    python=st.none() | st.tuples(st.integers(3, 4), st.integers(0, 99)),
    setup_timeout=st.none() | st.floats(0, 1e6),
    token=uids,
    isolation=st.sampled_from(["job", "worker"]),
    max_jobs_per_worker=st.none() | st.integers(1, 10**6),
    dest_path=st.sampled_from(["", "a", "a/b"]),
    keeps=st.booleans(),
    start_method=st.sampled_from([None, "fork", "spawn"]),
)

#: Records that are whole, and the parts of which are spoilt one after another.
OUTCOME = [FINISHED, b"r", b"o", [STREAM, 5], "text", 1.0, 2, "reason", b"p."]
FILE = ["a/b", DIGEST, 3, 0o644]
COMPUTATION = [UID, "compute", FILE, [FILE], "program", [3, 11], 1.5, b"t" * 16, "worker", 7, "a/b", True, "spawn"]


class Shelf:
    """Streams that were received, by id.

    :ivar taken: ids, in order.
    """

    def __init__(self, **received: Body) -> None:
        self.received = {name.encode(): body for name, body in received.items()}
        self.taken: list[bytes] = []

    def take(self, stream: bytes) -> Body:
        """As `Streams.take`."""
        if stream not in self.received:
            raise StreamError("was not received")
        self.taken.append(stream)
        return self.received[stream]


def over_the_wire(record: Any) -> Any:
    """What the other end unpacks."""
    return msgpack.unpackb(msgpack.packb(record, unicode_errors="surrogatepass"), unicode_errors="surrogatepass")


def nothing_here(stream: bytes) -> Body:
    """No stream was received."""
    raise StreamError("was not received")


def five_bytes(stream: bytes) -> Body:
    """Every stream was received, and is five bytes long."""
    return Inline(b"12345")


READERS: dict[str, Callable[[Any], Any]] = {
    "attempt": attempt_from,
    "body": lambda record: body_from(record, nothing_here),
    "outcome": lambda record: outcome_from(record, nothing_here),
    "computation": computation_from,
    "minor": minor_from,
}


class RoundTrips(unittest.TestCase):
    """What is written is read."""

    @given(uids, st.integers(1, 2**32 - 1), st.lists(packable, max_size=2))
    def test_attempts(self, job: bytes, number: int, rest: list[Any]) -> None:
        """An attempt stands at the beginning of its record, whatever follows."""
        self.assertEqual(Attempt(job, number), attempt_from(over_the_wire([job, number, *rest])))

    def test_attempts_with_more(self) -> None:
        """What follows an attempt is read with it."""
        self.assertEqual([(Attempt(UID, 1), 7), (Attempt(UID, 2), 8)], attempts_with([[UID, 1, 7], [UID, 2, 8, "more"]], int))

    @given(outcomes)
    def test_outcomes(self, outcome: Outcome) -> None:
        """Bodies in files are named by their streams, and come out of these."""
        record = outcome_record(outcome, {"/1": b"one", "/2": b"two"})
        shelf = Shelf(one=Stored("/1", 100), two=Stored("/2", 100))
        self.assertEqual(outcome, outcome_from(over_the_wire(record), shelf.take))
        stored = [body for body in outcome_bodies(outcome) if isinstance(body, Stored)]
        self.assertEqual([{"/1": b"one", "/2": b"two"}[body.path] for body in stored], shelf.taken)

    @given(computations)
    def test_computations(self, computation: Computation) -> None:
        """Bundle and files included."""
        self.assertEqual(computation, computation_from(over_the_wire(computation_record(computation))))

    @given(st.builds(Inline, st.binary(max_size=100)))
    def test_bodies(self, body: Inline) -> None:
        """A small one is its bytes."""
        self.assertEqual(body, body_from(over_the_wire(body_record(body, {})), nothing_here))

    def test_a_body_in_a_file(self) -> None:
        """A path never crosses the wire."""
        self.assertEqual([STREAM, 7], body_record(Stored("/secret/place", 7), {"/secret/place": STREAM}))

    def test_python_versions(self) -> None:
        """Two numbers, or none; more of them are not looked at."""
        self.assertIsNone(minor_from(None))
        self.assertEqual((3, 11), minor_from([3, 11]))
        self.assertEqual((3, 11), minor_from([3, 11, 4, "final"]))

    def test_all_that_an_outcome_has(self) -> None:
        """A field more in the value is a field more in its record."""
        self.assertEqual(len(attrs.fields(Outcome)), len(outcome_record(Outcome(FINISHED), {})))
        self.assertEqual(len(attrs.fields(Computation)), len(computation_record(Computation(UID, "", File("", DIGEST, 0)))))
        self.assertEqual(len(attrs.fields(File)), len(computation_record(Computation(UID, "", File("", DIGEST, 0)))[2]))

    def test_the_words_of_a_reconcile(self) -> None:
        """These five, and no other."""
        self.assertEqual({"ended", "running", "handed", "never started", "unknown"}, records.WORDS)


class Availabilities(unittest.TestCase):
    """How busy a machine is."""

    def test_there_and_back(self) -> None:
        """With whole numbers where there are such, and nothing where it is not known."""
        for available in (Availability(75.5, 2**40, 2**50, 100.0), Availability(0.0, 0, 0, 0.0), None):
            self.assertEqual(available, availability_from(availability_record(available)))

    def test_nonsense(self) -> None:
        """Is refused."""
        for record in ([1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, -4], [1, 2, 2**63, 4], [1, 2, float("nan"), 4], {}, "", None):
            with self.assertRaises(WireError, msg=repr(record)):
                availability_from(record)


class Malformed(unittest.TestCase):
    """What no honest end writes."""

    @given(st.sampled_from(sorted(READERS)), packable | st.dictionaries(st.text(max_size=5), packable, max_size=3))
    def test_anything(self, what: str, value: Any) -> None:
        """Whatever can be packed is read, or refused with WireError."""
        try:
            READERS[what](value)
        except WireError:
            pass

    @given(st.sampled_from(["outcome", "computation"]), st.integers(0, 9), packable)
    def test_one_field_spoilt(self, what: str, position: int, value: Any) -> None:
        """A record with anything in one of its fields is read, or refused with WireError."""
        record: list[Any] = list({"outcome": OUTCOME, "computation": COMPUTATION}[what])
        record[min(position, len(record) - 1)] = value
        try:
            READERS[what](record)
        except WireError:
            pass

    def refused(self, read: Callable[[Any], Any], record: Any) -> None:
        """With WireError."""
        with self.subTest(record=record), self.assertRaises(WireError):
            read(record)

    def test_attempts(self) -> None:
        """Jobs and numbers that are none."""
        for record in (
            None, 7, "ab", b"ab", [], [UID], {}, {"0": UID}, [UID, 0], [UID, -1], [UID, 2**32], [UID, 1.0], [UID, "1"], [UID, None],
            [b"u" * 15, 1], [b"u" * 17, 1], ["u" * 16, 1], [None, 1], [[UID], 1],
        ):  # fmt: skip
            self.refused(attempt_from, record)

    @given(st.sampled_from([int, float, str, READERS["outcome"]]), st.lists(st.lists(packable, max_size=2), max_size=2))
    def test_attempts_with_anything(self, form: Callable[[Any], Any], rests: list[list[Any]]) -> None:
        """Whatever follows an attempt is read, or refused with WireError."""
        try:
            attempts_with([[UID, 1, *rest] for rest in rests], form)
        except WireError:
            pass

    def test_attempts_with_nothing(self) -> None:
        """What should follow is not there, or is of another kind."""
        for record in ([UID, 1], [UID, 1, "text"], [UID, 1, None], [UID, 1, []], [UID, 0, 7]):
            self.refused(lambda each: attempts_with([[UID, 1, 7], each], int), record)

    def test_bodies(self) -> None:
        """Neither bytes nor a stream of the size named."""
        for record in (None, 7, "text", [], [STREAM], [STREAM, 5, 5], ["s" * 16, 5], [5, STREAM], [None, 5], {}, [STREAM, 4], [STREAM, "5"]):
            self.refused(lambda record: body_from(record, five_bytes), record)
        self.assertEqual(Inline(b"12345"), body_from([STREAM, 5], five_bytes))

    def test_a_stream_that_was_not_received(self) -> None:
        """Is told as such."""
        with self.assertRaises(StreamError):
            body_from([STREAM, 5], nothing_here)

    def test_outcomes(self) -> None:
        """Each field has its type, and a status ends something."""
        spoilt: dict[int, tuple[Any, ...]] = {
            0: (None, 0, CREATED, RUNNING, ABANDONED, "11", [11]),
            1: (7, "text", [STREAM]),
            2: (None, 7, "text"),
            3: (None, [STREAM, 4]),
            4: (7, b"bytes", ["text"]),
            5: ("1.0", b"", [1.0]),
            6: ("2.0", {}),
            7: (None, 7, b"bytes"),
            8: (None, "text", [b"p."], b"p" * (ERROR_LIMIT + 1)),
        }
        self.each_spoilt(lambda record: outcome_from(record, five_bytes), OUTCOME, spoilt, may_lack=1)

    def test_an_outcome_from_before(self) -> None:
        """Nodes and recover files that know of no packed exceptions are understood."""
        self.assertEqual(b"", outcome_from(OUTCOME[:-1], five_bytes).error)
        self.assertEqual(b"p.", outcome_from(OUTCOME, five_bytes).error)

    def test_a_computation_from_before(self) -> None:
        """Clients and journals that know of no start method are understood."""
        self.assertIsNone(computation_from(COMPUTATION[:-1]).start_method)
        self.assertEqual("spawn", computation_from(COMPUTATION).start_method)

    def test_computations(self) -> None:
        """Each field has its type, those of files too."""
        spoilt: dict[int, tuple[Any, ...]] = {
            0: (None, b"u" * 15, "u" * 16),
            1: (None, 7, b"name"),
            2: (None, [], FILE[:3], [*FILE, 1], [b"path", *FILE[1:]], ["a", DIGEST[:31], 3, 0], ["a", "d" * 32, 3, 0],
                ["a", DIGEST, -1, 0], ["a", DIGEST, 1.5, 0], ["a", DIGEST, 3, -1], ["a", DIGEST, 3, 0o1000], ["a", DIGEST, 3, "644"]),
            3: (None, "files", FILE, [FILE, None], [[]], {}),
            4: (7, b"program", ["program"]),
            5: (3.11, "3.11", [], [3], ["3", "11"], [3, None], [3.0, 11]),
            6: ("1.5", [1.5], b""),
            7: (None, b"t" * 15, "t" * 16),
            8: (None, "", "process", b"job", ["job"]),
            9: (0, -1, 1.5, "7"),
            10: (None, b"a", 7, "/a", "../a", "a/../b", "a//b", ".", "a\0b"),
            11: (None, 1, "True"),
            12: ("forkserver", 1, b"fork", [], {}),
        }  # fmt: skip
        self.each_spoilt(computation_from, COMPUTATION, spoilt, may_lack=1)

    def each_spoilt(
        self, read: Callable[[Any], Any], whole: list[Any], spoilt: dict[int, tuple[Any, ...]], may_lack: int = 0
    ) -> None:
        """The whole record is read; each spoilt one is refused, and so is one of another length or type."""
        read(whole)
        self.assertEqual(set(range(len(whole))), set(spoilt))
        for position, values in spoilt.items():
            for value in values:
                self.refused(read, [*whole[:position], value, *whole[position + 1 :]])
        for record in (None, 7, "", b"", {}, [], whole[: -1 - may_lack], [*whole, None], dict(enumerate(whole))):
            self.refused(read, record)


class Sizes(unittest.TestCase):
    """Records fit their boxes."""

    def test_what_is_shortened(self) -> None:
        """Of a very long exception its beginning and its end arrive, of a reason its beginning, of a name too."""
        outcome = Outcome(TERMINATED, exception="b" * 50_000 + "m" * 100_000 + "e" * 50_000, reason="r" * 3000)
        arrived = outcome_from(outcome_record(outcome, {}), nothing_here)
        assert arrived.exception is not None
        self.assertRegex(arrived.exception, r"\Ab{32768}\n… 134464 characters left out …\ne{32768}\Z")
        self.assertEqual("r" * 2000, arrived.reason)
        computation = Computation(UID, "n" * 300, File("", DIGEST, 0))
        self.assertEqual("n" * 200, computation_from(computation_record(computation)).name)

    @given(outcomes, st.sampled_from(["", "a", "é", "€", "😀", "\udce9"]), st.integers(0, 70_000), st.integers(0, 3000))
    def test_outcomes_weigh_no_less_than_they_take(self, outcome: Outcome, letter: str, exception: int, reason: int) -> None:
        """A batch that is cut by weight is never longer than that, whatever the texts are."""
        outcome = attrs.evolve(outcome, exception=letter * exception, reason=letter * reason)
        record = [UID, 2**32 - 1, outcome_record(outcome, {"/1": STREAM, "/2": STREAM})]
        packed = msgpack.packb(record, unicode_errors="surrogatepass")
        self.assertLessEqual(len(packed), outcome_weight(outcome))

    @given(bodies)
    def test_bodies_weigh_no_less_than_they_take(self, body: Body) -> None:
        """The same for jobs."""
        record = [UID, 2**32 - 1, body_record(body, {"/1": STREAM, "/2": STREAM})]
        self.assertLessEqual(len(msgpack.packb(record)), body_weight(body))

    def test_a_batch_fits_a_box(self) -> None:
        """A batch that is just not full, and the heaviest outcome or job on top of it."""
        full = Inline(b"b" * INLINE_LIMIT)
        heaviest = Outcome(TERMINATED, full, full, full, "😀" * 70_000, 1.0, 2.0, "😀" * 3000, b"e" * ERROR_LIMIT)
        self.assertLess(BATCH_BYTES + outcome_weight(heaviest), MOST_PARTS * 0xFFFF)
        self.assertLess(BATCH_BYTES + body_weight(full), MOST_PARTS * 0xFFFF)

    def test_the_bodies_of_an_outcome(self) -> None:
        """Output, and the result where there is one."""
        result, stdout, stderr = Inline(b"r"), Inline(b"o"), Inline(b"e")
        self.assertEqual([result, stdout, stderr], outcome_bodies(Outcome(FINISHED, result, stdout, stderr)))
        self.assertEqual([stdout, stderr], outcome_bodies(Outcome(FINISHED, None, stdout, stderr)))


attempts = st.builds(Attempt, st.binary(min_size=16, max_size=16), st.integers(1, 2**31))


class LimitsTests(unittest.TestCase):
    """What may follow a job's body."""

    @given(st.dictionaries(attempts, st.none() | st.floats(0.001, 1e9)))
    def test_timeouts(self, limits: dict[Attempt, float | None]) -> None:
        """Come back for those that have one."""
        sent = [[attempt.job, attempt.number, b"", *limits_record(seconds)] for attempt, seconds in limits.items()]
        wanted = {attempt: seconds for attempt, seconds in limits.items() if seconds is not None}
        self.assertEqual(wanted, timeouts_from(msgpack.unpackb(msgpack.packb(sent))))

    def test_nonsense(self) -> None:
        """Is refused."""
        for rest in ([5], [{"timeout": 0}], [{"timeout": "1"}], [{"timeout": float("inf")}], [{"timeout": float("nan")}], [{"else": 1}], [{}, 1], [None]):
            with self.assertRaises(WireError, msg=rest):
                timeouts_from([[b"x" * 16, 1, b"", *rest]])
