"""Column types form a lattice: joined in any order, types end up at the same one, which holds them all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType, join

types = st.sampled_from(ColumnType)
cell_types = st.sampled_from([type_ for type_ in ColumnType if type_ is not ColumnType.JSON])


@given(types, types, types)
def test_values_of_json_join_in_any_order(a: ColumnType, b: ColumnType, c: ColumnType) -> None:
    """Join is commutative, associative, idempotent, and has `empty` as its neutral element."""

    def joined(left: ColumnType, right: ColumnType) -> ColumnType:
        return join(left, right, textual=False)

    assert joined(a, b) is joined(b, a)
    assert joined(joined(a, b), c) is joined(a, joined(b, c))
    assert joined(a, a) is a
    assert joined(a, ColumnType.EMPTY) is a


@given(cell_types, cell_types, cell_types)
def test_cells_join_in_any_order(a: ColumnType, b: ColumnType, c: ColumnType) -> None:
    """The same holds between cells of text, where nothing is wider than a string."""

    def joined(left: ColumnType, right: ColumnType) -> ColumnType:
        return join(left, right, textual=True)

    assert joined(a, b) is joined(b, a)
    assert joined(joined(a, b), c) is joined(a, joined(b, c))
    assert joined(a, ColumnType.STRING) is ColumnType.STRING


@given(types, types, st.booleans(), st.booleans())
def test_a_column_holds_what_it_has_taken(
    of: ColumnType, kind: ColumnType, textual: bool, text: bool
) -> None:
    """Once a column has taken in a value, values of that kind fit it."""
    column = Column("a", of, textual).taking(kind, text=text)
    assert column.holds(kind, text=text)
    assert column.taking(kind, text=text) is column


def test_a_cell_makes_a_column_textual_unless_it_is_of_json_strings() -> None:
    """Among JSON numbers `""` can only be a cell without a value; among JSON strings it stays what it is."""
    numbers = Column("a", ColumnType.INTEGER).taking(ColumnType.INTEGER, text=True)
    strings = Column("a", ColumnType.STRING).taking(ColumnType.INTEGER, text=True)
    assert numbers == Column("a", ColumnType.INTEGER, textual=True)
    assert strings == Column("a", ColumnType.STRING)


@given(types, st.booleans(), st.text())
def test_a_column_survives_its_document(type_: ColumnType, textual: bool, name: str) -> None:
    """A column is read back from the document it was written as."""
    column = Column(name, type_, textual)
    assert Column.from_document(column.as_document()) == column
