"""JSON and NDJSON come in as they are: their own tokens, each name once, nothing that JSON is not."""

from __future__ import annotations

import codecs
import json

import pytest

from service.domain.columns import ColumnType
from service.domain.errors import InvalidContent, TooLarge, TypeMismatch, UnknownColumn
from service.formats.reading import InputFormat
from tests.unit.formats.files import read

TOKENS = (
    b'{"z":1.0,"a":-0,"big":123456789012345678901234567890,"huge":1e400,"e":1E+2,"nested":{"b":[1.50,{}],"a":[]},'
    rb'"escapes":"\u00e9\/\n\ud83d\ude00","raw":"'
    + "é😀\u2028".encode()
    + rb'","":null,"t":true,"trap":"\":","long":'
    + b"9" * 5000
    + b"}"
)


def refused(data: bytes, **options: object) -> InvalidContent:
    """Return the error that a file is refused with."""
    with pytest.raises(InvalidContent) as caught:
        read(data, **options)
    return caught.value


def test_records_keep_their_own_tokens() -> None:
    """Key order, `1.0`, `1e400`, integers of any length, escapes and nested values are kept byte for byte."""
    assert read(b"[%b]" % TOKENS).records == [TOKENS]
    assert read(TOKENS + b"\n" + TOKENS).records == [TOKENS, TOKENS]


def test_only_blanks_between_tokens_go() -> None:
    """Blanks between tokens are left out, those within strings are kept."""
    found = read(b'[ { "a b" : [ 1 ,\t2 ] ,\r\n "c" : " \\t " } ]')
    assert found.records == [b'{"a b":[1,2],"c":" \\t "}']


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (b'[{"a":1}]', InputFormat.JSON),
        (b'\n\t[\n{"a":1}\n]\n', InputFormat.JSON),
        (codecs.BOM_UTF8 + b'[{"a":1}]', InputFormat.JSON),
        (b'{"data":[{"a":1}]}', InputFormat.JSON),
        (b'{\n"count": 1, "data":\n[{"a":1}]}', InputFormat.JSON),
        (b'{"a":1}', InputFormat.NDJSON),
        (codecs.BOM_UTF8 + b'\n {"a":1} \r\n\r\n', InputFormat.NDJSON),
        (b'{"a":1,"b":[1],"c":[2]}', InputFormat.NDJSON),
        (b'{"data":[{"a":1}]}\n{"a":1}', InputFormat.NDJSON),
        (b"a\n1\n", InputFormat.CSV),
    ],
)
def test_the_format_is_told_by_the_bytes(data: bytes, format_: InputFormat) -> None:
    """An array, an object that wraps one, an object per line and text are told apart."""
    found = read(data)
    assert found.reader.format is format_
    assert found.reader.count >= 1


def test_the_mark_is_named() -> None:
    """A byte order mark of UTF-8 is left out and named; JSON without one is UTF-8."""
    assert read(codecs.BOM_UTF8 + b'[{"a":1}]').reader.encoding == "utf-8-sig"
    assert read(b'[{"a":1}]').reader.encoding == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("text", ['[{"a":1}]', '{"a":1}'])
def test_json_is_utf8(encoding: str, text: str) -> None:
    """JSON in another encoding is refused as such, not taken for a CSV."""
    assert "UTF-8" in refused(text.encode(encoding)).detail


def test_a_wrapped_array_may_have_company() -> None:
    """An object that holds exactly one array gives the array's records."""
    found = read(b'{"total": 2, "meta": {"tags": ["x"]}, "rows": [{"a": 1}, {"a": 2}]}')
    assert found.records == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("data", [b'{"a":\n1}', b'{"a":[],\n"b":[]}'])
def test_an_object_without_one_array_is_no_document(data: bytes) -> None:
    """No array or two: nobody can say where the records are."""
    assert "exactly one array" in refused(data).detail


def test_a_lone_object_can_be_a_record() -> None:
    """Where one record is expected, an object is that record, arrays and all."""
    data = b'{"a":\n[{"b":1}]}'
    assert read(data, single=True).records == [b'{"a":[{"b":1}]}']
    assert read(b'{"a":[1]}', single=True).records == [b'{"a":[1]}']
    assert read(b'[{"a":1},{"a":2}]', single=True).reader.count == 2
    assert refused(b'\n{"a":1,\n"a":2}', single=True).line == 2


def test_an_empty_array_is_a_dataset_without_records() -> None:
    """`[]` has neither records nor columns."""
    found = read(b"[ ]")
    assert (found.reader.count, found.reader.columns, found.batches) == (0, (), [])
    assert read(b"[{}]").records == [b"{}"]


