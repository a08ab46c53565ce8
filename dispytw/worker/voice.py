"""What a process has to know for the job in it to be heard (`dispytw.worker.speaking`, which is loaded by the first that speaks)."""

from __future__ import annotations

from collections.abc import Callable


class Voice:
    """What a job needs to be heard.

    :param ear: path of the supervisor's socket.
    :param spool: what the paths of long bodies begin with.
    :param home: the computation's directory.
    :param pack: turns a value into a payload.
    :ivar max_file_size: bytes that a file may have; 0 for no limit.
    :ivar log: a descriptor of the supervisor's own log.
    :ivar tag: the attempt that runs in this process (`dispytw.worker.slotwords.TAG`); empty where none does.
    """

    def __init__(self, ear: str, spool: str, home: str, pack: Callable[[object], bytes], max_file_size: int = 0) -> None:
        self.ear, self.spool, self.home, self.pack, self.max_file_size = ear, spool, home, pack, max_file_size
        self.tag = b""
        self.log = 2


#: Of this process.
voice = Voice("", "", "", lambda value: b"")
