"""One tree of exceptions: a class for each failure that a caller can tell apart.

Each also derives from the standard class whose handlers would expect it, so ``except TimeoutError`` or
``except PermissionError`` in a program written without knowing us does the right thing. A message says what failed, where,
and what to do.
"""

from __future__ import annotations


class DispytwError(Exception):
    """Base of everything raised on purpose by this package."""


class NoNodesError(DispytwError, TimeoutError):
    """No node could be used: none answered, or none of those that answered would take the computation."""


class AuthError(DispytwError, PermissionError):
    """The other end could not prove that it holds our secret or certificate, or refused our proof."""


class CertificateError(DispytwError, ValueError):
    """A certificate, key or authority's file of this end cannot be used; the message names the file and the fix."""


class VersionError(DispytwError, ConnectionError):
    """The two ends speak different versions of the wire, or cannot run each other's code."""


class NodeHeldError(DispytwError, ConnectionRefusedError):
    """The node is in use by another client."""


class UnknownNodeError(DispytwError, LookupError):
    """No node of this name or address is used by the cluster; the message names those that are, or says why this one is not."""


class AmbiguousNodeError(DispytwError, ValueError):
    """A name or address means several nodes; the message names their ports."""


class SetupError(DispytwError, RuntimeError):
    """The computation's setup() failed on a node; the message holds its traceback."""


class WireError(DispytwError, ConnectionError):
    """The other end said something that the protocol does not allow, or more than its limits allow."""


class StreamError(WireError):
    """A stream of bytes did not arrive whole: cut, too long, or with another digest than announced."""


class SourceError(StreamError):
    """What is to be sent cannot be read at this end, or is not what was announced: sending it again is of no use."""


class UnsafePathError(DispytwError, ValueError):
    """A path that came from elsewhere is absolute, climbs out of its root, or leads through a symlink."""


class UnknownComputationError(DispytwError, LookupError):
    """A node was asked about a computation that it does not know."""


class RefusedError(DispytwError, RuntimeError):
    """A node does not take the computation; the message says why."""


class ShippingError(DispytwError, TypeError):
    """A function, class or dependency cannot be sent to nodes; the message says why and what to do."""


class PayloadError(DispytwError, TypeError):
    """An argument or result cannot be pickled, or cannot be opened where it arrived."""


class ResultError(DispytwError, ValueError):
    """A job's result arrived but cannot be opened here; its status stays what it is."""


class JobError(DispytwError, RuntimeError):
    """A job ended without a result, and what it raised, if anything, did not come home; the message tells what happened."""


class JobFailedError(JobError):
    """A job raised something that cannot be pickled, is too large, or cannot be opened here; its traceback is the cause."""


class JobExitError(JobError):
    """A job's process ended before the job returned: sys.exit, os._exit.

    :ivar code: its exit status.
    """

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class JobKilledError(JobError):
    """A signal ended a job's process: a segmentation fault, too little memory, a kill.

    :ivar signal: the signal's number.
    """

    def __init__(self, text: str, signal: int = 0) -> None:
        super().__init__(text)
        self.signal = signal


class NodeLostError(JobError, ConnectionError):
    """A job's node was given up, and the job could not be started elsewhere, or not once more."""


class ClusterClosedError(DispytwError, RuntimeError):
    """The cluster or the session it belongs to has been closed."""


class ReactorThreadError(DispytwError, RuntimeError):
    """A call that would wait was made in the reactor's own thread, where it would wait for ever."""


class ForkedError(DispytwError, RuntimeError):
    """A cluster was used in a process forked from the one that made it."""


class StateDirError(DispytwError, OSError):
    """A node's state directory cannot be used: held by another daemon, or not ours to write."""


class RecoverFileError(DispytwError, OSError):
    """A recover file cannot be made or used; the message says why."""


class RecoverFileMissingError(RecoverFileError, FileNotFoundError):
    """There is no such recover file: nothing was left behind, or it has been recovered already."""


class RecoverFileBusyError(RecoverFileError, BlockingIOError):
    """The program whose jobs are to be recovered still runs, or somebody else recovers them."""


class RecoverFileUnsafeError(RecoverFileError, PermissionError):
    """A recover file belongs to another user, or others could have changed it."""
