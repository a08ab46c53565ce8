"""A computation as all nodes get it, and as one gets it whose NodeAllocate adds dependencies or arguments for setup."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dispytw.client.depends import Shipment, pack_computation
from dispytw.client.nodes import NodeAllocate
from dispytw.values import Body, Inline, Stored


class Variants:
    """Packs one computation, as often as needed.

    :param computation: see `dispytw.client.depends.pack_computation`, as for everything that follows.
    """

    def __init__(self, computation: Any, depends: Sequence[Any], setup: Any, cleanup: Any, **others: Any) -> None:
        self._computation = computation
        self._depends = list(depends)
        self._setup = setup
        self._cleanup = cleanup
        self._others = others

    def pack(self, depends: Sequence[Any] = (), setup_args: Sequence[Any] = ()) -> Shipment:
        """The computation with so much more.

        :param depends: what is needed beside what all nodes get.
        :param setup_args: positional arguments for setup, after those of its own if it is a partial; for cleanup too, if it takes them.
        :raises TypeError: when there are arguments and no setup, or things that cannot be dependencies.
        """
        setup, cleanup = self._setup, self._cleanup
        if setup_args:
            if setup is None:
                raise TypeError(f"NodeAllocate: setup_args {tuple(setup_args)!r} are for setup, and the cluster has none")
            setup = functools.partial(setup, *setup_args)
            cleanup = functools.partial(cleanup, *setup_args) if _takes(cleanup, setup_args) else cleanup
        return pack_computation(
            self._computation, depends=[*self._depends, *depends], setup=setup, cleanup=cleanup, **self._others
        )

    def check(self, entries: Iterable[NodeAllocate]) -> None:
        """What nodes get beside the computation is looked at now, not when they are found.

        :raises TypeError: as `pack` does.
        """
        for entry in entries:
            if getattr(entry, "depends", ()) or getattr(entry, "setup_args", ()):
                self.pack(entry.depends, entry.setup_args)


def bodies(shipment: Shipment) -> dict[bytes, Body]:
    """The content of all files of a computation, by digest."""
    return {digest: _body(content) for digest, content in shipment.files.items()}


def _body(content: str | bytes) -> Body:
    if isinstance(content, bytes):
        return Inline(content)
    return Stored(content, os.path.getsize(content))


def _takes(function: Callable[..., Any] | bool | None, arguments: Sequence[Any]) -> bool:
    """Whether a function can be called with these."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
