"""Records on their way: canonical JSON objects as bytes, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BATCH_BYTES = 1 << 20
BATCH_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records in order, with their key values where the dataset has a key (else `keys` is None).

    At most about `BATCH_BYTES` or `BATCH_RECORDS`; a single larger record is a batch of its own. `positions`
    are where a restored dataset's records stand, ascending; all others get theirs from the store.
    """

    records: Sequence[bytes]
    keys: Sequence[str] | None = None
    positions: Sequence[int] | None = None
