"""TLS before a server that speaks none."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.directories import temporary

Greeting = Callable[[socket.socket], None]
"""What is said before the handshake."""


def at_once(_: socket.socket) -> None:
    """Say nothing, as Redis does."""


def as_postgres(client: socket.socket) -> None:
    """Answer SSLRequest with yes (https://www.postgresql.org/docs/current/protocol-flow.html)."""
    client.recv(8, socket.MSG_WAITALL)
    client.sendall(b"S")


@contextmanager
def tls_front(port: int, greeting: Greeting = at_once) -> Iterator[tuple[int, Path]]:
    """Terminate TLS before a loopback port: give the port to use and the certificate to trust.

    The wheels' servers are built without TLS, as many are that stand behind a proxy. Needs `openssl`.
    """
    with temporary("tls") as folder:
        certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        files = ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(["openssl", *words, "-addext", names, *files], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with _Front(context, port, greeting) as front:
            thread = threading.Thread(target=front.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield int(front.server_address[1]), certificate
            finally:
                front.shutdown()
                thread.join()


class _Front(socketserver.ThreadingTCPServer):
    """Accepts TLS and passes on what comes, both ways."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, target: int, greeting: Greeting) -> None:
        self._context = context
        self._target = target
        self._greeting = greeting
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(OSError):  # a handshake that fails is the client's to tell
            self._greeting(request)
            outer = self._context.wrap_socket(request, server_side=True)
            with outer, socket.create_connection(("127.0.0.1", self._target)) as inner:
                threading.Thread(target=_pump, args=(inner, outer), daemon=True).start()
                _pump(outer, inner)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
