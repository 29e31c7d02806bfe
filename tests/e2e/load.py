"""Forty clients that notice every request that gets lost."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Self

from .client import FIRST_CONTRACT, NEWEST_CONTRACT

CLIENTS = 40
TIMEOUT_S = 60
APPEND_EVERY = 10


@dataclass
class Tally:
    """What one client has seen; the durations are in seconds."""

    requests: int = 0
    reconnects: int = 0
    lost: list[str] = field(default_factory=list)
    appended: list[str] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)


class Load:
    """Clients in threads, from entering to leaving: every other one keeps its connection alive.

    Nothing is sent twice: `http.client` never repeats a request on its own, so a connection that dies
    under one counts as lost, as does every status of 400 and more.
    """

    def __init__(self, port: int, appends_to: str) -> None:
        self.port = port
        self.path = f"/datasets/{appends_to}/records"
        self.tallies = [Tally() for _ in range(CLIENTS)]
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> Self:
        for number, tally in enumerate(self.tallies):
            self._pool.submit(self._client, number, tally)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return sum(tally.requests for tally in self.tallies)

    @property
    def lost(self) -> Counter[str]:
        """The requests without a good answer, by what came instead."""
        return Counter(reason for tally in self.tallies for reason in tally.lost)

    @property
    def appended(self) -> list[str]:
        """The records whose appending was acknowledged."""
        return [record for tally in self.tallies for record in tally.appended]

    def percentile_ms(self, share: float) -> float:
        """Return the duration in milliseconds that this share of the requests did not exceed."""
        durations = sorted(each for tally in self.tallies for each in tally.durations_s)
        return 1000 * durations[min(len(durations) - 1, int(share * len(durations)))]

    def _client(self, number: int, tally: Tally) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(connection):
            self._use(connection, number, tally)

    def _use(self, connection: http.client.HTTPConnection, number: int, tally: Tally) -> None:
        keeps_alive = number % 2 == 0
        while not self._stop.is_set():
            begin = time.monotonic()
            tally.requests += 1
            record = f"{number}-{tally.requests}" if tally.requests % APPEND_EVERY == 0 else None
            try:
                self._send(connection, record, keeps_alive=keeps_alive)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                tally.lost.append(repr(error))
                connection.close()
                continue
            if response.status >= 400:
                tally.lost.append(f"status {response.status}")
            elif record:
                tally.appended.append(record)
            if connection.sock is None:  # the server has said `Connection: close`
                tally.reconnects += 1
            tally.durations_s.append(time.monotonic() - begin)

    def _send(self, connection: http.client.HTTPConnection, record: str | None, *, keeps_alive: bool) -> None:
        common = {} if keeps_alive else {"Connection": "close"}
        if record is None:
            contract = FIRST_CONTRACT if keeps_alive else NEWEST_CONTRACT
            connection.request("GET", "/data?start=0", headers=common | contract)
            return
        body = json.dumps({"id": record}).encode()
        kind = {"Content-Type": "application/json"} | NEWEST_CONTRACT
        connection.request("POST", self.path, body=body, headers=common | kind)
