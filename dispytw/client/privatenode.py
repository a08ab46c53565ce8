"""A private node: a dispynode on loopback for one program, with a free port, a secret and a state directory of its own.

It ends when the pipe to it is closed, so it cannot outlive its program, however that ends. It has a session of its own: a terminal's
Ctrl-C reaches the program only.
"""

from __future__ import annotations

import atexit
import os
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
        self.address = self._listening(reader)

    def _command(self, cpus: int) -> list[str]:
        return [
            *(sys.executable, "-m", "dispytw.node.tap", "--host", "127.0.0.1", "--port", "0", "--end-with-stdin"),
            *("--state-dir", os.path.join(self.directory, "node"), "--secret-file", self.secret_file, "--cpus", str(cpus)),
        ]

    def _listening(self, reader: int) -> Address:
        with open(reader) as pipe:
            line = pipe.readline()
        if line.strip():
            host, port = line.split()
            return parse_address(f"[{host}]:{port}", 0)
        self._process.wait(ENDING)
        with open(self._log, errors="replace") as log:
            text = log.read()[-4000:]
        self.end()
        raise RuntimeError(f"the private node did not start; it said:\n{text}")

    @property
    def credential(self) -> Any:
        """What opens it."""
        return secret_credential(read_secret_file(self.secret_file))

    def end(self) -> None:
        """Close the pipe, wait for the end, remove what it left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


_private: PrivateNode | None = None
_starting = threading.Lock()


def private_node() -> tuple[Address, Any]:
    """Address and credential of this process's private node, started at first use."""
    global _private
    with _starting:
        if _private is None:
            _private = PrivateNode()
            atexit.register(_private.end)
        return _private.address, _private.credential
