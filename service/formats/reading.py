"""Reading a file: whatever its format, records come out canonical, judged, and in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from service.domain.columns import Column
from service.domain.records import BATCH_BYTES, BATCH_RECORDS, Batch
from service.formats.csv_source import CsvSource
from service.formats.delimited import choose_delimiter
from service.formats.documents import json_encoding
from service.formats.fitting import Profile, Widened
from service.formats.json_source import JsonSource
from service.formats.options import InputFormat, ReadOptions, Reject, Rejects
from service.formats.sniffing import format_of
from service.formats.text import encoding_of

__all__ = ["InputFormat", "ReadOptions", "Reader", "Reject", "open_reader"]


class Source(Protocol):
    """Yields the records of a file, a few at a time."""

    encoding: str
    bytes_read: int

    @property
    def delimiter(self) -> str | None:
        """The delimiter, of a CSV."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield the records."""
        ...


class Reader:
    """Yields a file's records, once; what it found on the way is final when they are all out.

    Iterating raises `InvalidContent` or `TypeMismatch` with the line of the first record that cannot be
    read or does not fit (unless those are skipped), `UnknownColumn` where `key` or `types` name no column,
    `TooLarge` for a JSON document over its limit.
    """

    def __init__(self, format_: InputFormat, source: Source, profile: Profile, rejects: Rejects) -> None:
        self.format = format_
        self.count = 0
        self._source = source
        self._profile = profile
        self._rejects = rejects

    def __iter__(self) -> Iterator[Batch]:
        pending = _Pending()
        for batch in self._source.batches():
            if pending.is_full_with(batch):
                yield pending.batch()
                pending = _Pending()
            pending.add(batch)
            self.count += len(batch.records)
        if pending.records:
            yield pending.batch()

    @property
    def encoding(self) -> str:
        """The text's encoding: `utf-8`, `utf-8-sig`, `utf-16`, `utf-32` (by their marks) or `cp1252`."""
        return self._source.encoding

    @property
    def delimiter(self) -> str | None:
        """A CSV's delimiter, given or chosen."""
        return self._source.delimiter

    @property
    def bytes_read(self) -> int:
        """How much of the file was read, for progress."""
        return self._source.bytes_read

    @property
    def rejected(self) -> int:
        """How many records were skipped."""
        return self._rejects.count

    @property
    def rejects(self) -> Sequence[Reject]:
        """The first hundred records that were skipped."""
        return self._rejects.first

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: those of the dataset that is appended to, as they are now, and new ones behind."""
        return self._profile.columns

    @property
    def widened(self) -> tuple[Widened, ...]:
        """What an append has changed of the dataset's columns, and added."""
        return self._profile.widened


class _Pending:
    """Records gathered until they make a batch worth a round trip to a store."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self._keys: list[str] = []
        self._keyed = False
        self._size_bytes = 0

    def is_full_with(self, batch: Batch) -> bool:
        """Whether the batch would make this too large."""
        size_bytes = sum(map(len, batch.records))
        records = len(self.records) + len(batch.records)
        return bool(self.records) and (self._size_bytes + size_bytes > BATCH_BYTES or records > BATCH_RECORDS)

    def add(self, batch: Batch) -> None:
        """Put a batch behind what is there."""
        self.records.extend(batch.records)
        self._size_bytes += sum(map(len, batch.records))
        if batch.keys is not None:
            self._keyed = True
            self._keys.extend(batch.keys)

    def batch(self) -> Batch:
        """Return it all as one batch."""
        return Batch(self.records, self._keys if self._keyed else None)


def open_reader(path: Path, options: ReadOptions) -> Reader:
    """Return a reader of a file.

    Looks at the whole of a CSV to know its encoding. Raises `InvalidContent` where the file is empty or is
    no text, `InvalidParameter` where the options contradict the dataset's columns.
    """
    sniffed = format_of(path, options.max_record_bytes)
    format_ = options.format or sniffed
    profile = Profile(
        expected=options.expected if options.appending else (),
        types=options.types,
        widen=options.widen,
        max_columns=options.max_columns,
    )
    rejects = Rejects(skip=options.skip_errors)
    source: Source
    if format_ is InputFormat.CSV:
        encoding = encoding_of(path)
        delimiter = options.delimiter or choose_delimiter(path, encoding)
        source = CsvSource(path, encoding, delimiter, options, profile, rejects)
    else:
        source = JsonSource(path, format_, json_encoding(path), options, profile, rejects)
    return Reader(format_, source, profile, rejects)