BAD = [
    (b'{"a":NaN}', "valid JSON"),
    (b'{"a":Infinity}', "valid JSON"),
    (b'{"a":-Infinity}', "valid JSON"),
    (b'{"a":1,}', "valid JSON"),
    (b'{"a":1}{"a":2}', "valid JSON"),
    (b'{"a":1} x', "valid JSON"),
    (b'{"a":01}', "valid JSON"),
    (b'{"a":+1}', "valid JSON"),
    (b'{"a":.5}', "valid JSON"),
    (b"{'a':1}", "valid JSON"),
    (b"{a:1}", "valid JSON"),
    (b'{"a":"\t"}', "valid JSON"),
    (b'{"a":"\\x"}', "valid JSON"),
    (b'{"a":tru}', "valid JSON"),
    (b'{"a":1 /* no */}', "valid JSON"),
    (b'{"a":"\\ud800"}', "valid JSON"),
    (b'{"a":"\\udc00\\ud800"}', "valid JSON"),
    (b'{"\\ud800x":1}', "valid JSON"),
    (b'{"a":[1,2}', "valid JSON"),
    (b'{"a":"\xff"}', "UTF-8"),
    (b'{"\xff":1}', "UTF-8"),
    (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    (b'{"a":"\xc0\x80"}', "UTF-8"),
    (b'{"a":1e400,"b":"\xff"}', "UTF-8"),
    (b'{"a":1,"a":2}', '"a" occurs twice'),
    (b'{"a":1,"\\u0061":2}', '"a" occurs twice'),
    (b'{"x":[{"a":1,"b":{"c":1,"c":1}}]}', '"c" occurs twice'),
    (b'{"a":1e400,"a":2}', '"a" occurs twice'),
    (b"[]", "this is an array"),
    (b"[[1]]", "this is an array"),
    (b'"a"', "this is a string"),
    (b"1", "this is a number"),
    (b"1e400", "this is a number"),
    (b"null", "this is null"),
    (b"true", "this is true or false"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 deep"),
    (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "more than 64 deep"),
    (b'{"a":' * 100_000, "more than 64 deep"),
]


@pytest.mark.parametrize(("record", "reason"), BAD)
def test_what_is_no_record_is_refused_with_its_line(record: bytes, reason: str) -> None:
    """Whatever RFC 8259, UTF-8 or sense forbid in a line is refused with that line."""
    error = refused(b'{"ok":1}\n\n{"ok":2}\r\n' + record + b"\n", format=InputFormat.NDJSON)
    assert reason in error.detail
    assert error.line == 4


@pytest.mark.parametrize(
    ("record", "reason"), [pair for pair in BAD if pair[1] not in {"valid JSON", "more than 64 deep"}]
)
def test_an_element_that_is_no_record_is_refused_with_its_line(record: bytes, reason: str) -> None:
    """The same holds for elements of an array, by the line on which they begin."""
    error = refused(b'[{"ok":1},\r\n{"ok":\n2}\r,' + record + b"]")
    assert reason in error.detail
    assert error.line == 4


@pytest.mark.parametrize("record", [record for record, reason in BAD if reason == "valid JSON"])
def test_a_document_that_is_no_json_is_refused(record: bytes) -> None:
    """What is wrong for a line is wrong within a document, and nothing of it is read."""
    assert "valid JSON" in refused(b'[{"ok":1},\n' + record + b"]").detail


def test_nesting_up_to_64_is_fine() -> None:
    """A record is nested 64 deep at most, objects and arrays counted alike."""
    objects = b'{"a":' * 64 + b"1" + b"}" * 64
    arrays = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert read(b"[%b,%b]" % (objects, arrays)).records == [objects, arrays]
    assert "more than 2 deep" in refused(b'[{"a":[[]]}]', max_depth=2).detail


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'[{"a":1},\n\n{"a" 2}]', 3),
        (b'[{"a":1},\n{"a":2},\n]\n', 3),
        (b'[{"a":1}\n]\n\nx', 4),
        (b'[{"a":1},\n{"a":2}\n\n', 2),
        (b'{"data":\n[{"a":1}], "x": nan}', 2),
    ],
)
def test_a_broken_document_names_the_line_where_it_breaks(data: bytes, line: int) -> None:
    """An error of syntax is placed where the parser stopped, one of a missing end on the last line."""
    error = refused(data)
    assert "valid JSON" in error.detail
    assert error.line == line


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"x":' + b"[" * 100_000])
def test_a_hostile_depth_is_refused(data: bytes) -> None:
    """A document nested without end is refused, however the records would be found."""
    assert "deep" in refused(data).detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"rows":[{"a":1}],"rows":[{"a":2}]}', '"rows" occurs twice'),
        (b'{"rows":1,"rows":[{"a":2}]}', '"rows" occurs twice'),
        (b'{"x":{"b":1,"b":2},"rows":[]}', '"b" occurs twice'),
        (b'{"\xff":1,"rows":[]}', "UTF-8"),
        (b'{"x":"\xff","rows":[]}', "UTF-8"),
        (b'{"x":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b',"rows":[]}', "deep"),
    ],
)
def test_what_stands_around_a_wrapped_array_is_judged_too(data: bytes, reason: str) -> None:
    """No name of the wrapper occurs twice, and its other members are JSON as strict as a record."""
    assert reason in refused(data).detail


