"""What is appended or written fits the columns that are there, or widens them openly."""

from __future__ import annotations

import json

import msgspec
import pytest

from service.domain.columns import Column, ColumnType
from service.domain.errors import InvalidContent, InvalidParameter, TypeMismatch
from service.formats.fitting import canonical, fit_record, fits
from tests.unit.formats.files import append, read

T = ColumnType
CSV_COLUMNS = (
    Column("id", T.INTEGER, textual=True),
    Column("name", T.STRING, textual=True),
    Column("mass (g)", T.NUMBER, textual=True),
    Column("note", T.EMPTY, textual=True),
)
JSON_COLUMNS = (
    Column("id", T.INTEGER),
    Column("name", T.STRING),
    Column("seen", T.DATE),
    Column("ok", T.BOOLEAN),
    Column("any", T.JSON),
    Column("none", T.EMPTY),
)


def mismatch(data: bytes, expected: tuple[Column, ...], **options: object) -> TypeMismatch:
    """Return the error that an append is refused with."""
    with pytest.raises(TypeMismatch) as caught:
        append(data, expected, **options)
    return caught.value


def test_a_csv_that_fits_is_appended_in_any_order_of_columns() -> None:
    """Columns may come in another order or not at all; the dataset's keep theirs."""
    found = append(b"mass (g),id\n1.5,3\n,4\n", CSV_COLUMNS)
    assert found.records == [b'{"mass (g)":"1.5","id":"3"}', b'{"mass (g)":"","id":"4"}']
    assert found.reader.columns == CSV_COLUMNS
    assert found.reader.widened == ()


def test_a_cell_that_does_not_fit_is_refused_with_line_and_pointer() -> None:
    """A text in a column of numbers is refused, and the error says which, where and why."""
    error = mismatch(b"id,mass (g)\n1,2\n2,heavy\n", CSV_COLUMNS)
    assert error.detail == '"heavy" does not fit the column "mass (g)" of type number.'
    assert (error.line, error.pointer) == (3, "/mass (g)")


def test_the_first_misfit_is_told_whichever_column_it_is_in() -> None:
    """Of misfits in several columns the one on the first line is told."""
    assert mismatch(b"id,mass (g)\n1,2\n1,x\ny,2\n", CSV_COLUMNS).line == 3


def test_an_unknown_column_is_refused_unless_columns_may_widen() -> None:
    """A new column changes the schema, which nobody does by accident."""
    error = mismatch(b"id,colour\n1,red\n", CSV_COLUMNS)
    assert '"colour"' in error.detail
    assert (error.line, error.pointer) == (1, "/colour")
    error = mismatch(b'[{"id":1},{"colour":"red"}]', CSV_COLUMNS)
    assert error.pointer == "/1/colour"


def test_widening_is_told() -> None:
    """With `widen` a type gives way, a column is added, and both are listed; what was empty is no news."""
    found = append(b"id,mass (g),note,colour\nx,2,3,red\n", CSV_COLUMNS, widen=True)
    assert found.types == {
        "id": "string",
        "name": "string",
        "mass (g)": "number",
        "note": "integer",
        "colour": "string",
    }
    assert found.reader.widened == (("id", T.INTEGER, T.STRING), ("colour", T.EMPTY, T.STRING))


def test_a_column_without_a_value_takes_anything() -> None:
    """A column that has had no value yet takes its type from the first ones, without `widen`."""
    found = append(b"note\nx\n1\n", CSV_COLUMNS)
    assert found.types["note"] == "string"
    assert found.reader.widened == ()


def test_an_empty_dataset_takes_any_columns() -> None:
    """A dataset that has no columns yet gets those of the first append."""
    found = append(b"a,b\n1,x\n", ())
    assert found.types == {"a": "integer", "b": "string"}
    assert found.reader.widened == ()


def test_without_appending_the_expected_columns_mean_nothing() -> None:
    """What replaces a dataset need not fit what was there."""
    assert read(b"a\nx\n", expected=CSV_COLUMNS).types == {"a": "string"}


