"""The program that a node's daemon executes for each computation: ``python -m dispytw.worker SOCKET DESCRIPTOR``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from dispytw.worker import capture, forking, tree
from dispytw.worker.zygote import CAN_HAVE_ONE, Zygote


def main(arguments: Sequence[str] | None = None) -> int:
    """Fork the zygote while this process is small, and be the supervisor.

    Its arguments are the path of the Unix socket, and an inherited descriptor to which a byte is written when that listens.
    """
    path, notice = sys.argv[1:] if arguments is None else arguments
    capture.write_by_line()
    if os.getsid(0) != os.getpid():
        os.setsid()
    tree.adopt_orphans()
    forking.note_registrations()
    os.set_inheritable(int(notice), False)
    zygote = Zygote.begin(closing=int(notice)) if CAN_HAVE_ONE else None
    from dispytw.worker import supervisor

    return supervisor.main(path, int(notice), zygote)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
