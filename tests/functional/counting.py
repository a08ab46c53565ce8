"""A door to a node that counts what goes through it."""

from __future__ import annotations

import socket
import threading
import unittest


class CountingDoor:
    """Listens on loopback and passes everything on to a node.

    :ivar port: where it listens.
    :ivar to_node: bytes that have gone to the node.
    """

    def __init__(self, test: unittest.TestCase, port: int) -> None:
        self._node = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.to_node = 0
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()
        test.addCleanup(self._close)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            node = socket.create_connection(("127.0.0.1", self._node))
            for source, target in ((client, node), (node, client)):
                self._threads.append(threading.Thread(target=self._pass_on, args=(source, target, target is node)))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while received := source.recv(1 << 16):
                self.to_node += len(received) if counted else 0
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one end has hung up

    def _close(self) -> None:
        """The ends have hung up by now; nothing is accepted any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(10)
