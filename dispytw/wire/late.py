"""msgpack, loaded when it is first needed.

A process that is forked for a job is a copy of all that its parent has in memory, and a job rarely needs this. It is looked for where
modules were looked for when this one was loaded: by then a user's directory may come first, and modules of the user's be taken for it.
"""

from __future__ import annotations

import sys

from dispytw.lighttyping import Any

_path = list(sys.path)
_loaded: Any = None


def msgpack() -> Any:
    """The module."""
    global _loaded
    if _loaded is None:
        path, finders = sys.path, sys.meta_path
        try:
            sys.path = _path
            sys.meta_path = [finder for finder in finders if not type(finder).__module__.startswith("dispytw.")]
            import msgpack as loaded
        finally:
            sys.path, sys.meta_path = path, finders
        _loaded = loaded
    return _loaded