def test_json_strings_count_as_cells_in_columns_of_cells() -> None:
    """In a dataset that came as CSV, JSON may send its numbers as text or as numbers."""
    found = append(b'[{"id":"5","mass (g)":6.5},{"id":7,"mass (g)":"","name":"x"},{"id":null}]', CSV_COLUMNS)
    assert found.records[0] == b'{"id":"5","mass (g)":6.5}'
    assert found.reader.columns == CSV_COLUMNS
    assert mismatch(b'[{"id":"x"}]', CSV_COLUMNS).pointer == "/0/id"
    assert mismatch(b'[{"name":5}]', CSV_COLUMNS).detail.startswith("A value of type integer")
    assert mismatch(b'[{"id":[5]}]', CSV_COLUMNS).detail.startswith("A value of type json")


def test_cells_fit_columns_of_json_by_their_text() -> None:
    """In a dataset that came as JSON, a CSV's cell fits by what it says, and any cell is a string."""
    found = append(b"id,name,seen,ok,any\n5,7,2024-02-29,true,x\n,,,,\n", JSON_COLUMNS)
    by_name = {column.name: column for column in found.reader.columns}
    assert {name: column.type for name, column in by_name.items()} == {c.name: c.type for c in JSON_COLUMNS}
    assert [name for name, column in by_name.items() if column.textual] == ["id", "seen", "ok"]
    for row in (b"id\nx\n", b"seen\n7\n", b"ok\n1\n"):
        assert mismatch(row, JSON_COLUMNS).line == 2


def test_a_number_among_strings_makes_a_column_of_mixed_values() -> None:
    """A JSON number does not become text by widening: the column holds both and says so."""
    found = append(b'[{"name":5}]', CSV_COLUMNS, widen=True)
    assert found.reader.widened == (("name", T.STRING, T.JSON),)


def test_a_type_cannot_be_given_to_a_column_that_has_another() -> None:
    """`type.col` names a new column's type, or an old one's as it is."""
    with pytest.raises(InvalidParameter) as caught:
        append(b"id\n1\n", CSV_COLUMNS, types={"id": T.STRING})
    assert caught.value.members == {"parameter": "type.id"}
    assert (
        append(b"id,note\n1,2\n", CSV_COLUMNS, types={"id": T.INTEGER, "note": T.STRING}).types["note"]
        == "string"
    )


def test_a_key_must_be_in_what_is_appended() -> None:
    """Records behind a dataset with a key need a value of it."""
    with pytest.raises(InvalidContent, match='lacks the key "id"') as caught:
        append(b"name\nx\n", CSV_COLUMNS, key="id")
    assert caught.value.line == 1
    assert append(b"id\n5\n", CSV_COLUMNS, key="id").keys == ["5"]


def test_misfits_can_be_skipped() -> None:
    """A row that does not fit is a reject like any other, and the others are appended."""
    found = append(b"id,mass (g)\n1,x\ny,2\n3,4\n5\n", CSV_COLUMNS, skip_errors=True)
    assert found.documents == [{"id": "3", "mass (g)": "4"}]
    assert [line for line, _ in found.rejects] == [2, 3, 5]


def test_skipped_json_leaves_the_columns_alone() -> None:
    """A record with a new column is a reject where columns may not widen."""
    found = append(b'[{"id":1},{"id":2,"new":1},{"new":1,"id":"x"}]', CSV_COLUMNS, skip_errors=True)
    assert found.documents == [{"id": 1}]
    assert found.reader.columns == CSV_COLUMNS


FITS = [
    ("", T.INTEGER, True),
    ("5", T.INTEGER, True),
    ("5", T.NUMBER, True),
    ("5.5", T.INTEGER, False),
    ("5.5", T.NUMBER, True),
    ("x", T.NUMBER, False),
    ("true", T.BOOLEAN, True),
    ("1", T.BOOLEAN, False),
    ("2024-02-29", T.DATE, True),
    ("2023-02-29", T.DATE, False),
    ("2024-02-29", T.TIMESTAMP, False),
    ("2024-02-29 10:00:00", T.TIMESTAMP, True),
    ("anything", T.STRING, True),
    ("anything", T.JSON, True),
    ("anything", T.EMPTY, True),
]