@pytest.mark.parametrize("data", [b'"a"', b"1", b"null"])
def test_a_document_is_an_array_or_an_object(data: bytes) -> None:
    """A scalar is no document of records."""
    assert "array of records" in refused(data, format=InputFormat.JSON).detail


def test_pointers_lead_into_what_was_sent() -> None:
    """A pointer names array, element and member by RFC 6901; in NDJSON it begins at the line's record."""
    types = {"a/b~c": ColumnType.INTEGER}
    for data, pointer in [
        (b'[{"a/b~c":1},{"a/b~c":"x"}]', "/1/a~1b~0c"),
        (b'{"x/":[{"a/b~c":1},{"a/b~c":"x"}]}', "/x~1/1/a~1b~0c"),
        (b'{"a/b~c":1}\n{"a/b~c":"x"}', "/a~1b~0c"),
    ]:
        with pytest.raises(TypeMismatch) as caught:
            read(data, types=types)
        assert caught.value.pointer == pointer


def test_the_first_error_of_a_file_is_the_one_reported() -> None:
    """Whatever kinds of error a file has, the one that comes first is told."""
    data = b'{"id":1}\n{"id":null}\n{"id":x}\n{"id":"s"}\n'
    assert refused(data, key="id", types={"id": ColumnType.INTEGER}).line == 2


def test_a_document_over_its_limit_is_too_large() -> None:
    """A JSON document is held in memory and so has a limit; NDJSON has none."""
    with pytest.raises(TooLarge, match="NDJSON"):
        read(b'[{"a":1}]', max_json_bytes=8)
    assert read(b'{"a":1}\n' * 100, max_json_bytes=8).reader.count == 100


def test_a_line_over_its_limit_is_refused_behind_the_errors_before_it() -> None:
    """A line too long to be held is refused with its number, unless an earlier line is wrong."""
    long = b'{"a":"' + b"x" * 2000 + b'"}\n'
    assert refused(b'{"a":1}\n' + long, max_record_bytes=1000, format=InputFormat.NDJSON).line == 2
    assert refused(b"{}\n[]\n" + long, max_record_bytes=1000, format=InputFormat.NDJSON).line == 2
    assert (
        refused(b"{}\n[]\n" + long, max_record_bytes=1000, format=InputFormat.NDJSON, skip_errors=True).line
        == 3
    )


def test_a_value_over_its_limit_is_refused() -> None:
    """No value has more bytes than a field may have."""
    assert read(b'[{"a":"12","b":"34"}]', max_field_bytes=4).reader.count == 1
    error = refused(b'[{"a":1,"b":"345"}]', max_field_bytes=4)
    assert error.pointer == "/0/b"


def test_columns_come_in_the_order_in_which_they_are_seen() -> None:
    """Columns are those of all records, in the order of the first record that had each."""
    found = read(b'[{"b":1},{"a":null,"b":2.5},{"c":[1],"b":3}]')
    assert found.types == {"b": "number", "a": "empty", "c": "json"}
    assert not any(column.textual for column in found.reader.columns)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ("null", "empty"),
        ("1, -2, null", "integer"),
        ("1, 1e400", "number"),
        ("1.0", "number"),
        ("9" * 5000, "integer"),
        ("true, false", "boolean"),
        ('"2024-02-29", null', "date"),
        ('"2024-02-29T00:00:00Z"', "timestamp"),
        ('"2024-02-29", "2023-02-29"', "string"),
        ('"2024-02-29", ""', "string"),
        ('"1"', "string"),
        ('"", "x"', "string"),
        ('1, "1"', "json"),
        ("1, true", "json"),
        ("[], 1", "json"),
        ('{"a": 1}', "json"),
        ('"2024-02-29", "x", 1', "json"),
    ],
)
def test_a_type_holds_all_values_of_the_column(values: str, type_: str) -> None:
    """JSON's own types decide, strings are strings or dates, and mixed values are `json`."""
    records = ",".join(f'{{"a": {value}}}' for value in values.split(", "))
    assert read(f"[{records}]".encode()).types == {"a": type_}


