"""What the client can take: the format of records and the encoding of bodies (RFC 9110, section 12)."""

from __future__ import annotations

from functools import lru_cache

from service.contracts.schemas import CSV, JSON, NDJSON, PARQUET
from service.domain.errors import InvalidParameter, NotAcceptable

FORMATS = {"json": JSON, "ndjson": NDJSON, "csv": CSV, "parquet": PARQUET}
EXTENSIONS = {media_type: extension for extension, media_type in FORMATS.items()}

_ALIASES = {
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "application/x-jsonlines": NDJSON,
}


def media_type(wanted: str | None, accept: str) -> str:
    """Return the media type for records: `format` decides, then `Accept`.

    Raises `InvalidParameter`, `NotAcceptable`.
    """
    if wanted is not None:
        if wanted not in FORMATS:
            raise InvalidParameter("format", f"There is no format {wanted[:40]!r}.", valid=list(FORMATS))
        return FORMATS[wanted]
    found = best_media_type(accept)
    if found is None:
        raise NotAcceptable("Accept one of the media types.", valid=list(FORMATS.values()))
    return found


@lru_cache(maxsize=512)
def best_media_type(accept: str) -> str | None:
    """Return the media type that an `Accept` header likes best, or None."""
    weights = _weights(accept)
    if not weights:
        return JSON
    best, best_weight = None, 0.0
    for candidate in FORMATS.values():
        weight = _weight(weights, candidate)
        if weight > best_weight:
            best, best_weight = candidate, weight
    return best


@lru_cache(maxsize=512)
def prefers_html(accept: str) -> bool:
    """Return whether an `Accept` header likes HTML better than JSON: a browser, not a program."""
    weights = _weights(accept)
    return _weight(weights, "text/html") > _weight(weights, JSON)


@lru_cache(maxsize=512)
def takes_gzip(accept_encoding: str) -> bool:
    """Return whether an `Accept-Encoding` header takes gzip, and not less gladly than identity."""
    weights = _weights(accept_encoding)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(weights: dict[str, float], candidate: str) -> float:
    exact = [weight for name, weight in weights.items() if _ALIASES.get(name, name) == candidate]
    if exact:
        return max(exact)
    family = candidate.partition("/")[0] + "/*"
    return weights.get(family, weights.get("*/*", 0.0))


def _weights(header: str) -> dict[str, float]:
    """Return the items of a header with their weight `q`; what cannot be read weighs nothing."""
    weights = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            weights[name] = _quality(parameters)
    return weights


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
