"""The supervisor's zygote: the process in which its computation lives, and of which whoever serves a slot is a copy.

A fork costs what the process has in memory. So the supervisor, before it loads what it needs to talk to its daemon, forks this process,
which never will: it opens the computation's code, runs setup(), and forks at the supervisor's word. What it has forked becomes the
supervisor's child: it is forked twice, the one between ends, and the supervisor is a subreaper. Where there are none (macOS), there is no
zygote, and the computation lives in the supervisor.

The two talk through a pair of sockets: a pickled request, with descriptors if need be, and a pickled answer. When one ends, so does the
other: the supervisor in the same way, as it is the process whose death means the computation's.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import struct
import sys
import time
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socketpair
from _socket import socket as Socket

from dispytw.lighttyping import Any, NoReturn
from dispytw.worker import descriptors, forking, tree
from dispytw.worker.computation import Computation, Terms
from dispytw.worker.performer import flush_output
from dispytw.worker.serving import serve
from dispytw.worker.tracebacks import text_of
from dispytw.worker.voice import voice

_LENGTH, _PID = struct.Struct("=I"), struct.Struct("=i")
#: The bytes of a descriptor in a request.
_INT = struct.calcsize("i")
#: Seconds given to what setup() left running when the zygote ends.
_END_LIMIT = 5.0

CAN_HAVE_ONE = sys.platform == "linux"


class ZygoteEnded(Exception):
    """The zygote has ended, and the supervisor has to (`end_likewise`).

    :ivar wait_status: how, as `os.waitpid` gives it.
    """

    def __init__(self, wait_status: int) -> None:
        super().__init__(wait_status)
        self.wait_status = wait_status


class Zygote:
    """The supervisor's side; whatever is asked of it raises `ZygoteEnded` when it has ended.

    :ivar pid: its process id; 0 when it has ended.
    """

    def __init__(self, control: Socket, pid: int) -> None:
        self._control, self.pid = control, pid

    @classmethod
    def begin(cls, closing: int) -> Zygote:
        """Fork it.

        :param closing: a descriptor that it need not have.
        """
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        supervisor = os.getpid()
        flush_output()
        pid = os.fork()
        if pid == 0:
            ours.close()
            os.close(closing)
            _live(theirs, supervisor)
        theirs.close()
        descriptors.keep(ours.fileno())
        return cls(ours, pid)

    def set_up(self, terms: Terms) -> str | None:
        """Lay the computation out and run its setup(); returns why it cannot be run here, or None."""
        failure: str | None = self._asked("set_up", terms)
        return failure

    def fork(self, passed: tuple[int, ...], max_file_size: int) -> int:
        """See `dispytw.worker.computation.Computation.begin`."""
        pid: int = self._asked("begin", max_file_size, len(passed), descriptors=passed)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def clean_up(self) -> int:
        """Run the user's cleanup(); returns the exit status that tells how that went."""
        status: int = self._asked("clean_up")
        return status

    def end(self) -> None:
        """Let it end what setup() left running, and itself."""
        descriptors.drop(self._control.fileno())
        self._control.close()
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0

    def look(self) -> None:
        """A child has ended: perhaps this one."""
        if self.pid:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                raise ZygoteEnded(status)

    def _asked(self, request: str, *arguments: object, descriptors: tuple[int, ...] = ()) -> Any:
        try:
            _send(self._control, (request, *arguments), descriptors)
            answer, _ = _received(self._control)
            return answer[0]
        except (EOFError, ConnectionError):
            raise ZygoteEnded(os.waitpid(self.pid, 0)[1]) from None


def end_likewise(status: int) -> NoReturn:
    """End this process as another one has ended.

    :param status: its wait status.
    """
    code = os.waitstatus_to_exitcode(status)
    flush_output()
    if code < 0:
        if -code != signal.SIGKILL:  # which has no other way
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code if code > 0 else 1)


def _live(control: Socket, supervisor: int) -> NoReturn:
    """Be the zygote."""
    status = 1
    try:
        tree.die_with(supervisor)
        descriptors.keep(control.fileno())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        _Life(control, supervisor).live()
        status = 0
    except BaseException as error:  # a fault of ours; the supervisor ends with the same status
        os.write(2, text_of(error).encode())
    finally:
        flush_output()
        os._exit(status)


