"""What one job brings along: its arguments, and what it alone depends on; packed on the caller's thread, where a mistake can be told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakValueDictionary

import attrs

from dispytw.client.collecting import Collection
from dispytw.client.definitions import described
from dispytw.client.depends import Depends, Shipment, check_length, collect_given
from dispytw.client.luggage import Content
from dispytw.client.modules import WholeModules
from dispytw.client.programs import pack_strings
from dispytw.client.shipped import ShippedCode, packed_code
from dispytw.errors import ShippingError
from dispytw.values import Body, Equipped, Inline, Stored
from dispytw.wire.bundle import OWN_PLACE
from dispytw.wire.payload import Packed, pack_arguments, with_code

#: The keyword of submit that is not the computation's.
JOB_DEPENDS = "dispy_job_depends"
#: Bytes up to which a job's file is taken as it is at submit; a longer one must not change before the job has left.
SNAPSHOT = 1024 * 1024


def pack_job(shipment: Shipment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body:
    """What travels for one call of a computation.

    :param kwargs: the keywords of submit, `JOB_DEPENDS` among them or not.
    :raises PayloadError: when an argument cannot be pickled; it is named.
    :raises TypeError: when an argument of a program is no string, or something is no dependency.
    :raises FileNotFoundError: when a file is not there.
    :raises ShippingError: when code cannot be sent; it says why and what to do.
    """
    if JOB_DEPENDS not in kwargs:
        return Inline(_packed(shipment, args, kwargs, shipment.shipped).data)
    kwargs = dict(kwargs)
    depends = _sorted(kwargs.pop(JOB_DEPENDS), shipment.called is None)
    if shipment.called is None or not (depends.definitions or depends.modules):
        data = _packed(shipment, args, kwargs, shipment.shipped).data
    else:
        collection = _collected(depends, shipment.shipped.collection)
        packed = _packed(shipment, args, kwargs, JobCode(ShippedCode(collection), shipment.shipped))
        data = with_code(packed, Packed(packed_code(collection, collection.overriding), collection.python)).data
    files = tuple(depends.luggage.files.values())
    if not files:
        return Inline(data)
    check_length(files, JOB_DEPENDS)
    wanted = {file.digest for file in files}
    contents = {digest: _snapshot(digest, content) for digest, content in depends.luggage.contents.items() if digest in wanted}
    return Equipped(OWN_PLACE + data, files, contents)


def packed_arguments(shipment: Shipment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The arguments of one call, as its computation takes them.

    :raises PayloadError: when one cannot be pickled; it is named.
    :raises TypeError: when one of a program is no string.
    """
    return _packed(shipment, args, kwargs, shipment.shipped).data


def _packed(shipment: Shipment, args: tuple[Any, ...], kwargs: dict[str, Any], shipped: Any) -> Packed:
    if shipment.called is None:
        return Packed(pack_strings(args, kwargs))
    return pack_arguments(shipment.called.arguments_for(args, kwargs), kwargs, shipped)


def _sorted(depends: Any, program: bool) -> Depends:
    if depends is not None and (isinstance(depends, (str, bytes, Mapping)) or not isinstance(depends, Iterable)):
        raise TypeError(f"submit: {JOB_DEPENDS} must be a list, not {depends!r}")
    given = Depends()
    given.sort(depends or (), JOB_DEPENDS, program)
    return given


def _collected(depends: Depends, base: Collection) -> Collection:
    """The code that a job brings along, on top of the computation's: of two with one name the job's is meant."""
    collection = Collection(
        home=base.home,
        homes=base.homes,
        wholes=base.wholes,
        explicit={**base.explicit, **depends.definitions},
        base=base,
        overriding=frozenset(depends.definitions),
    )
    collect_given(collection, attrs.evolve(depends, modules={}))
    fresh = WholeModules(lambda name: False)
    for module in depends.modules:
        fresh.add(module)
    for name, found in fresh.modules.items():
        if name in base.homes and name not in base.wholes:
            raise ShippingError(f"{JOB_DEPENDS}: of module {name} the computation has a part; list the module in the cluster's depends")
        if base.modules.modules.get(name) != found:
            collection.modules.modules[name] = found
    collection.follow()
    collection.check()
    return collection


@attrs.frozen(eq=False)
class JobCode:
    """What the nodes know of the program's classes and functions while a job runs that brings some along.

    :param own: what the job brings.
    :param others: what was there before.
    """

    own: ShippedCode
    others: ShippedCode

    def finds(self, thing: Any) -> bool:
        """See `dispytw.wire.payload.Shipped`."""
        if self._is_taken(thing):
            return self.own.finds(thing)
        return self.others.finds(thing) or self.own.finds(thing)

    def supplement(self, thing: Any) -> Packed | None:
        """See `dispytw.wire.payload.Shipped`.

        :raises ShippingError: when its name stands for something else over there while this job runs.
        """
        if self._is_taken(thing) and "<" not in thing.__qualname__:
            mine = self.own.collection.known[thing.__qualname__.partition(".")[0]].value
            raise ShippingError(f"for this job that name stands for {described(mine)}, not for {described(thing)}; rename one")
        return self.others.supplement(thing)

    def _is_taken(self, thing: Any) -> bool:
        """Whether its name stands for something that the job brings."""
        return thing.__qualname__.partition(".")[0] in self.own.collection.overriding

    def globals_of(self, function: Any) -> bool:
        """See `dispytw.wire.payload.Shipped`."""
        return False


#: Snapshots that some job still needs, by digest.
_snapshots: WeakValueDictionary[bytes, Inline] = WeakValueDictionary()


def _snapshot(digest: bytes, content: Content) -> Body:
    """A content as it is now, unless it is long; jobs that need the same share it."""
    known = _snapshots.get(digest)
    if known is not None:
        return known
    if isinstance(content, str):
        size = os.path.getsize(content)
        if size > SNAPSHOT:
            return Stored(content, size)
        with open(content, "rb") as file:
            content = file.read()
    taken = _snapshots[digest] = Inline(content)
    return taken
