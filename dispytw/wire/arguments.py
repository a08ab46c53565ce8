"""The types of AMP arguments: fixed-size ids, bounded numbers and texts, and lists of records of any length that fits a box."""

from __future__ import annotations

import math
from typing import Any

import msgpack
from twisted.protocols import amp

from dispytw.errors import WireError

#: What one AMP value can hold, in bytes.
_VALUE = 0xFFFF
#: Values over which one list of records may be spread: about 1 MiB.
MOST_PARTS = 17
#: How deep lists may nest.
MOST_DEPTH = 8


class _Said(amp.Argument):
    """An argument that must be in the box."""

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        if name not in strings:
            raise WireError(f"{name!r} is missing")
        super().fromBox(name, strings, objects, proto)


class _Fixed(_Said):
    size = 0

    def toString(self, inObject: bytes) -> bytes:
        return self._checked(inObject)

    def fromString(self, inString: bytes) -> bytes:
        return self._checked(inString)

    def _checked(self, value: bytes) -> bytes:
        if not isinstance(value, bytes) or len(value) != self.size:
            raise WireError(f"wanted {self.size} bytes, not {value!r:.80}")
        return value


class Uid(_Fixed):
    """16 random bytes."""

    size = 16


class Digest(_Fixed):
    """A sha256, 32 bytes."""

    size = 32


class Bytes(_Said):
    """Bytes, at most 65,535."""

    def toString(self, inObject: bytes) -> bytes:
        return inObject

    def fromString(self, inString: bytes) -> bytes:
        return inString


class Long(amp.Argument):
    """Bytes, spread over as many values as they need, up to 17: `Records` says how."""

    def toBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Cut into parts.

        :raises WireError: when they need more than 17 values.
        """
        _spread(name, self.retrieve(objects, name.decode(), proto), strings)

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Put the parts together.

        :raises WireError: when there are none, or some are missing.
        """
        objects[name.decode()] = _gathered(name, strings)


def _spread(name: bytes, value: bytes, strings: dict[bytes, bytes]) -> None:
    parts = [value[start : start + _VALUE] for start in range(0, len(value), _VALUE)] or [b""]
    if len(parts) > MOST_PARTS:
        raise WireError(f"{name!r} of {len(value)} bytes does not fit a box")
    strings[name] = b"%d" % len(parts)
    for index, part in enumerate(parts):
        strings[b"%s.%d" % (name, index)] = part


def _gathered(name: bytes, strings: dict[bytes, bytes]) -> bytes:
    count = strings.get(name, b"")
    if not count.isdigit() or len(count) > 2 or not 0 < int(count) <= MOST_PARTS:
        raise WireError(f"{name!r} declares no number of parts")
    try:
        return b"".join([strings[b"%s.%d" % (name, index)] for index in range(int(count))])
    except KeyError as missing:
        raise WireError(f"{missing} is missing") from None


class Text(_Said):
    """Unicode, at most 60,000 bytes of it; what is more is cut at the sender."""

    def toString(self, inObject: str) -> bytes:
        return inObject.encode("utf-8", "replace")[:60_000]

    def fromString(self, inString: bytes) -> str:
        return inString.decode("utf-8", "replace")


class Whole(_Said):
    """A whole number from 0 to 2**63 - 1."""

    def toString(self, inObject: int) -> bytes:
        return b"%d" % self._checked(inObject)

    def fromString(self, inString: bytes) -> int:
        if not inString.isdigit() or len(inString) > 19:
            raise WireError(f"wanted a whole number, not {inString[:40]!r}")
        return self._checked(int(inString))

    @staticmethod
    def _checked(value: int) -> int:
        if not 0 <= value < 2**63:
            raise WireError(f"wanted a whole number below 2**63, not {value}")
        return value


class Seconds(_Said):
    """A time span, a finite float."""

    def toString(self, inObject: float) -> bytes:
        return repr(self._checked(float(inObject))).encode("ascii")

    def fromString(self, inString: bytes) -> float:
        try:
            return self._checked(float(inString))
        except ValueError:
            raise WireError(f"wanted seconds, not {inString[:40]!r}") from None

    @staticmethod
    def _checked(value: float) -> float:
        if not math.isfinite(value):
            raise WireError(f"wanted finite seconds, not {value}")
        return value


class Records(amp.Argument):
    """A list of records, packed by msgpack and spread over as many values as it needs.

    The first value, under the argument's own name, is the number of parts; the parts follow as ``name.0``, ``name.1`` …
    """

    def toBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Pack.

        :raises WireError: when the list needs more than 17 values.
        """
        _spread(name, msgpack.packb(self.retrieve(objects, name.decode(), proto), unicode_errors="surrogatepass"), strings)

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Unpack.

        :raises WireError: when parts are missing, or what they hold is no list, or nests too deep.
        """
        packed = _gathered(name, strings)
        try:
            value = msgpack.unpackb(packed, unicode_errors="surrogatepass")
        except (ValueError, msgpack.UnpackException, RecursionError) as error:
            raise WireError(f"records {name!r} cannot be unpacked: {error!r:.200}") from None
        if not isinstance(value, list) or _depth(value, MOST_DEPTH) < 0:
            raise WireError(f"records {name!r} are no list, or nest too deep")
        objects[name.decode()] = value


def _depth(value: Any, left: int) -> int:
    """What is left of the depth allowed below ``value``; negative when it nests too deep."""
    if not isinstance(value, (list, dict)):
        return left
    if left == 0:
        return -1
    inner = value.values() if isinstance(value, dict) else value
    return min((_depth(each, left - 1) for each in inner if isinstance(each, (list, dict))), default=left)
