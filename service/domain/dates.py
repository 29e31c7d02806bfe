"""Contract dates: what the `API-Version` header may say."""

from __future__ import annotations

import re
from datetime import date

from service.domain.errors import VersionMalformed

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})([0-9]{2})([0-9]{2})")


def parse_version(text: str) -> date:
    """Return the day that `YYYY-MM-DD` or `YYYYMMDD` names: ASCII digits, a day of the Gregorian calendar.

    `date.fromisoformat` is too kind: since Python 3.11 it takes week dates, and digits of any script. Raises
    `VersionMalformed`.
    """
    match = _DATE.fullmatch(text)
    if match is not None:
        try:
            return date(*(int(part) for part in match.groups() if part is not None))
        except ValueError:  # no such day, as February 30
            pass
    raise VersionMalformed("Send API-Version as a day of the calendar, such as 2026-11-20 or 20261120.")
