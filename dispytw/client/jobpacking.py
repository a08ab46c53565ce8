"""The arguments of one job, packed on the caller's thread, where a mistake can be told."""

from __future__ import annotations

from typing import Any

from dispytw.client.depends import Shipment
from dispytw.client.programs import pack_strings
from dispytw.values import Body, Inline
from dispytw.wire.payload import pack_arguments


def pack_job(shipment: Shipment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body:
    """What travels for one call of a computation.

    :raises PayloadError: when an argument cannot be pickled; it is named.
    :raises TypeError: when an argument of a program is no string.
    """
    if shipment.called is None:
        return Inline(pack_strings(args, kwargs))
    return Inline(pack_arguments(shipment.called.arguments_for(args, kwargs), kwargs, shipment.shipped).data)
