"""What a worker does with its life: one job, from the fork to the end of the process.

Everything has been imported by now; a worker imports nothing of ours. It makes itself a process of its own (session, signals), lets the
namespace perform the job, leaves one word that tells how it went, and ends without unwinding the forker (`dispytw.worker.forker`) it is
a copy of. SIGINT, which is how a cancel arrives, is blocked outside the body, so it hits the user's code or nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's functions make enums of what they return: 40 copied pages a job
import errno
import os
import signal
import stat
import sys
import time
from collections.abc import Callable

from dispytw.errors import PayloadError
from dispytw.lighttyping import Any, NamedTuple, NoReturn, Protocol
from dispytw.plain import INLINE_LIMIT
from dispytw.wire.bundle import OWN_PLACE
from dispytw.wire.late import msgpack
from dispytw.wire.paths import OWN_FILES
from dispytw.wire.payload import PICKLED
from dispytw.worker import descriptors, forking, masks, ownplace, tree
from dispytw.worker.raising import MSGPACK_FORMAT, ErrorPacker, packed_error
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.slotwords import ARGUMENTS, FORM, HERE, stored_path
from dispytw.worker.tracebacks import text_of
from dispytw.worker.words import HEAD, RAISED, RETURNED, STORED, Word, raised, stored_size

_SIGCHLD = int(signal.SIGCHLD)
#: Follows a cancel's SIGINT: Python's own handler only notes a signal, and a body that goes to sleep in a system call right then sleeps on.
#: This one wakes it, so that what was noted is raised. It means nothing by itself, and whoever does not expect it ignores it.
NUDGE = int(signal.SIGURG)

#: What modules that setup() has imported need in every worker.
_mends: list[Callable[[], Any]] = []
#: What a write says when the disk is full, or the user's share of it.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: Seconds after which a result that did not fit is tried again.
AGAIN = 1.0


class Namespace(ErrorPacker, Protocol):
    """What a worker needs of a computation's namespace."""

    def perform(self, args_payload: bytes) -> bytes:
        """Call the computation; raises what it raises."""

    def performing(self) -> Callable[[bytes], bytes]:
        """Makes what calls the computation with packed arguments, and packs what it returns; raises what it raises."""

    def restore(self) -> None:
        """Undo what was there for one job only."""


class Terms(Protocol):
    """What is to be known of a computation; see `dispytw.worker.computation.Terms`."""

    @property
    def program(self) -> str | None:
        """Its program."""

    @property
    def cwd(self) -> str:
        """Its directory."""

    @property
    def facts(self) -> dict[str, str]:
        """What jobs may read."""

    @property
    def out(self) -> str:
        """Where long results go."""


class Work(NamedTuple):
    """What all jobs of a computation have in common.

    :param program: absolute path of the program to become, or None to call the namespace's function.
    :param environment: what a program finds in its environment.
    :param out: directory for a result above `INLINE_LIMIT`.
    """

    namespace: Namespace
    program: str | None
    environment: dict[str, str]
    out: str

    @classmethod
    def of(cls, terms: Terms, namespace: Namespace) -> Work:
        """As the daemon has said; a program's own directory comes first in its PATH."""
        program = None if terms.program is None else os.path.join(terms.cwd, terms.program)
        path = terms.cwd + os.pathsep + os.environ.get("PATH", os.defpath)
        environment = {**os.environ, **terms.facts, "dispy_job_path": terms.cwd, "PATH": path}
        return cls(namespace, program, environment, terms.out)


def read_order(order: bytes) -> bytes:
    """The arguments of an attempt, wherever they are."""
    if order[FORM:ARGUMENTS] == HERE:
        return order[ARGUMENTS:]
    with open(order[ARGUMENTS:].decode("utf-8", "surrogateescape"), "rb") as stored:
        return stored.read()


def worker(work: Work, word: Word, forgetting: tuple[int, ...]) -> Callable[[bytes], NoReturn]:
    """Makes what a forked child calls to be the worker of an attempt, whose order it takes; it never returns.

    Everything is looked up here, before the fork: each name that is looked up afterwards is a page or two to be copied, for every job.
    SIGINT is blocked when it is called, and nothing else is needed that the forker has blocked.

    :param word: takes the worker's word.
    :param forgetting: descriptors that are not for jobs.
    """
    parent, getppid, getpid, setsid, close, leave = (
        os.getpid(),
        os.getppid,
        os.getpid,
        os.setsid,
        os.close,
        forking.leave,
    )
    die_with_parent, let_through, block = tree.dying_with_parent(), masks.letting_through(), masks.blocking()
    mends, modules = (*(forking.repairs() if forking.simplest() else ()), *_mends), sys.modules
    standard: Callable[[str], Any] = vars(sys).get
    program, perform = work.program is not None, work.namespace.performing()
    memory, leave_head, room, head = word.memory, HEAD.pack_into, ARGUMENTS, HEAD.size
    plain, most = HERE + PICKLED, INLINE_LIMIT

    def be_worker(order: bytes) -> NoReturn:
        status = 1
        try:
            die_with_parent()
            if getppid() != parent:
                leave(1)
            setsid()
            for descriptor in forgetting:
                close(descriptor)
            for mend in mends:
                mend()
            me = getpid()
            try:
                if program or order[FORM : room + 1] != plain:
                    kind, said = _said(work, order, perform)
                else:
                    try:
                        let_through()  # a cancel that came before is heard now
                        said = perform(order[room:])
                    finally:
                        block()
                    kind = RETURNED
                    if len(said) > most:
                        kind, said = as_word(said, work.out, order[:FORM])
            except BaseException as error:
                block()
                kind, said = RAISED, raised(text_of(error), packed_error(error, work.namespace))
            for stream in (standard("stdout"), standard("stderr")):
                try:
                    stream.flush()
                except (OSError, ValueError, AttributeError):
                    pass  # closed or replaced by the job, whose business that is
            if getpid() != me:
                leave(1)  # a child that the job forked, coming back from the body: it has no word
            end = head + len(said)
            memory[head:end] = said
            leave_head(memory, 0, kind, end - head)
            if "multiprocessing.util" in modules:
                end_multiprocessing()
                flush_output()
            status = 0
        except BaseException as error:  # a fault of ours: it is quoted with the exit status
            os.write(2, text_of(error).encode())
        finally:
            leave(status)

    return be_worker


