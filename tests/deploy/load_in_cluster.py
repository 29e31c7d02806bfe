"""Forty clients, run by `python -c` in a pod, that count every request that gets lost.

Standard library only: it runs in any image that has Python. Every second it writes one line of JSON
with the counts so far. Nothing is sent twice, so a connection that dies under a request counts.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import Counter

HOST = os.environ["LOAD_HOST"]
PATH = "/data?limit=5"
HEADERS = {"Authorization": f"Bearer {os.environ['LOAD_KEY']}", "API-Version": os.environ["LOAD_CONTRACT"]}
CLIENTS = 40


def use(connection: http.client.HTTPConnection, tally: Counter[str], *, keeps_alive: bool) -> None:
    """Send requests for ever."""
    headers = HEADERS if keeps_alive else HEADERS | {"Connection": "close"}
    while True:
        try:
            connection.request("GET", PATH, headers=headers)
            response = connection.getresponse()
            response.read()
            tally["answered" if response.status == 200 else f"status {response.status}"] += 1
        except (OSError, http.client.HTTPException) as error:
            tally[repr(error)] += 1
            connection.close()
        # A cluster for tests is small: it is to lose nothing, not to show how fast it is.
        time.sleep(0.05)


def main() -> None:
    """Start the clients and write the counts."""
    tallies: list[Counter[str]] = [Counter() for _ in range(CLIENTS)]
    for number, tally in enumerate(tallies):
        connection = http.client.HTTPConnection(HOST, timeout=15)
        keeps_alive = {"keeps_alive": number % 2 == 0}
        threading.Thread(target=use, args=(connection, tally), kwargs=keeps_alive, daemon=True).start()
    while True:
        time.sleep(1)
        total: Counter[str] = Counter()
        for tally in tallies:
            total.update(dict(tally))
        print(json.dumps(total), flush=True)


if __name__ == "__main__":
    main()
