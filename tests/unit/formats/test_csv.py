"""CSV comes in whole: no guess loses a header, a row, a column, a newline or a character."""

from __future__ import annotations

import codecs

import pytest

from service.domain.columns import ColumnType
from service.domain.errors import InvalidContent, InvalidParameter, UnknownColumn
from service.formats.reading import InputFormat, ReadOptions
from tests.unit.formats.files import read


def refused(data: bytes, **options: object) -> InvalidContent:
    """Return the error that a file is refused with."""
    with pytest.raises(InvalidContent) as caught:
        read(data, **options)
    return caught.value


def test_a_record_is_an_object_of_strings_in_the_order_of_the_header() -> None:
    """Cells stay the text they are, compact, under the header's names in its order."""
    found = read("name,id,mass (g)\nAachen,01,21.50\nÅarhus,,\n".encode())
    assert found.records == [
        b'{"name":"Aachen","id":"01","mass (g)":"21.50"}',
        '{"name":"Åarhus","id":"","mass (g)":""}'.encode(),
    ]
    assert (found.reader.format, found.reader.count) == (InputFormat.CSV, 2)


def test_names_that_json_escapes_are_escaped() -> None:
    """A header with quotes, backslashes or newlines in its names gives the same names in JSON."""
    found = read(b'"a ""b""","c\\d","e\nf"\n1,2,3\n')
    assert found.documents == [{'a "b"': "1", "c\\d": "2", "e\nf": "3"}]


@pytest.mark.parametrize(
    ("mark", "encoding", "name"),
    [
        (b"", "utf-8", "utf-8"),
        (b"", "cp1252", "cp1252"),
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    ],
)
def test_text_is_decoded_by_its_mark_or_else_strictly(mark: bytes, encoding: str, name: str) -> None:
    """A byte order mark names the encoding; without one it is UTF-8, and cp1252 only if it is not that."""
    found = read(mark + "städte,€\nKöln,“5”\n".encode(encoding))
    assert found.documents == [{"städte": "Köln", "€": "“5”"}]
    assert found.reader.encoding == name


def test_one_stray_byte_at_the_very_end_decides_for_the_whole_file() -> None:
    """A file is decoded in one encoding, found by looking at all of it before the first record is made."""
    found = read(b"a\n" + "é\n".encode() * 300_000 + b"\xe9\n")
    assert found.reader.encoding == "cp1252"
    assert {found.records[0], found.records[-1]} == {'{"a":"Ã©"}'.encode(), '{"a":"é"}'.encode()}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a\r\nb\r\n\x81\r\n", 3),
        (codecs.BOM_UTF8 + b"a\nb\nc\xff\n", 3),
        (codecs.BOM_UTF16_LE + "a\nb\n".encode("utf-16-le") + b"\x00\xd8a\x00", 3),
        (codecs.BOM_UTF16_LE + "a\nb\n".encode("utf-16-le") + b"x", 3),
    ],
)
def test_what_no_encoding_decodes_is_refused_with_its_line(data: bytes, line: int) -> None:
    """Bytes that neither the mark's encoding nor UTF-8 and cp1252 know are an error with the line."""
    assert refused(data).line == line


def test_binary_files_are_refused() -> None:
    """A NUL says that a file is no text, or UTF-16 without its mark, and on which line."""
    assert refused(b"a,b\n1,2\n3,\0\n").line == 3
    assert "UTF-16" in refused("a,b\n1,2\n".encode("utf-16-le")).detail


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_record(end: str) -> None:
    """CRLF, LF and CR all end records."""
    assert read(end.join(["a,b", "1,2", "3,4"]).encode()).documents == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_line_ends_may_be_mixed_and_stay_within_quotes() -> None:
    """Records end in different ways within a file, and newlines inside quotes are kept as they are."""
    found = read(b'a,b\r\n1,"x\r\ny"\n2,"x\ry"\r3,"x\n\ny"')
    assert [record["b"] for record in found.documents] == ["x\r\ny", "x\ry", "x\n\ny"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_chosen(delimiter: str) -> None:
    """The delimiter that splits header and rows alike is found, whatever else stands in the cells."""
    rows = [["id", "name", "note"], ["1", "a;b,c|d\te", "x"], ["2", 'say "hi"', "y;y;y"]]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in rows]
    found = read("\n".join(map(delimiter.join, quoted)).encode())
    assert found.reader.delimiter == delimiter
    assert [list(record.values()) for record in found.documents] == rows[1:]


def test_decimal_commas_do_not_hide_the_semicolon() -> None:
    """A file of semicolons with commas in its numbers is one of semicolons."""
    found = read(b"id;price\n1;2,50\n2;3,75\n")
    assert found.documents[0] == {"id": "1", "price": "2,50"}


def test_commas_in_the_header_only_do_not_win_over_what_splits_all_rows() -> None:
    """The delimiter that gives all rows as many fields as the header wins over one that gives it more."""
    found = read(b"a,b,c,d;e\n1;2\n3;4\n")
    assert found.documents[0] == {"a,b,c,d": "1", "e": "2"}


