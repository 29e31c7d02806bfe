"""A sample to play with: invented meteorite landings, the same ones everywhere."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

COLUMNS: Final = ("name", "id", "recclass", "mass (g)", "reclat", "reclong", "GeoLocation")

DEFAULT_ROWS: Final = 300
FIRST_ID: Final = 10_001


class _Field(NamedTuple):
    """A place where meteorites are found in numbers, and named so: corners in degrees."""

    name: str
    south: int
    north: int
    west: int
    east: int


_FIELDS: Final = (
    _Field("Yamato", -73, -71, 34, 37),
    _Field("Allan Hills", -77, -76, 157, 160),
    _Field("Queen Alexandra Range", -85, -84, 162, 170),
    _Field("Elephant Moraine", -77, -76, 156, 158),
    _Field("Dar al Gani", 26, 28, 15, 17),
    _Field("Jiddat al Harasis", 18, 20, 54, 57),
    _Field("Nullarbor", -32, -30, 126, 130),
    _Field("San Juan", -26, -25, -71, -69),
)
_WORLD: Final = _Field("", -60, 70, -180, 180)

_PLACES: Final = (
    "Gerald", "Karlov", "Benton", "Osaka", "Tieschitz", "Alvorada", "Mirador", "Novy", "Ashdon",
    "Belgrano", "Chandra", "Dunmore", "Ellery", "Farrah", "Gorlovka", "Hartwell", "Ibira",
    "Jalandhar", "Kisvarda", "Lindum", "Marquette", "Nyirabrany", "Orgeval", "Palena", "Quenggouk",
    "Rakovka", "Salamina", "Temora", "Udipi", "Vigarano", "Wellington", "Xingyang", "Yardea",
    "Zavetnoe",
)  # fmt: skip
_SECONDS: Final = ("", "", "", "", " Creek", " Hill", " Lake", " Mills", " Norte", " Springs", " Wells")

# How many of a hundred landings are of a class, roughly as in the catalogue of the Meteoritical Society.
_CLASSES: Final = {
    "L6": 21, "H5": 18, "L5": 12, "H6": 11, "H4": 10, "LL5": 7, "LL6": 5, "L4": 4, "H4/5": 2, "CM2": 2,
    "H3": 1, "L3": 1, "CO3": 1, "CV3": 1, "Ureilite": 1, "Eucrite": 1, "Howardite": 1, "Iron, IIIAB": 1,
}  # fmt: skip
_CLASS_NAMES: Final = tuple(_CLASSES)
_CLASS_STEPS: Final = tuple(accumulate(_CLASSES.values()))

# Most finds are small: an order of magnitude is drawn first, in tenths of a gram.
_MASS_SCALES: Final = (100, 1_000, 1_000, 10_000, 10_000, 100_000, 100_000, 10_000_000)


def sample(rows: int = DEFAULT_ROWS, seed: int = 0) -> Iterator[dict[str, str]]:
    """Yield invented landings; the same `seed` gives the same ones on every machine, Python and run.

    All values are text, with the columns of `COLUMNS`. `id` rises from 10001 by one. One mass in ten has a
    fraction. About one landing in a hundred has no mass and one in fifty no coordinates: those cells are
    empty, as in the real catalogue. A longer sample begins with the shorter one.
    """
    # Of the whole module only `random()` is promised to give the same sequence in every version.
    draw = Random(seed).random  # noqa: S311 - a sample is no secret
    for number in range(FIRST_ID, FIRST_ID + rows):
        # Each landing takes the same eight draws, in this order, whatever comes of them.
        name, field = _name(draw(), draw())
        class_ = _CLASS_NAMES[bisect_right(_CLASS_STEPS, draw() * 100)]
        mass = _mass(draw(), draw(), draw())
        latitude, longitude = _place(field, draw(), draw())
        location = f"({latitude}, {longitude})" if latitude else ""
        values = (name, str(number), class_, mass, latitude, longitude, location)
        yield dict(zip(COLUMNS, values, strict=True))


def _name(where: float, which: float) -> tuple[str, _Field]:
    """Return a name and the field it belongs to: numbered in a field, else a place of its own."""
    if where < 0.5:
        field = _pick(_FIELDS, where * 2)
        return f"{field.name} {10_000 + int(which * 90_000)}", field
    return _pick(_PLACES, which) + _pick(_SECONDS, where * 2 - 1), _WORLD


def _mass(scale: float, share: float, unit: float) -> str:
    """Return grams as text: whole, with one decimal in one case of ten, missing in one of a hundred."""
    if unit < 0.01:
        return ""
    tenths = 10 + int(share * _pick(_MASS_SCALES, scale))
    return f"{tenths / 10:.1f}" if unit < 0.11 else str(tenths // 10)


def _place(field: _Field, north: float, east: float) -> tuple[str, str]:
    """Return latitude and longitude in degrees to four decimals, or neither in one case of fifty."""
    if north < 0.02:
        return "", ""
    latitude = field.south + (field.north - field.south) * north
    longitude = field.west + (field.east - field.west) * east
    return f"{latitude:.4f}", f"{longitude:.4f}"


def _pick(options: Sequence[T], chance: float) -> T:
    return options[int(chance * len(options))]
