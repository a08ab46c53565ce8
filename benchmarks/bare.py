"""The bare limits of the machine: ``python -m benchmarks.bare DESCRIPTOR CELL ...``. Nobody who forks, or encrypts, can be faster.

This process stays small (a fork copies the tables of what a process has touched), so nothing is imported before it is needed.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.cells import Reading, resident
from benchmarks.contestants import SLOTS
from benchmarks.speech import told

#: Seconds that a cell lasts.
LENGTH = 1.0
CHUNK = 256 * 1024
#: Chunks that are sent in any case.
LEAST = 16


def fork_one() -> Reading:
    """fork, _exit and waitpid, one after another."""
    return Reading({"fork_one": _forks(1)})


def fork_slots() -> Reading:
    """The same with as many in flight as the contestants have slots."""
    return Reading({"fork_slots": _forks(SLOTS)})


def _forks(in_flight: int) -> float:
    if resident() > 20e6:
        raise RuntimeError(f"this process has grown to {resident() / 1e6:.0f} MB; the figure would say nothing")
    began = time.perf_counter()
    for _ in range(in_flight):
        _fork()
    done = 0
    while (seconds := time.perf_counter() - began) < LENGTH:
        os.wait()
        done += 1
        _fork()
    for _ in range(in_flight):
        os.wait()
    return done / seconds


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def tcp() -> Reading:
    """MB a second from one process to another over loopback."""
    return Reading({"tcp": _stream(lambda sock, server: sock)})


def tls() -> Reading:
    """The same through TLS 1.3, by Python's ssl module."""
    import ssl

    certificate = self_signed()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    serving.num_tickets = 0  # tickets that nobody reads would make a reset of the sender's close
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialling.check_hostname = False
    dialling.load_verify_locations(certificate)
    for context in (serving, dialling):
        context.minimum_version = ssl.TLSVersion.TLSv1_3

    def secured(sock: socket.socket, server: bool) -> socket.socket:
        return (serving if server else dialling).wrap_socket(sock, server_side=server)

    return Reading({"tls": _stream(secured)})


def _stream(secured: Callable[[socket.socket, bool], socket.socket]) -> float:
    server = socket.create_server(("127.0.0.1", 0))
    with server, _receiver(lambda: _receive(secured(server.accept()[0], True))) as received:
        with secured(socket.create_connection(server.getsockname()), False) as sock:
            chunk, ends = os.urandom(CHUNK), time.perf_counter() + LENGTH
            for _ in range(LEAST):
                sock.sendall(chunk)
            while time.perf_counter() < ends:
                sock.sendall(chunk)
        return float(received.readline()) / 1e6


def _receive(sock: socket.socket) -> float:
    """Bytes a second, from the first byte until the other end closes."""
    buffer, size = bytearray(CHUNK), sock.recv_into(bytearray(CHUNK))
    began, total = time.perf_counter(), 0
    while size:
        total += size
        size = sock.recv_into(buffer)
    return total / (time.perf_counter() - began)


@contextmanager
def _receiver(receive: Callable[[], float]) -> Iterator[Any]:
    """A second process, which says on a pipe what it has received."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, f"{receive()}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="ascii") as pipe:
        yield pipe
    os.waitpid(pid, 0)


def self_signed(path: str = "certificate.pem") -> str:
    """A key and a certificate for it in one file, like those that dispytw makes for itself."""
    from datetime import datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    begins = datetime(2000, 1, 1)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins, begins + timedelta(36500))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(path, "wb") as file:
        file.write(key.private_bytes(*private))
        file.write(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


#: The forks come first: the certificate makes the process bigger.
CELLS = {cell.__name__: cell for cell in (fork_slots, fork_one, tcp, tls)}


if __name__ == "__main__":
    with open(int(sys.argv[1]), "w", encoding="utf-8") as lines:
        for wanted in sys.argv[2:]:
            told(lines, wanted, CELLS[wanted])
