"""Text out of output that comes in pieces."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from dispytw.client.output import Reader, whole_text


class ReaderTests(unittest.TestCase):
    """Nothing is read twice, nothing is left out."""

    @given(st.binary(max_size=40), st.binary(max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
    def test_any_pieces(self, stdout: bytes, stderr: bytes, cuts: list[tuple[int, int]]) -> None:
        """However it comes, it is the same text as at once."""
        reader, read = Reader(), {False: "", True: ""}
        for out, err in [*sorted(cuts), (len(stdout), len(stderr))]:
            for text, is_stderr in reader.read(1, stdout[:out], stderr[: max(err, 0)]):
                read[is_stderr] += text
        for text, is_stderr in reader.read(0, stdout, stderr, whole=True):
            read[is_stderr] += text
        self.assertEqual((stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")), (read[False], read[True]))

    def test_another_attempt(self) -> None:
        """Another attempt of the job begins anew."""
        reader = Reader()
        self.assertEqual([("abc", False)], reader.read(1, b"abc", b""))
        self.assertEqual([("xy", False)], reader.read(2, b"xy", b""))
        self.assertEqual([("z", False), ("!", True)], reader.read(0, b"xyz", b"!", whole=True))
        self.assertEqual([], reader.read(0, b"xyz", b"!", whole=True))

    def test_whole(self) -> None:
        """What has ended is read at once, stdout first."""
        self.assertEqual(["out\ufffd", "err"], list(whole_text(b"out\xc3", b"err")))
        self.assertEqual([], list(whole_text(b"", b"")))