class _Life:
    """What it does."""

    def __init__(self, control: Socket, supervisor: int) -> None:
        self._control, self._supervisor = control, supervisor
        self._computation: Computation

    def live(self) -> None:
        """Do what is asked, until the supervisor closes its end."""
        while True:
            try:
                (request, *arguments), passed = _received(self._control)
            except EOFError:
                break
            _send(self._control, (getattr(self, request)(*arguments, *([passed] if passed else ())),))
        _end_children()

    def set_up(self, terms: Terms) -> str | None:
        """See `Zygote.set_up`."""
        self._computation = computation = Computation(terms)
        try:
            computation.lay_out()
            failure = computation.set_up()
            if failure is None:
                computation.settle()
                tree.leave_orphans()  # or those forked twice would stay here, if setup() wanted any
            return failure
        except BaseException as error:
            return text_of(error)

    def clean_up(self) -> int:
        """See `Zygote.clean_up`."""
        return self._computation.clean_up()

    def begin(self, max_file_size: int, count: int, passed: tuple[int, ...] = ()) -> int:
        """See `Zygote.fork`; a negative number tells why there is no process.

        :param count: of the descriptors; what setup() has opened may leave no room for them.
        """
        voice.max_file_size = max_file_size
        for descriptor in passed:
            descriptors.keep(descriptor)
        try:
            return self._forked_twice(passed) if len(passed) == count else -errno.EMFILE
        except OSError as error:
            return -(error.errno or 1)
        finally:
            for descriptor in passed:
                descriptors.drop(descriptor)
                os.close(descriptor)

    def _forked_twice(self, passed: tuple[int, ...]) -> int:
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            flush_output()
            between = descriptors.fork(passed)
            if between == 0:
                self._be_between(passed, *pipes)
            _see_to_the_end(between)
            told, _, _, going = pipes
            os.set_blocking(told, False)  # it has ended: what it has not told it never will
            (pid,) = _PID.unpack(os.read(told, _PID.size))
            if pid > 0:
                os.write(going, b"g")  # it is the supervisor's child by now
            return int(pid)
        finally:
            for descriptor in pipes:
                os.close(descriptor)

    def _be_between(self, passed: tuple[int, ...], told: int, telling: int, waiting: int, going: int) -> NoReturn:
        try:
            try:
                pid = forking.fork(_nothing)
            except OSError as error:
                pid = -(error.errno or 1)
            if pid:
                os.write(telling, _PID.pack(pid))
                os._exit(0)
            os.close(going)
            if os.read(waiting, 1):
                for descriptor in (told, telling, waiting):
                    os.close(descriptor)
                serve(self._computation.make, passed, self._supervisor, self._computation.terms.most_jobs)
        finally:
            os._exit(1)


def _nothing() -> None:
    """There is nothing more to be closed."""


def _see_to_the_end(child: int) -> None:
    """Wait until a child has ended; setup() may have left something that reaps every child, or let the system do so."""
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass


def _end_children() -> None:
    """End what setup() left running, this time without exceptions."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # each end is heard of, whatever setup() thought of them
    tracker = tree.ended_resource_tracker()
    deadline = time.monotonic() + _END_LIMIT
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while not tree.sweep({tracker}) and time.monotonic() < deadline:
        signal.sigtimedwait({signal.SIGCHLD}, max(0.01, deadline - time.monotonic()))
    if tracker:
        os.waitpid(tracker, 0)


def _send(control: Socket, said: tuple[Any, ...], passed: tuple[int, ...] = ()) -> None:
    packed = pickle.dumps(said, 5)
    rights = [(SOL_SOCKET, SCM_RIGHTS, struct.pack(f"{len(passed)}i", *passed))] if passed else []
    control.sendmsg([_LENGTH.pack(len(packed))], rights)
    control.sendall(packed)


def _received(control: Socket) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """What was said, and the descriptors that came with it.

    :raises EOFError: when the other end is closed.
    """
    head, rights, _, _ = control.recvmsg(_LENGTH.size, 128)
    passed: tuple[int, ...] = ()
    for level, kind, data in rights:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            passed = struct.unpack(f"{len(data) // _INT}i", data)
    for descriptor in passed:
        os.set_inheritable(descriptor, False)
    (length,) = _LENGTH.unpack(head + _exactly(control, _LENGTH.size - len(head)))
    return pickle.loads(_exactly(control, length)), passed


def _exactly(control: Socket, size: int) -> bytes:
    gathered = bytearray()
    while len(gathered) < size:
        received = control.recv(min(1 << 20, size - len(gathered)))
        if not received:
            raise EOFError
        gathered += received
    return bytes(gathered)