def test_a_type_can_be_demanded() -> None:
    """Each value must fit a type that is given, and a string of digits is no number of JSON's."""
    data = b'[{"a":1},{"a":null},{}]'
    assert read(data, types={"a": ColumnType.NUMBER}).types == {"a": "number"}
    assert read(data, types={"a": ColumnType.EMPTY}).types == {"a": "integer"}
    with pytest.raises(TypeMismatch, match=r'"5" does not fit the column "a" of type integer'):
        read(b'[{"a":"5"}]', types={"a": ColumnType.INTEGER})
    with pytest.raises(TypeMismatch, match="type number"):
        read(b'[{"a":5.5}]', types={"a": ColumnType.STRING})


def test_a_type_of_a_column_that_never_came_is_refused() -> None:
    """A type for a column that no record has is the parameter's error."""
    with pytest.raises(UnknownColumn) as caught:
        read(b'[{"a":1}]', types={"b": ColumnType.INTEGER})
    assert caught.value.members == {"parameter": "type.b", "valid": ["a"]}


def test_a_key_is_text_or_token() -> None:
    """A key value is a string's text or the token of another scalar."""
    data = b'[{"k":"a\\u0062"},{"k":7},{"k":1.50},{"k":-0},{"k":true},{"k":12345678901234567890123}]'
    assert read(data, key="k").keys == ["ab", "7", "1.50", "-0", "true", "12345678901234567890123"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{}", "no value"),
        ('{"k":null}', "no value"),
        ('{"k":""}', "no value"),
        ('{"k":[1]}', "string, number or boolean"),
        ('{"k":{}}', "string, number or boolean"),
        ('{"k":"a\\u0000"}', "NUL"),
        (f'{{"k":"{"k" * 1025}"}}', "1024 bytes"),
    ],
)
def test_each_record_needs_a_key_value(record: str, reason: str) -> None:
    """A record without a value that can be a key is refused."""
    error = refused(f'{{"k":1}}\n{record}'.encode(), key="k")
    assert reason in error.detail
    assert (error.line, error.pointer) == (2, "/k")


def test_bad_records_can_be_skipped() -> None:
    """Records that are wrong are left out and counted, and neither add columns nor widen them."""
    data = b'{"a":1}\n[]\n{"a":"x","b":1}\n{"a":2,"a":3}\n{"c":1,"d":2}\n{"a":2}\n'
    found = read(data, types={"a": ColumnType.INTEGER}, key="a", skip_errors=True)
    assert found.records == [b'{"a":1}', b'{"a":2}']
    assert found.keys == ["1", "2"]
    assert [line for line, _ in found.rejects] == [2, 3, 4, 5]
    assert found.types == {"a": "integer"}
    assert found.reader.rejected == 4


def test_elements_can_be_skipped_with_their_lines() -> None:
    """In an array too the rejects have the lines on which they begin, far into the file."""
    good, bad = b'{"a":\n1},\n', b'{"a":1,"a":1},\n'
    found = read(b"[" + (good * 700 + bad) * 3 + b'{"a":1}]', skip_errors=True)
    assert [line for line, _ in found.rejects] == [1401, 2802, 4203]
    assert found.reader.count == 2101


def test_too_many_columns_are_refused() -> None:
    """The record that would bring a column too many is refused."""
    error = refused(b'{"a":1}\n{"b":1}\n{"c":1}\n', max_columns=2)
    assert "2 columns" in error.detail
    assert error.line == 3


@pytest.mark.parametrize("format_", [InputFormat.JSON, InputFormat.NDJSON])
def test_records_come_in_batches_with_progress(format_: InputFormat) -> None:
    """Batches stay below 1 MiB, a larger record is one of its own, and all bytes are read at the end."""
    documents = [{"id": i, "text": "x" * 90} for i in range(30_000)]
    documents[1000]["text"] = "y" * (2 << 20)
    lines = [json.dumps(document).encode() for document in documents]
    data = b"[" + b",\n".join(lines) + b"]" if format_ is InputFormat.JSON else b"\n".join(lines)
    found = read(data, key="id")
    assert found.documents == documents
    assert found.keys == [str(i) for i in range(30_000)]
    sizes = [sum(map(len, batch.records)) for batch in found.batches]
    assert sum(size > 1 << 20 for size in sizes) == 1
    assert found.reader.bytes_read == len(data)
