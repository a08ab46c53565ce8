"""A namespace in a few lines, for tests of processes rather than of shipping: the bundle is Python source that defines ``compute``.

Run as a program it is the supervisor with this module in the place of `dispytw.worker.namespace`, and without Twisted.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Collection
from typing import Any, NoReturn

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dispytw.errors import PayloadError
from dispytw.wire.payload import open_value


class Namespace:
    """One computation's names."""

    def __init__(self, source: str, facts: dict[str, object]) -> None:
        from dispytw.wire.bundle import JOB_NAMES
        from dispytw.worker import jobfunctions

        self.names: dict[str, Any] = {**jobfunctions.names(JOB_NAMES), **facts, "__name__": "__main__"}
        exec(compile(source, "computation.py", "exec"), self.names)
        self.has_setup = "setup" in self.names
        self.has_cleanup = "cleanup" in self.names

    def setup(self) -> object:
        return self.names["setup"]()

    def cleanup(self) -> None:
        self.names["cleanup"]()

    def take_over(self, payload: bytes) -> None:
        self.names.update(open_value(payload))

    def restore(self) -> None:
        """Nothing here is there for one job only."""

    def perform(self, args_payload: bytes) -> bytes:
        try:
            args = pickle.loads(args_payload)
        except Exception as error:
            raise PayloadError("the job's arguments cannot be opened here") from error
        return self.pack(self.names["compute"](*args))

    def performing(self) -> Callable[[bytes], bytes]:
        return self.perform

    def pack(self, value: object) -> bytes:
        try:
            return pickle.dumps(value)
        except Exception as error:
            raise PayloadError("the job's result cannot be pickled") from error

    def pack_error(self, error: BaseException) -> bytes:
        return b"p" + pickle.dumps(error)


#: The command that runs a supervisor with this namespace.
COMMAND = (sys.executable, os.path.abspath(__file__))
#: The same without a zygote.
ALONE = (*COMMAND, "alone")


def load(bundle: str, *, facts: dict[str, object], mentions: Collection[str] = ()) -> Namespace:
    return Namespace(bundle, facts)


def program() -> NoReturn:
    """Be a supervisor, or a server that one executes."""
    sys.modules["twisted"] = None  # type: ignore[assignment]  # any import of it raises
    import dispytw.worker
    from dispytw.wire import bundle
    from tests.worker import standin

    bundle.decode = bytes.decode  # type: ignore[assignment]
    sys.modules["dispytw.worker.namespace"] = standin
    dispytw.worker.namespace = standin  # type: ignore[attr-defined]
    if sys.argv[1] == "spawned":
        from dispytw.worker import spawned

        spawned.main(sys.argv[2:])
    from dispytw.worker import __main__, spawning

    spawning.COMMAND = (*COMMAND, "spawned")
    if sys.argv[1] == "alone":
        del sys.argv[1]
        __main__.CAN_HAVE_ONE = False
    os._exit(__main__.main())


if __name__ == "__main__":
    program()
