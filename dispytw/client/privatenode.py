"""A private node: a dispynode on loopback for one program, with a free port, a secret and a state directory of its own.

It ends when the pipe to it is closed, so it cannot outlive its program, however that ends. It has a session of its own: a terminal's
Ctrl-C reaches the program only.
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import Any

from dispytw.client.nodes import Address, parse_address
from dispytw.wire.credentials import new_secret, read_secret_file, secret_credential

#: Seconds that a private node gets to say where it listens, and to end.
STARTING = 30.0
ENDING = 20.0


class PrivateNode:
    """Starts a node and knows where it listens.

    :param cpus: its slots; 0 for as many as the machine has cores.
    :raises RuntimeError: when it does not come up; its log is in the message.
    """

    def __init__(self, cpus: int = 0) -> None:
        self._pid = os.getpid()
        self.directory = tempfile.mkdtemp(prefix="dispytw-")
        self.secret_file = os.path.join(self.directory, "secret")
        descriptor = os.open(self.secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(new_secret())
        self._log = os.path.join(self.directory, "log")
        reader, writer = os.pipe()
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*self._command(cpus), "--announce-fd", str(writer)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                start_new_session=True,
            )
        os.close(writer)
        try:
            self.address = self._listening(reader)
        except BaseException:
            self.end()
            raise

    def _command(self, cpus: int) -> list[str]:
        return [
            *(sys.executable, "-m", "dispytw.node.tap", "--host", "127.0.0.1", "--port", "0", "--end-with-stdin", "--lease", "0"),
            "--no-discovery",
            *("--state-dir", os.path.join(self.directory, "node"), "--secret-file", self.secret_file, "--cpus", str(cpus)),
        ]

    def _listening(self, reader: int) -> Address:
        with open(reader) as pipe:
            line = pipe.readline() if select.select([pipe], [], [], STARTING)[0] else ""
        if line.strip():
            host, port = line.split()
            return parse_address(f"[{host}]:{port}", 0)
        self._stop()
        with open(self._log, errors="replace") as log:
            text = log.read()[-4000:]
        raise RuntimeError(f"the private node did not start; it said:\n{text}")

    @property
    def credential(self) -> Any:
        """What opens it."""
        return secret_credential(read_secret_file(self.secret_file))

    def end(self) -> None:
        """Close the pipe, wait for the end, remove what it left. A process forked from the program leaves it to its parent."""
        if os.getpid() == self._pid:
            self._stop()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _stop(self) -> None:
        self.let_go()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def let_go(self) -> None:
        """Close this process's end of the pipe: the node ends when nobody holds it any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()


_private: PrivateNode | None = None
_starting = threading.Lock()


def _after_fork() -> None:
    if _private is not None:
        _private.let_go()  # or the node would live as long as the child, whatever became of the program


os.register_at_fork(after_in_child=_after_fork)


def private_node() -> tuple[Address, Any]:
    """Address and credential of this process's private node, started at first use."""
    global _private
    with _starting:
        if _private is None:
            _private = PrivateNode()
            atexit.register(_private.end)
        return _private.address, _private.credential