@pytest.mark.parametrize("textual", [True, False])
@pytest.mark.parametrize(("text", "type_", "expected"), FITS)
def test_a_cell_fits_by_its_text(text: str, type_: ColumnType, textual: bool, expected: bool) -> None:
    """A cell fits a column that holds the type of its text; an empty one fits them all."""
    assert fits(text, Column("a", type_, textual)) is expected


@pytest.mark.parametrize(("text", "type_", "expected"), FITS)
def test_a_json_string_fits_a_textual_column_like_a_cell(
    text: str, type_: ColumnType, expected: bool
) -> None:
    """In a textual column a JSON string is a cell."""
    assert fits(msgspec.Raw(json.dumps(text).encode()), Column("a", type_, textual=True)) is expected


@pytest.mark.parametrize(
    ("token", "fitting"),
    [
        (b"null", set(T)),
        (b"5", {T.EMPTY, T.INTEGER, T.NUMBER, T.JSON}),
        (b"5.0", {T.EMPTY, T.NUMBER, T.JSON}),
        (b"1e400", {T.EMPTY, T.NUMBER, T.JSON}),
        (b"true", {T.EMPTY, T.BOOLEAN, T.JSON}),
        (b'"x"', {T.EMPTY, T.STRING, T.JSON}),
        (b'""', {T.EMPTY, T.STRING, T.JSON}),
        (b'"5"', {T.EMPTY, T.STRING, T.JSON}),
        (b'"2024-02-29"', {T.EMPTY, T.STRING, T.DATE, T.JSON}),
        (b'"2024-02-29T10:00:00Z"', {T.EMPTY, T.STRING, T.TIMESTAMP, T.JSON}),
        (b"[]", {T.EMPTY, T.JSON}),
        (b"{}", {T.EMPTY, T.JSON}),
    ],
)
def test_a_json_value_fits_by_its_type(token: bytes, fitting: set[ColumnType]) -> None:
    """In a column of JSON values numbers are numbers, strings strings or dates, and null fits them all."""
    assert {type_ for type_ in T if fits(msgspec.Raw(token), Column("a", type_))} == fitting


def test_one_record_is_fitted() -> None:
    """A single record gives the columns with it, what has widened, and its key value."""
    columns, widened, key = fit_record(b'{"id":"5","note":true}', CSV_COLUMNS, key="id", widen=False)
    assert columns == (*CSV_COLUMNS[:3], Column("note", T.BOOLEAN, textual=True))
    assert (widened, key) == ((), "5")
    columns, widened, key = fit_record(b'{"id":"x","new":1}', CSV_COLUMNS, key=None, widen=True)
    assert widened == (("id", T.INTEGER, T.STRING), ("new", T.EMPTY, T.INTEGER))
    assert columns[-1] == Column("new", T.INTEGER)
    assert key is None


@pytest.mark.parametrize(
    ("record", "pointer"), [(b'{"mass (g)":"x"}', "/mass (g)"), (b'{"a/b":1}', "/a~1b"), (b'{"~":1}', "/~0")]
)
def test_a_record_that_does_not_fit_is_refused_with_a_pointer(record: bytes, pointer: str) -> None:
    """A misfit or an unknown member is named by an RFC 6901 pointer."""
    with pytest.raises(TypeMismatch) as caught:
        fit_record(record, CSV_COLUMNS, key=None, widen=False)
    assert caught.value.pointer == pointer


def test_a_record_without_its_key_is_refused() -> None:
    """A record of a dataset with a key needs a value of it."""
    with pytest.raises(InvalidContent, match="no value"):
        fit_record(b'{"name":"x"}', CSV_COLUMNS, key="id", widen=False)


def test_a_body_becomes_canonical_or_is_refused() -> None:
    """One JSON object is compacted, anything else is an error."""
    assert canonical(b' { "a" : 1.0 } ') == b'{"a":1.0}'
    for body in (b"", b"[]", b'{"a":1,"a":1}', b'{"a":1}{}', b'\xef\xbb\xbf{"a":1}'):
        with pytest.raises(InvalidContent):
            canonical(body)


def test_messages_show_little_of_long_values() -> None:
    """An error shows the begin of a long value, escaped."""
    error = mismatch(b'[{"id":"\\n' + b"x" * 500 + b'"}]', CSV_COLUMNS)
    assert error.detail.startswith('"\\nxxx')
    assert len(error.detail) < 200
