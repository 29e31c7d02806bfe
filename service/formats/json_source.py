"""JSON and NDJSON become canonical records: their own bytes, without the blanks between tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from service.domain.errors import AeroliteError, InvalidContent
from service.domain.records import Batch
from service.formats.documents import Pieces, document_pieces, line_pieces
from service.formats.fitting import Profile
from service.formats.keys import key_of_record
from service.formats.kinds import Values
from service.formats.options import InputFormat, ReadOptions, Rejects
from service.formats.strict import parse_record

Members: TypeAlias = dict[str, Any]
Errors: TypeAlias = dict[int, AeroliteError]


class JsonSource:
    """The records of a JSON or NDJSON file."""

    delimiter = None

    def __init__(
        self,
        path: Path,
        format_: InputFormat,
        encoding: str,
        options: ReadOptions,
        profile: Profile,
        rejects: Rejects,
    ) -> None:
        self.encoding = encoding
        self.bytes_read = 0
        self._path = path
        self._format = format_
        self._options = options
        self._profile = profile
        self._rejects = rejects

    def batches(self) -> Iterator[Batch]:
        """Yield records, some at a time. Raises what `Reader` does."""
        for pieces in self._pieces():
            self.bytes_read = pieces.bytes_read
            yield self._batch(pieces)
        self._profile.check_types()

    def _pieces(self) -> Iterator[Pieces]:
        if self._format is InputFormat.NDJSON:
            return line_pieces(self._path, self._options.max_record_bytes)
        return document_pieces(self._path, self._options.max_json_bytes, single=self._options.single)

    def _batch(self, pieces: Pieces) -> Batch:
        """Turn pieces into records, but for those with errors, which are settled."""
        errors: Errors = {}
        records, members = self._parsed(pieces, errors)
        columns = _columns(members)
        self._judge(columns, members, errors)
        keys = self._keys(records, members, errors)
        self._admit(members, errors)
        if errors:
            self._rejects.settle(errors, pieces.place)
            records = {index: record for index, record in records.items() if index not in errors}
            members = {index: values for index, values in members.items() if index not in errors}
            columns = _columns(members)
        for name, values in columns.items():
            self._profile.observe(name, Values(values))
        return Batch(list(records.values()), None if keys is None else [keys[index] for index in records])

    def _parsed(self, pieces: Pieces, errors: Errors) -> tuple[dict[int, bytes], dict[int, Members]]:
        records, members = {}, {}
        max_depth, max_field_bytes = self._options.max_depth, self._options.max_field_bytes
        for index, raw in enumerate(pieces.raws):
            try:
                records[index], members[index] = parse_record(
                    bytes(raw), max_depth=max_depth, max_field_bytes=max_field_bytes
                )
            except InvalidContent as error:
                errors[index] = error
        return records, members

    def _judge(
        self, columns: Mapping[str, Sequence[object]], members: Mapping[int, Members], errors: Errors
    ) -> None:
        """Note errors for values that do not fit their columns."""
        for name in self._profile.fixed.intersection(columns):
            misfits = self._profile.misfits(name, Values(columns[name]))
            if misfits:
                having = [index for index, values in members.items() if name in values]
                for at, error in misfits.items():
                    errors.setdefault(having[at], error)

    def _keys(
        self, records: Mapping[int, bytes], members: Mapping[int, Members], errors: Errors
    ) -> dict[int, str] | None:
        """Return the key values, if there is a key; note errors for records without one."""
        key = self._options.key
        if key is None:
            return None
        keys = {}
        for index, values in members.items():
            try:
                keys[index] = key_of_record(key, records[index], values)
            except InvalidContent as error:
                errors.setdefault(index, error)
        return keys

    def _admit(self, members: Mapping[int, Members], errors: Errors) -> None:
        """Add the columns that records without errors bring; note errors where they may not."""
        for index, values in members.items():
            if index in errors or self._profile.knows(values.keys()):
                continue
            try:
                for name in values:
                    self._profile.admit(name, textual=False)
            except AeroliteError as error:
                errors[index] = error


def _columns(members: Mapping[int, Members]) -> dict[str, list[object]]:
    """Return the values by column, of the records that have it."""
    rows = list(members.values())
    names = rows[0].keys() if rows else ()
    if all(row.keys() == names for row in rows):
        return {name: list(map(itemgetter(name), rows)) for name in names}
    columns: defaultdict[str, list[object]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            columns[name].append(value)
    return columns
