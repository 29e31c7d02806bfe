"""Whatever the bytes, a reader reads them or says what is wrong; what it reads is what was sent."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType
from service.domain.errors import AeroliteError, InvalidContent
from service.formats.delimited import DELIMITERS
from service.formats.fitting import canonical
from service.formats.reading import InputFormat
from service.formats.shape import compile_shape
from tests.unit.formats.files import Read, read

columns = st.builds(Column, st.sampled_from(["a", "b", "c"]), st.sampled_from(ColumnType), st.booleans())
options = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(InputFormat),
        "delimiter": st.sampled_from(",;\t|a "),
        "key": st.sampled_from(["a", ""]),
        "types": st.dictionaries(st.sampled_from("ab"), st.sampled_from(ColumnType), max_size=2),
        "expected": st.lists(columns, max_size=3, unique_by=lambda column: column.name).map(tuple),
        "appending": st.booleans(),
        "widen": st.booleans(),
        "skip_errors": st.booleans(),
        "single": st.booleans(),
        "max_columns": st.integers(1, 3),
        "max_field_bytes": st.integers(1, 8),
        "max_depth": st.integers(1, 3),
    },
)
SCALARS = rb"a b 1 -0.5e9 true null NaN 2024-02-29 1e999 \ud800 \u0061 \"".split()
PUNCTUATION = [bytes([byte]) for byte in b',;:"[]{}\n\r\t \0\xff\x81']
MARKS = [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE, "é".encode(), b"\xed\xa0\x80"]
WHOLES = [
    b'{"a":1}',
    b'{"a":"x","b":[{"c":""}]}',
    b'[{"a":1},{"a":2}]',
    b"a,b\n1,2\n",
    b"9" * 5000,
    b"[" * 2000,
]
fragments = st.sampled_from([*SCALARS, *PUNCTUATION, *MARKS, *WHOLES])
files = st.binary(max_size=60) | st.lists(fragments, max_size=25).map(b"".join)


@given(files, options)
@example(b'{"a":1}\n' + b'{"a":' * 5000, {})
@example(b"a\n" + b'"' * 3, {"skip_errors": True})
def test_any_bytes_are_read_or_refused(data: bytes, chosen: dict[str, Any]) -> None:
    """Any file under any options gives records or an error of ours, never another exception."""
    try:
        found = read(data, **chosen)
    except AeroliteError:
        return
    assert len(found.records) == found.reader.count
    assert found.reader.rejected >= len(found.rejects)
    names = {column.name for column in found.reader.columns}
    for record, document in zip(found.records, found.documents, strict=True):
        assert canonical(record) == record
        assert document.keys() <= names
    if chosen.get("key") is not None:
        assert len(found.keys) == len(found.records)
    assert_types_hold(found)


def assert_types_hold(found: Read) -> None:
    """Typed records are JSON, and their values are of the types that their columns have."""
    shape = compile_shape(found.reader.columns, typed=True)
    records = found.records if shape is None else shape(found.records)
    for record in records:
        for name, value in json.loads(record, parse_float=float, parse_int=lambda _: 0).items():
            assert value is None or isinstance(value, PYTHON_TYPES[found.types[name]])


PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "empty": type(None),
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "date": str,
    "timestamp": str,
    "string": str,
    "json": (str, int, float, bool, list, dict),
}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
cells = texts | st.sampled_from(["", " ", "\r\n", "\n", "\r", '"', '""', ",", "a;b|c\td,e", "\ufeff", "=1"])
tables = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(cells.filter(bool), min_size=width, max_size=width, unique=True),
        st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6),
    )
)


@given(
    table=tables,
    delimiter=st.sampled_from(DELIMITERS),
    line_ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=7, max_size=7),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]),
    last_end=st.booleans(),
)
def test_a_table_survives_any_dialect(
    table: tuple[list[str], list[list[str]]],
    delimiter: str,
    line_ends: Sequence[str],
    quoting: Any,
    encoding: str,
    last_end: bool,
) -> None:
    """A table written with any delimiter, quoting, line ends and encoding is read as the same cells."""
    header, rows = table
    assume(not header[0].startswith("\ufeff"))
    lines = []
    for row in [header, *rows]:
        line = io.StringIO()
        csv.writer(line, delimiter=delimiter, quoting=quoting).writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n"))
    ends = [*line_ends[: len(rows)], line_ends[-1] if last_end else ""]
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    assume(text.strip(" \t\r\n"))
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    found = read(data, delimiter=delimiter, format=InputFormat.CSV)
    expected = [dict(zip(header, row, strict=True)) for row in rows]
    if encoding == "cp1252" and not data.isascii():
        assume(found.reader.encoding == "cp1252")
    assert found.documents == expected
    assert [list(document) for document in found.documents] == [header] * len(rows)


plain = st.text(st.sampled_from("abcXYZ019 .é"), min_size=1, max_size=5)


@given(
    st.integers(2, 4).flatmap(
        lambda n: st.lists(st.lists(plain, min_size=n, max_size=n), min_size=1, max_size=5)
    )
)
def test_the_delimiter_of_a_plain_table_is_found(table: list[list[str]]) -> None:
    """Where no cell holds a delimiter, the one between them is found, and the rows are the same under each."""
    assume(len(set(table[0])) == len(table[0]))
    for delimiter in DELIMITERS:
        found = read("\n".join(map(delimiter.join, table)).encode(), format=InputFormat.CSV)
        assert found.reader.delimiter == delimiter
        assert [list(document.values()) for document in found.documents] == table[1:]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
documents = st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), min_size=1, max_size=5)


@given(documents, st.booleans(), st.sampled_from([None, 2]))
def test_json_keeps_each_token(records: list[dict[str, Any]], ascii_only: bool, indent: int | None) -> None:
    """However JSON is spaced and escaped, the records are the same tokens without the blanks."""
    compact = [json.dumps(r, ensure_ascii=ascii_only, separators=(",", ":")).encode() for r in records]
    spaced = json.dumps(records, ensure_ascii=ascii_only, indent=indent).encode()
    wrapped = b' {"n": 1, "rows": ' + spaced + b"}\n"
    lines = b"\r\n".join(json.dumps(record, ensure_ascii=ascii_only).encode() for record in records)
    assert read(spaced).records == compact
    assert read(wrapped).records == compact
    assert read(lines, format=InputFormat.NDJSON).records == compact


def _judged(text: str) -> bool:
    """Whether Python's parser, with all that it is lax about made strict, takes a record."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, AssertionError):
        return False
    return isinstance(value, dict)


ESCAPES = [r'"\u0061"', r'"\ud83d\ude00"', r'"\ud83d"', r'"\""', '"é"', '"x', '"":']
pieces = st.sampled_from(
    [*':,{}[]10- \\\t"', *ESCAPES, '"a"', '"b"', ".5", "e9", "true", "null", "NaN", '{"a":1}']
)


@given(
    st.lists(pieces, max_size=12).map("".join)
    | st.lists(pieces, max_size=8).map(lambda p: "{" + "".join(p) + "}")
)
def test_json_is_judged_as_another_strict_parser_does(text: str) -> None:
    """A text is a record exactly if a second implementation, made as strict, says so."""
    try:
        record = canonical(text.encode())
    except InvalidContent:
        assert not _judged(text)
    else:
        assert _judged(text)
        assert json.loads(record) == json.loads(text)
