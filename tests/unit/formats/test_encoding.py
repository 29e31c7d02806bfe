"""Records go out as JSON, NDJSON and CSV, and come in again as what they were."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.formats.encoding import CsvOut, Encoder, JsonArray, Ndjson
from service.formats.reading import InputFormat
from tests.unit.formats.files import read

RECORDS = [b'{"a":1}', b'{"a":"x"}', b"{}"]


def encoded(encoder: Encoder, *chunks: Sequence[bytes]) -> bytes:
    """Return a whole body."""
    body = encoder.prologue()
    for at, records in enumerate(chunks):
        body += encoder.chunk(records, at == 0)
    return body + encoder.epilogue()


def table(body: bytes) -> list[list[str]]:
    """Return the cells of a CSV by another implementation."""
    return list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


def test_a_json_array_holds_the_records_however_they_are_cut() -> None:
    """Chunks are joined by commas, the records' own bytes are untouched."""
    assert encoded(JsonArray()) == b"[]"
    assert encoded(JsonArray(), []) == b"[]"
    for cut in range(1, 3):
        assert encoded(JsonArray(), RECORDS[:cut], RECORDS[cut:]) == b'[{"a":1},{"a":"x"},{}]'
    assert encoded(JsonArray(), RECORDS[:1], []) == b'[{"a":1}]'


def test_ndjson_is_a_line_per_record() -> None:
    """Each record is a line with its end; none are no byte."""
    assert encoded(Ndjson(), RECORDS[:1], RECORDS[1:]) == b'{"a":1}\n{"a":"x"}\n{}\n'
    assert encoded(Ndjson(), []) == b""


def test_encoders_name_their_format() -> None:
    """Each format has a media type and a file extension."""
    found = {
        (encoder.media_type.split(";")[0], encoder.extension)
        for encoder in (JsonArray(), Ndjson(), CsvOut([]))
    }
    assert found == {("application/json", "json"), ("application/x-ndjson", "ndjson"), ("text/csv", "csv")}


@pytest.mark.parametrize(
    ("token", "field"),
    [
        (b'"text"', b"text"),
        (b'""', b""),
        (b"null", b""),
        (b'"null"', b"null"),
        (b"50.775000", b"50.775000"),
        (b"true", b"true"),
        (b'"a,b"', b'"a,b"'),
        (rb'"say \"hi\""', b'"say ""hi"""'),
        (rb'"a\nb"', b'"a\nb"'),
        (rb'"a\rb"', b'"a\rb"'),
        (rb'"a\\b"', rb"a\b"),
        (rb'"\u00e9"', "é".encode()),
        ('"é[x]"'.encode(), "é[x]".encode()),
        (b'" "', b" "),
        (b'"=1+1"', b"=1+1"),
        (b"[1,2]", b'"[1,2]"'),
        (b"[1]", b"[1]"),
        (b'{"x":"y"}', b'"{""x"":""y""}"'),
    ],
)
def test_a_value_is_a_field(token: bytes, field: bytes) -> None:
    """Strings are their text, numbers their token, null is empty, nested values JSON; quotes where needed."""
    assert CsvOut(["a", "b"]).chunk([b'{"a":%b,"b":"z"}' % token] * 2, True) == (field + b",z\r\n") * 2


def test_a_csv_has_a_header_and_lines_that_end_in_crlf() -> None:
    """Names are quoted where needed, absent values are empty, members without a column are left out."""
    body = encoded(CsvOut(["mass (g)", 'a,"b"', "é"]), [b'{"\\u00e9":1,"x":2}'], [b'{"mass (g)":"3"}'])
    assert body == 'mass (g),"a,""b""",é\r\n,,1\r\n3,,\r\n'.encode()


def test_without_columns_a_csv_is_empty() -> None:
    """A dataset that has no columns gives no line."""
    assert encoded(CsvOut([]), [b"{}"]) == b""


def test_an_empty_value_in_a_single_column_is_a_line() -> None:
    """In a file of one column an empty value is written so that it does not vanish."""
    body = encoded(CsvOut(["a"]), [b'{"a":""}', b'{"a":"x"}', b"{}"])
    assert body == b'a\r\n""\r\nx\r\n""\r\n'
    assert read(body).documents == [{"a": ""}, {"a": "x"}, {"a": ""}]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(texts.filter(bool), min_size=1, max_size=4, unique=True), st.data())
def test_what_goes_out_as_csv_comes_in_again(names: Sequence[str], data: st.DataObject) -> None:
    """A CSV that was loaded and written is the same records when it is loaded again."""
    row = st.fixed_dictionaries(dict.fromkeys(names, texts))
    documents = data.draw(st.lists(row, max_size=300))
    body = encoded(CsvOut(names), [json.dumps(document).encode() for document in documents])
    assert table(body) == [list(names), *([document[name] for name in names] for document in documents)]
    assert read(body, delimiter=",", format=InputFormat.CSV).documents == documents


values = st.none() | st.booleans() | st.integers() | texts | st.lists(st.integers(), max_size=2)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), values), max_size=6))
def test_any_records_make_a_csv(documents: Sequence[dict[str, Any]]) -> None:
    """Whatever the values are, the CSV has a field for each, and JSON where it is not text."""
    body = encoded(CsvOut(["a", "b"]), [json.dumps(d, separators=(",", ":")).encode() for d in documents])

    def field(value: Any) -> str:
        return (
            value
            if isinstance(value, str)
            else ""
            if value is None
            else json.dumps(value, separators=(",", ":"))
        )

    assert table(body)[1:] == [[field(d.get("a")), field(d.get("b"))] for d in documents]


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), values), min_size=1, max_size=6))
def test_json_goes_out_and_in_unchanged(documents: Sequence[dict[str, Any]]) -> None:
    """Records that go out as JSON or NDJSON come in as the same bytes."""
    records = [json.dumps(document, separators=(",", ":")).encode() for document in documents]
    assert read(encoded(JsonArray(), records)).records == records
    assert read(encoded(Ndjson(), records), format=InputFormat.NDJSON).records == records