def test_a_ragged_file_is_no_file_of_one_column() -> None:
    """Where a delimiter splits the header, a row that it does not split is an error, not a way out."""
    assert refused(b"a,b\n1\n2,3\n").line == 2


def test_a_delimiter_can_be_named() -> None:
    """Any ASCII character can be said to be the delimiter, and then no other is looked for."""
    assert read(b"a~b,c\n1~2,3\n", delimiter="~").documents == [{"a": "1", "b,c": "2,3"}]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "\0", "é"])
def test_what_cannot_be_a_delimiter_is_refused(delimiter: str) -> None:
    """A quote, a line end, several characters or a character beyond ASCII cannot be the delimiter."""
    with pytest.raises(InvalidParameter, match="ASCII"):
        ReadOptions(delimiter=delimiter)


def test_a_long_file_is_judged_by_its_begin() -> None:
    """A sample cut off within a row does not keep the delimiter from being found."""
    found = read(b"a;b\n" + (b"x" * 400_000 + b";" + b"y" * 400_000 + b"\n") * 3)
    assert found.reader.delimiter == ";"
    assert found.reader.count == 3


def test_one_column_needs_no_delimiter() -> None:
    """A file of one column loads, empty values as empty lines or as empty quotes."""
    found = read(b'a\nx\n\n""\ny\n')
    assert found.documents == [{"a": "x"}, {"a": ""}, {"a": ""}, {"a": "y"}]


def test_the_first_line_is_the_header_whatever_it_looks_like() -> None:
    """A header of numbers is a header, and so is one whose names begin with a number sign."""
    assert read(b"1,2\n3,4\n").documents == [{"1": "3", "2": "4"}]
    assert read(b"#a,b\n#1,2\n").documents == [{"#a": "#1", "b": "2"}]


def test_a_header_alone_is_a_dataset_without_records() -> None:
    """A file of just a header has its columns and no record."""
    found = read(b"a,b")
    assert found.types == {"a": "empty", "b": "empty"}
    assert (found.reader.count, found.batches) == (0, [])


@pytest.mark.parametrize("data", [b"", b" \r\n\t\n", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b"\n" * 100_000])
@pytest.mark.parametrize("format_", [None, *InputFormat])
def test_an_empty_file_is_refused(data: bytes, format_: InputFormat | None) -> None:
    """Nothing, or nothing but blanks, is no file of any format."""
    assert "empty" in refused(data, format=format_).detail


def test_blanks_around_cells_stay() -> None:
    """Neither cells nor names are trimmed."""
    assert read(b" a,b \n x , y\n").documents == [{" a": " x ", "b ": " y"}]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"a,b,a", '"a" twice'),
        (b"a,,c", "Column 2 has no name"),
        (b"a,b,", "Column 3 has no name"),
        (b'""', "Column 1 has no name"),
        (b"\na,b", "first line is empty"),
        (b'a,"b', "never closed"),
        (b'a,"b"c', "closing quote"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(header: bytes, reason: str) -> None:
    """Duplicate and empty names, an empty first line and broken quotes in it are errors on line 1."""
    error = refused(header + b"\n1,2,3\n", format=InputFormat.CSV)
    assert reason in error.detail
    assert error.line == 1


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (b"1,2\n3\n", 3),
        (b"1,2\n3,4,5\n", 3),
        (b'1,"x\ny\r\nz\rw"\n3\n', 6),
        (b"1,2\r\r3,4\r", 3),
        (b"1,2\n   \n", 3),
        (b"1,2\n\n\n3,4\n", 3),
        (b'1,2\n3,"4"x\n', 3),
        (b'1,2\n3,"4\n5,6\n', 3),
        (b'1,"\n\n"\n3,"4\n"x\n', 5),
    ],
)
def test_a_broken_row_is_refused_with_its_physical_line(rows: bytes, line: int) -> None:
    """Too few or many fields, an empty line in between, text behind a quote, an open quote: the first line of it."""
    assert refused(b"a,b\n" + rows).line == line


def test_the_line_is_right_far_into_a_file() -> None:
    """Lines are counted over blocks, and over newlines within quotes."""
    rows = b'1,"x\ny"\n' * 40_000
    assert refused(b"a,b\n" + rows + b"3\n").line == 80_002
    assert refused(b"a,b\n" + rows + b'3,"\n').line == 80_002


def test_empty_lines_at_the_end_are_ignored() -> None:
    """However many empty lines end a file, they are no records."""
    assert read(b"a,b\n1,2\n\n\r\n\n").reader.count == 1
    assert read(b"a\n1\n" + b"\n" * 50_000).reader.count == 1


def test_many_empty_lines_of_one_column_are_records_if_one_follows() -> None:
    """In a file of one column an empty line is an empty value, unless no other follows."""
    found = read(b"a\n1\n" + b"\n" * 50_000 + b"2\n\n")
    assert found.reader.count == 50_002
    assert found.records[-1] == b'{"a":"2"}'


