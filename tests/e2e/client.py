"""Requests as a client sends them, and waiting for what takes a while."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FIRST_CONTRACT = {"API-Version": "2023-04-01"}
NEWEST_CONTRACT = {"API-Version": "2026-11-20"}


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers (names in lower case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body[:300]!r}"

    def json(self) -> Any:
        """Decode the body."""
        return json.loads(self.body)


class Api:
    """An HTTP API on this machine; every request has a connection of its own."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 120,
    ) -> Answer:
        """Send a request; raises `OSError` or `HTTPException` where no whole answer comes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path."""
        return self.request("GET", path, headers=headers)

    def get_patiently(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path as a client does that honours Retry-After."""
        while (answer := self.get(path, headers)).status == 503:
            time.sleep(int(answer.headers["retry-after"]))
        return answer

    def answers(self, path: str, status: int = 200) -> bool:
        """Whether a GET has this status; no answer at all is a no."""
        try:
            return self.get(path).status == status
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self) -> None:
        """Wait until /readyz says 200."""
        wait_until(lambda: self.answers("/readyz"), f"{self.host}:{self.port}/readyz says 200")


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 300) -> None:
    """Wait until a condition holds; raises `AssertionError` naming what did not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    """Find a TCP port of the loopback interface that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
