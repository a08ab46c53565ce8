"""Handlers that were written without knowing dispytw catch what they should."""

from __future__ import annotations

import inspect
import pickle
import unittest

from dispytw import errors
from dispytw.errors import DispytwError

#: Of each class, the standard one whose handlers expect it.
STANDARD: dict[str, type[Exception]] = {
    "AmbiguousNodeError": ValueError,
    "AuthError": PermissionError,
    "CertificateError": ValueError,
    "ClusterClosedError": RuntimeError,
    "ForkedError": RuntimeError,
    "JobError": RuntimeError,
    "JobExitError": RuntimeError,
    "JobFailedError": RuntimeError,
    "JobKilledError": RuntimeError,
    "NoNodesError": TimeoutError,
    "NodeHeldError": ConnectionRefusedError,
    "NodeLostError": ConnectionError,
    "PayloadError": TypeError,
    "ReactorThreadError": RuntimeError,
    "RecoverFileBusyError": BlockingIOError,
    "RecoverFileError": OSError,
    "RecoverFileMissingError": FileNotFoundError,
    "RecoverFileUnsafeError": PermissionError,
    "RefusedError": RuntimeError,
    "ResultError": ValueError,
    "SetupError": RuntimeError,
    "ShippingError": TypeError,
    "SourceError": ConnectionError,
    "StateDirError": OSError,
    "StreamError": ConnectionError,
    "UnknownComputationError": LookupError,
    "UnknownNodeError": LookupError,
    "UnsafePathError": ValueError,
    "VersionError": ConnectionError,
    "WireError": ConnectionError,
}

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception) and value is not DispytwError
}


class Tree(unittest.TestCase):
    """One tree of exceptions."""

    def test_all_are_in_the_table(self) -> None:
        """Whoever adds a class says which standard one it is."""
        self.assertEqual(set(STANDARD), set(CLASSES))

    def test_one_tree(self) -> None:
        """``except DispytwError`` catches all that is raised on purpose, and nothing but that."""
        for name, kind in CLASSES.items():
            self.assertTrue(issubclass(kind, DispytwError), name)
            self.assertTrue(name.endswith("Error"), name)
        self.assertEqual((Exception,), DispytwError.__bases__)

    def test_standard_handlers(self) -> None:
        """Each is caught by handlers of its standard class, with its text."""
        for name, standard in STANDARD.items():
            with self.assertRaises(standard) as caught:
                raise CLASSES[name]("what failed, where, and what to do")
            self.assertEqual("what failed, where, and what to do", str(caught.exception))

    def test_told_apart(self) -> None:
        """No class catches another, but that errors of streams are some of the wire, and some are of the recover file, or of jobs."""
        caught = {
            (name, other)
            for name, kind in CLASSES.items()
            for other, otherkind in CLASSES.items()
            if kind is not otherkind and issubclass(kind, otherkind)
        }
        of_the_file = {(f"RecoverFile{why}Error", "RecoverFileError") for why in ("Busy", "Missing", "Unsafe")}
        of_streams = {("StreamError", "WireError"), ("SourceError", "StreamError"), ("SourceError", "WireError")}
        of_jobs = {(name, "JobError") for name in ("JobExitError", "JobFailedError", "JobKilledError", "NodeLostError")}
        self.assertEqual({*of_streams, *of_the_file, *of_jobs}, caught)

    def test_how_a_job_died(self) -> None:
        """The number is there to be looked at, and travels with the exception."""
        died = [errors.JobExitError("it exited", code=3), errors.JobKilledError("killed", signal=9)]
        self.assertEqual((3, 9), (died[0].code, died[1].signal))  # type: ignore[attr-defined]
        again = [pickle.loads(pickle.dumps(error)) for error in died]
        self.assertEqual([vars(error) for error in died], [vars(error) for error in again])

    def test_each_says_what_it_means(self) -> None:
        """In a docstring of its own."""
        texts = [kind.__doc__ for kind in (DispytwError, *CLASSES.values())]
        self.assertTrue(all(texts))
        self.assertEqual(len(texts), len(set(texts)))
