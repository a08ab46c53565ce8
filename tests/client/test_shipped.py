"""What arguments may name, and what they bring along."""

from __future__ import annotations

import collections
import threading
from typing import Any
from unittest import TestCase, mock

from dispytw.client.depends import pack_computation
from dispytw.client.shipped import ShippedCode
from dispytw.wire.bundle import Source, decode

EVERY_PYTHON = True

BASE_LEVEL = 1


class Base:
    """Collected with the computation."""

    level = BASE_LEVEL


class Low(Base):
    """Not mentioned by it."""

    more = BASE_LEVEL + 1


def there() -> Any:
    return Base


def code() -> ShippedCode:
    return pack_computation(there, uid=b"u" * 16).shipped


class Shipped(TestCase):
    """Seen from an argument."""

    def test_found(self) -> None:
        """What was collected and what is installed, by name; not what was not collected or has no name."""
        shipped = code()
        for found in (Base, there, int, collections.OrderedDict, threading.Thread.start):
            self.assertTrue(shipped.finds(found), found)
        for unknown in (Low, lambda: 1, self.test_found.__func__, type("Made", (), {})):
            self.assertFalse(shipped.finds(unknown), unknown)

    def test_brought_along(self) -> None:
        """The source of a class, without what the computation has; made once."""
        shipped = code()
        supplement = shipped.supplement(Low)
        assert supplement is not None
        self.assertEqual([entry.name for entry in decode(supplement.data).entries], ["Low"])
        self.assertIs(shipped.supplement(Low), supplement)
        self.assertIsNone(supplement.python)

    def test_a_name_that_was_told_otherwise(self) -> None:
        """A function that is defined anew, as in a notebook, goes by value: a kept process knows the first one by that name."""
        shipped = code()
        first, second = Low, type("Low", (Base,), {"__module__": __name__})
        self.assertIsNotNone(shipped.supplement(first))
        with mock.patch.dict(globals(), Low=second), mock.patch("dispytw.client.collecting.top_source") as source:
            source.return_value = Source("Low", __name__, "cell", 1, 0, "class Low(Base): pass\n")
            self.assertIsNone(shipped.supplement(second))

    def test_nothing_to_bring(self) -> None:
        """What was made at run time has no source and is not kept."""
        shipped = code()
        self.assertIsNone(shipped.supplement(lambda: 1))
        self.assertIsNone(shipped.supplement(type("Made", (), {})))