def test_a_quote_within_an_unquoted_cell_is_text() -> None:
    """Quotes mean something at the begin of a cell only."""
    assert read(b'a,b\n5" pipe,x"y"\n').documents == [{"a": '5" pipe', "b": 'x"y"'}]


def test_a_cell_over_the_limit_is_refused() -> None:
    """A cell of more bytes than allowed is refused with its line, though it has fewer characters."""
    assert read("a,b\n1,éé\n".encode(), max_field_bytes=4).reader.count == 1
    error = refused("a,b\n1,2\n3,ééé\n".encode(), max_field_bytes=4)
    assert (error.line, error.pointer) == (3, "/b")


def test_an_open_quote_does_not_gather_the_file() -> None:
    """What follows an open quote is read up to the largest cell, and never further."""
    error = refused(b'a,b\n1,"' + (b"x" * 1023 + b"\n") * (17 << 10))
    assert "never closed" in error.detail
    assert error.line == 2


def test_a_record_over_the_limit_is_refused() -> None:
    """A line without an end is refused where the limit is reached, not held in memory."""
    error = refused(b"a,b\n1,2\n" + b"x," * 200_000, max_record_bytes=1000)
    assert "too long" in error.detail
    assert error.line == 3
    assert refused(b"a" * 400_000, max_record_bytes=1000).line == 1


def test_too_many_columns_are_refused() -> None:
    """A header may name as many columns as a dataset may have."""
    header = ",".join(map(str, range(2001))).encode()
    assert "2000 columns" in refused(header).detail
    assert len(read(header.rpartition(b",")[0]).reader.columns) == 2000


def test_the_key_is_handed_out_with_the_records() -> None:
    """A key's values are the texts of its cells."""
    assert read(b"id,a\n07,x\n7,y\n", key="id").keys == ["07", "7"]


@pytest.mark.parametrize(
    ("cell", "reason"), [(b"", "no value"), (b"k" * 1025, "1024 bytes"), ("é".encode() * 513, "1024 bytes")]
)
def test_a_key_must_have_a_value_that_can_be_one(cell: bytes, reason: str) -> None:
    """An empty cell, or one too long for an index, is no key."""
    error = refused(b"id,a\n1,x\n" + cell + b",y\n", key="id")
    assert reason in error.detail
    assert (error.line, error.pointer) == (3, "/id")


def test_an_unknown_key_or_type_is_refused() -> None:
    """A key or a type for a column that the header has not is the parameter's error."""
    with pytest.raises(UnknownColumn) as caught:
        read(b"a,b\n1,2\n", key="c")
    assert caught.value.members == {"parameter": "key", "valid": ["a", "b"]}
    with pytest.raises(UnknownColumn) as caught:
        read(b"a,b\n1,2\n", types={"c": ColumnType.INTEGER})
    assert caught.value.members["parameter"] == "type.c"


def test_bad_rows_can_be_skipped() -> None:
    """Rows that cannot be read are left out and counted, with line and reason; the others are all there."""
    found = read(b'a,b\n1,2\n3\n\n4,"5"6\n7,8,9\n10,11\n', skip_errors=True)
    assert found.documents == [{"a": "1", "b": "2"}, {"a": "10", "b": "11"}]
    assert found.reader.rejected == 4
    assert found.rejects == [
        (3, "The record has 1 fields, the header 2."),
        (4, "The line is empty, and records follow."),
        (5, "A closing quote is followed by text; a quote within quotes is doubled."),
        (6, "The record has 3 fields, the header 2."),
    ]


def test_a_skipped_row_says_nothing_of_types() -> None:
    """A row that is left out for one cell does not widen the columns of its others."""
    found = read(b"a,b\n1,2\nx,y\n", types={"b": ColumnType.INTEGER}, skip_errors=True)
    assert found.types == {"a": "integer", "b": "integer"}


def test_of_many_rejects_the_first_hundred_are_kept() -> None:
    """All rejects are counted, a hundred are kept."""
    found = read(b"a,b\n" + b"1\n" * 5000 + b"1,2\n", skip_errors=True)
    assert (found.reader.rejected, found.reader.count) == (5000, 1)
    assert [line for line, _ in found.rejects] == list(range(2, 102))


def test_an_open_quote_fails_whole_even_if_errors_are_skipped() -> None:
    """Behind an open quote no record can be told from the next, so nothing is skipped."""
    assert refused(b'a,b\n1\n2,"3\n4,5\n', skip_errors=True).line == 3


def test_records_come_in_batches_that_a_store_can_take() -> None:
    """A batch has about 1 MiB or 10,000 records at most, keys beside them, and the progress grows with it."""
    data = b"id,a\n" + b"".join(b"%d,%s\n" % (i, b"x" * 50) for i in range(40_000))
    found = read(data, key="id")
    assert len(found.batches) > 2
    assert all(sum(map(len, batch.records)) <= 1 << 20 for batch in found.batches)
    assert all(len(batch.records) == len(batch.keys or ()) <= 10_000 for batch in found.batches)
    assert found.keys == [str(i) for i in range(40_000)]
    assert found.reader.bytes_read == len(data)
