"""A bundle arrives as it was packed, and nonsense is refused."""

from __future__ import annotations

from unittest import TestCase

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from dispytw.errors import PayloadError
from dispytw.wire.bundle import Alias, Bundle, Constant, Import, Module, Role, Source, decode, encode

EVERY_PYTHON = True

NAMES = st.text(max_size=8)
ENTRIES = (
    st.builds(Source, NAMES, NAMES, NAMES, st.integers(1, 1000), st.integers(0, 2**31), st.text())
    | st.builds(Constant, NAMES, st.binary())
    | st.builds(Import, NAMES, NAMES, NAMES)
    | st.builds(Alias, NAMES, NAMES)
)
ROLES = st.none() | st.builds(Role, NAMES, st.binary(), st.binary())
BUNDLES = st.builds(
    Bundle,
    home=NAMES,
    package=NAMES,
    aliases=st.lists(NAMES).map(tuple),
    modules=st.lists(st.builds(Module, NAMES, st.booleans(), NAMES, st.binary())).map(tuple),
    imports=st.lists(NAMES).map(tuple),
    entries=st.lists(ENTRIES).map(tuple),
    wanted=st.lists(NAMES).map(tuple),
    initial=st.integers(0, 9),
    instead=st.none() | st.lists(NAMES).map(tuple),
    computation=ROLES,
    setup=ROLES,
    cleanup=ROLES,
)


class Bundles(TestCase):
    """Packing and unpacking."""

    @settings(deadline=None, max_examples=50)
    @given(BUNDLES)
    def test_round_trip(self, bundle: Bundle) -> None:
        """What was packed is what is unpacked."""
        self.assertEqual(decode(encode(bundle)), bundle)

    def test_file_names_that_are_no_text(self) -> None:
        """Names of files that are not UTF-8 arrive too."""
        bundle = Bundle(modules=(Module("m", False, "caf\udce9/m.py", b""),))
        self.assertEqual(decode(encode(bundle)), bundle)

    def test_nonsense(self) -> None:
        """Anything else is refused."""
        for packed in (b"", b"\xc1", msgpack.packb(3), msgpack.packb([1, 2]), encode(Bundle())[:-1], msgpack.packb([[["?", 1]]] * 10)):
            with self.assertRaises(PayloadError):
                decode(packed)


class Definitions(TestCase):
    """Source, compiled."""

    def test_lines(self) -> None:
        """Code knows the lines that it had in its file, whether it stood at the margin or not."""
        for text in ("def f():\n    pass\n", "    def f():\n        pass\n", "\tdef f():\n\t\tpass\n"):
            names: dict[str, object] = {}
            exec(Source("f", "m", "file.py", 40, 0, text).compiled(), names)
            code = names["f"].__code__  # type: ignore[attr-defined]
            self.assertEqual((code.co_firstlineno, code.co_filename), (40, "file.py"))

    def test_futures_are_its_own(self) -> None:
        """The features of its file are in force, those of this module are not."""
        import __future__

        text = "def f(n: NoSuchName):\n    pass\n"
        exec(Source("f", "m", "file.py", 1, __future__.annotations.compiler_flag, text).compiled(), {})
        with self.assertRaises(NameError):
            exec(Source("f", "m", "file.py", 1, 0, text).compiled(), {})
