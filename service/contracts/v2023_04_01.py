"""2023-04-01: the first contract. It is what all changes lead back to, so it has none of its own."""

from __future__ import annotations

from datetime import date

from service.contracts.registry import Contract

contract = Contract(
    date=date(2023, 4, 1),
    description="Load a dataset with POST /data and read it, from `start` to the end, as a bare JSON array.",
)
