"""`aerolite healthcheck`: 0 where a server answers, 1 where none does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.cli.conftest import Invoke


class Handler(BaseHTTPRequestHandler):
    """Answers /livez with the status that its server has."""

    def do_GET(self) -> None:
        """Answer."""
        status = self.server.status if self.path == "/livez" else 404  # type: ignore[attr-defined]  # ours
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """Serve on a free port."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status = 200  # type: ignore[attr-defined]  # read by the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_server_that_answers_is_healthy(invoke: Invoke, server: HTTPServer, host: str) -> None:
    """Where /livez answers 200 the command says nothing and exits with 0, also for the wildcard address."""
    result = invoke("healthcheck", environment={"HOST": host, "PORT": str(server.server_port)})
    assert (result.exit_code, result.output) == (0, "")


def test_another_status_is_unhealthy(invoke: Invoke, server: HTTPServer) -> None:
    """Where /livez answers anything else the command exits with 1 and tells the status."""
    server.status = 503  # type: ignore[attr-defined]  # read by the handler
    result = invoke("healthcheck", environment={"PORT": str(server.server_port)})
    assert result.exit_code == 1
    assert "answers 503 to /livez" in result.stderr


def test_nobody_there_is_unhealthy(invoke: Invoke) -> None:
    """Where nothing listens the command exits with 1 and tells where it looked."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = invoke("healthcheck", environment={"PORT": str(port)})
    assert result.exit_code == 1
    assert f"No answer from 127.0.0.1 port {port}: Connection refused." in result.stderr


def test_another_protocol_is_unhealthy(invoke: Invoke) -> None:
    """What does not speak HTTP is no server of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: _greet(listener))
        thread.start()
        result = invoke("healthcheck", environment={"PORT": str(listener.getsockname()[1])})
        thread.join()
    assert result.exit_code == 1
    assert "does not speak HTTP" in result.stderr


def _greet(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        connection.recv(1024)


def test_a_free_port_cannot_be_asked(invoke: Invoke) -> None:
    """PORT=0 does not tell where the server listens."""
    result = invoke("healthcheck", environment={"PORT": "0"})
    assert result.exit_code == 1
    assert "PORT is 0" in result.stderr
