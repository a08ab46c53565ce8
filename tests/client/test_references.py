"""Which names code uses, on every Python."""

from __future__ import annotations

from unittest import TestCase

from dispytw.client.references import ImportStatement, References, references

EVERY_PYTHON = True


def found_in(text: str) -> References:
    return references(compile(text, "file.py", "exec", dont_inherit=True))


class Names(TestCase):
    """Global names."""

    def test_now_or_later(self) -> None:
        """Decorators, defaults, annotations, bases and class bodies are used at once, bodies of functions later."""
        found = found_in("""
@decorator
def f(a: annotation = default):
    later(a)
    def inner(): return deeper
class C(Base):
    attribute = value
    own = attribute
    listed = [element for element in several]
    def method(self): return from_method
key = lambda: from_lambda
""")
        at_once = {"decorator", "annotation", "default", "Base", "value", "several"}
        self.assertLessEqual(at_once, found.eager)
        self.assertTrue({"later", "deeper", "from_method", "from_lambda"}.isdisjoint(found.eager))
        self.assertLessEqual({*at_once, "later", "deeper", "from_method", "from_lambda"}, found.names.keys())
        self.assertTrue({"a", "attribute", "element", "self", "inner"}.isdisjoint(found.names))

    def test_attributes(self) -> None:
        """Chains of attributes are told with the name."""
        found = found_in("def f():\n    xml.dom.minidom.parse(q.r)\n    return xml")
        self.assertEqual(found.names["xml"], {("dom", "minidom", "parse"), ()})
        self.assertEqual(found.names["q"], {("r",)})

    def test_stored(self) -> None:
        """Names that functions assign by ``global``."""
        self.assertEqual(found_in("def f():\n    global a, b\n    a = 1\n    del b").stored, {"a", "b"})

    def test_imports(self) -> None:
        """Import statements, wherever they stand, with many constants before them too."""
        many = "x = [" + ", ".join(f"'{number}'.upper()" for number in range(300)) + "]\n"
        found = found_in(many + "import a.b\ndef f():\n    from ..c import d as e, g\n    from . import h\n    from i import *" [:-20])
        self.assertEqual(found.imports[0], ImportStatement("a.b", 0, ()))
        self.assertEqual(found.imports[1:], [ImportStatement("c", 2, ("d", "g")), ImportStatement("", 1, ("h",))])