def make_own(parent: int) -> None:
    """Make this forked process one of its own: it ends with its parent, leads its session, draws its own random numbers."""
    tree.die_with(parent)
    os.setsid()
    for mend in _mends:
        mend()


def become_worker(slot: ServedSlot, supervisor: int) -> None:
    """Make this process, forked by the supervisor, one of its own, and let it write to its slot's captures.

    :param supervisor: process id of the parent, without which it ends.
    """
    make_own(supervisor)
    tree.adopt_orphans()
    _signal.signal(_SIGCHLD, _signal.SIG_DFL)
    _signal.signal(NUDGE, nudged)
    os.dup2(slot.stdout.descriptor, 1)
    os.dup2(slot.stderr.descriptor, 2)
    for descriptor in slot.passed:
        descriptors.guard(descriptor)


def nudged(signum: int, frame: object) -> None:
    """Does nothing: the system call that it ends is over by now."""


def look_at_modules() -> None:
    """In the supervisor, when setup() has run: note what workers have to mend.

    `random` reseeds itself after a fork; numpy's legacy generator does not, and jobs would all draw the same numbers. And as in
    multiprocessing's own children, processes and finalizers of setup() are not a worker's to end.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        _mends.append(numpy_random.seed)
    if "multiprocessing.process" in sys.modules:
        _mends.append(forget_parents_children)


def forget_parents_children() -> None:
    """Let multiprocessing know of no children, and of no finalizers of its parent's."""
    process, util = sys.modules["multiprocessing.process"], sys.modules.get("multiprocessing.util")
    process._children = set()  # type: ignore[attr-defined]
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()


def _said(work: Work, order: bytes, perform: Callable[[bytes], bytes]) -> tuple[int, bytes]:
    """The worker's word, whatever the job is; raises what the job raises."""
    try:
        tag = order[:FORM]
        payload, environment = read_order(order), work.environment
        if payload[:1] == OWN_PLACE:
            own = stored_path(work.out, tag, OWN_FILES)
            payload = ownplace.enter(payload, own, environment["dispy_job_path"])
            environment = ownplace.environment_at(own, environment)
        if work.program is not None:
            _execute(work.program, payload, environment)
        masks.let_through()
        return as_word(perform(payload), work.out, tag)
    finally:
        masks.block()


def as_word(result: bytes, out: str, tag: bytes) -> tuple[int, bytes]:
    """A result as a word, in a file when it is long."""
    if len(result) <= INLINE_LIMIT:
        return RETURNED, result
    _store(result, stored_path(out, tag, "result"))
    return STORED, stored_size(len(result))


def _execute(program: str, payload: bytes, environment: dict[str, str]) -> NoReturn:
    """Become the program; raises only when that is impossible."""
    argv = [program, *_strings(payload)]
    if program.endswith(".py"):
        argv.insert(0, sys.executable)
    elif not os.access(program, os.X_OK):
        os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
    for signum in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)
    masks.let_through()
    os.execve(argv[0], argv, environment)


def _strings(payload: bytes) -> list[str]:
    """A program's arguments: a msgpack list of strings, with or without its format byte."""
    try:
        arguments: Any = msgpack().unpackb(payload[payload[:1] == MSGPACK_FORMAT :], unicode_errors="surrogatepass")
    except ValueError as error:
        raise PayloadError(f"the program's arguments cannot be opened: {error}") from error
    if not isinstance(arguments, list) or not all(isinstance(each, str) for each in arguments):
        raise PayloadError("a program's arguments are a list of strings")
    return arguments


def _store(payload: bytes, path: str) -> None:
    """Write a long result; where the disk is full, it waits for room."""
    while not _is_stored(payload, path):
        time.sleep(AGAIN)


def _is_stored(payload: bytes, path: str) -> bool:
    """Whether the disk took it; where it is full nothing is left there, and the job's result waits for room."""
    try:
        with open(path, "wb") as stored:
            stored.write(payload)
        return True
    except OSError as error:
        if error.errno not in FULL:
            raise
        os.unlink(path)
        return False


def flush_output() -> None:
    """Let what Python has gathered reach descriptors 1 and 2."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed or replaced by the job, whose business that is


def end_multiprocessing() -> None:
    """Let Pools and other children end as they do at the end of any program; what does not is killed by the supervisor."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._exit_function()
