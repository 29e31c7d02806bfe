"""Rows of measurements, as a table for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Something measured beside its peer or ceiling; `bar` is what the ratio may be at most."""

    what: str
    measured: str
    beside: str
    ratio: float
    bar: float

    @property
    def held(self) -> bool:
        """Whether the bar holds."""
        return self.ratio <= self.bar


def render(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | measured | beside | ratio | bar | |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        mark = "holds" if row.held else "**missed**"
        lines.append(
            f"| {row.what} | {row.measured} | {row.beside} | {row.ratio:.2f} | {row.bar:g} | {mark} |"
        )
    return "\n".join(lines) + "\n"
