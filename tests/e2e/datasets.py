"""What the tests load, and what every backend must give back of it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from .client import FIRST_CONTRACT, NEWEST_CONTRACT, Api

CSV_ROWS = 2_500


def landings_csv() -> bytes:
    """Make a CSV file whose cells a careless service spoils: trailing zeros, quotes, umlauts."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "name", "mass (g)", "reclat"])
    for number in range(CSV_ROWS):
        writer.writerow([number, f'Löss "{number}", field', f"{number}.50", "50.775000"])
    return text.getvalue().encode()


def load(api: Api) -> None:
    """Load `/data` and the dataset `landings`, and add a record to the latter."""
    posted = api.request(
        "POST", "/data", body=landings_csv(), headers={**FIRST_CONTRACT, "Content-Type": "text/csv"}
    )
    assert posted.status == 200, posted
    put = api.request(
        "PUT",
        "/datasets/landings?key=id",
        body=json.dumps([{"id": 1, "mass (g)": 21.5}, {"id": 2, "mass (g)": None}]).encode(),
        headers={**NEWEST_CONTRACT, "Content-Type": "application/json"},
    )
    assert put.status == 201, put
    appended = api.request(
        "POST",
        "/datasets/landings/records",
        body=b'{"id": 3, "mass (g)": 720}',
        headers={**NEWEST_CONTRACT, "Content-Type": "application/json"},
    )
    assert appended.status == 201, appended


def stored(api: Api) -> dict[str, Any]:
    """Read all that was loaded, as clients of the first and of the newest contract see it."""
    old = api.get_patiently("/data", FIRST_CONTRACT)
    new = api.get_patiently("/data?limit=all", NEWEST_CONTRACT)
    landings = api.get_patiently("/datasets/landings/records", NEWEST_CONTRACT)
    assert [old.status, new.status, landings.status] == [200, 200, 200], (old, new, landings)
    return {
        "old": old.json(),
        "new": new.json()["records"],
        "landings": landings.json()["records"],
    }


def expected() -> dict[str, Any]:
    """Say what `stored` answers after `load`."""
    rows = list(csv.DictReader(io.StringIO(landings_csv().decode())))
    return {
        "old": rows,
        "new": [
            {
                "id": int(row["id"]),
                "name": row["name"],
                "mass (g)": float(row["mass (g)"]),
                "reclat": 50.775,
            }
            for row in rows
        ],
        "landings": [
            {"id": 1, "mass (g)": 21.5},
            {"id": 2, "mass (g)": None},
            {"id": 3, "mass (g)": 720},
        ],
    }
