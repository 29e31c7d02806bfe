"""What a stranger's statement may do: SQLite asks, while it compiles it, for each thing that it would do.

https://sqlite.org/c3ref/set_authorizer.html, https://sqlite.org/security.html. Whatever is not allowed here
is refused, so a function or an action that a newer SQLite brings is, too.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from service.adapters.sqlite_child.functions import FUNCTIONS, RENAMING

MAIN, TEMP = "main", "temp"

RECORDS = "records"
"""The storage's table that datasets are views over."""

VIRTUAL = frozenset({"json_each", "json_tree"})
"""Tables that are functions and only compute."""

_WRITES = frozenset(
    {
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_DROP_TRIGGER,
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_REINDEX,
        sqlite3.SQLITE_ANALYZE,
    }
)
# Actions whose object is a new table or view, by the place of its name.
_MAKES = frozenset({sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VIEW})

_NOT_MAIN = "SQL only reads datasets, and nothing temporary outlives a statement."
_REFUSALS = {
    sqlite3.SQLITE_ATTACH: "Other files cannot be attached, and VACUUM is not for clients.",
    sqlite3.SQLITE_DETACH: "Files cannot be detached.",
    sqlite3.SQLITE_PRAGMA: "PRAGMA is not for clients.",
    sqlite3.SQLITE_TRANSACTION: "Each statement is a transaction; there is no BEGIN, COMMIT or ROLLBACK.",
    sqlite3.SQLITE_SAVEPOINT: "Each statement is a transaction; there are no savepoints.",
    sqlite3.SQLITE_CREATE_VTABLE: "There are no virtual tables.",
    sqlite3.SQLITE_DROP_VTABLE: "There are no virtual tables.",
    sqlite3.SQLITE_CREATE_TEMP_TABLE: _NOT_MAIN,
}
for _action in (
    sqlite3.SQLITE_CREATE_TEMP_INDEX,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_VIEW,
    sqlite3.SQLITE_DROP_TEMP_TABLE,
    sqlite3.SQLITE_DROP_TEMP_INDEX,
    sqlite3.SQLITE_DROP_TEMP_TRIGGER,
    sqlite3.SQLITE_DROP_TEMP_VIEW,
):
    _REFUSALS[_action] = _REFUSALS[sqlite3.SQLITE_CREATE_TEMP_TABLE]


@dataclass(slots=True)
class Guard:
    """Answers SQLite's questions about one statement.

    `writing`: it may write to the database. `altering`: it is an ALTER TABLE. `shown` are the views of
    datasets in lower case, `inner` the views below them, which alone read the storage's tables, by functions
    of the same names; `hidden` are those of these tables that a bare name would reach. `modules` are the
    virtual tables that SQLite brings. Afterwards `refusal` says why it was refused, and `wrote` that it was
    because it would have written.
    """

    writing: bool
    altering: bool = False
    shown: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    refusal: str | None = None
    wrote: bool = False

    def __call__(
        self, action: int, first: str | None, second: str | None, schema: str | None, within: str | None
    ) -> int:
        """Answer one: `within` is the innermost view, or common table expression, that it stands in."""
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            return self._read(first or "", second, schema, within)
        if action == sqlite3.SQLITE_FUNCTION:
            return self._function((second or "").lower(), within)
        if action in _WRITES:
            return self._write(action, first or "", schema)
        return self._refuse(_REFUSALS.get(action, "This kind of statement is not for clients."))

    def _read(self, table: str, column: str | None, schema: str | None, within: str | None) -> int:
        name = table.lower()
        if schema is None:
            # A bare name whose columns nobody wants, as in `count(*)`, is not looked up for this question.
            allowed = name not in self.hidden and not self._brought(name)
        elif schema == MAIN:
            allowed = not self._brought(name)
        elif schema == TEMP:
            allowed = name in self.shown or name in self.inner or self._renames(name)
        else:
            # The storage's records without any column have lost their view by then.
            allowed = within in self.inner or (name == RECORDS and not column)
        return sqlite3.SQLITE_OK if allowed else self._refuse(f"no such table: {table}")

    def _brought(self, name: str) -> bool:
        """Return whether a name is that of a table which is there by itself, in no file."""
        return name in self.modules - VIRTUAL or name.startswith(("pragma_", "sqlite_temp_"))

    def _function(self, name: str, within: str | None) -> int:
        if name in FUNCTIONS or (self.altering and name in RENAMING):
            return sqlite3.SQLITE_OK
        if name in self.inner and within == name:
            return sqlite3.SQLITE_OK
        return self._refuse(f"The function {name} is not for clients.")

    def _write(self, action: int, name: str, schema: str | None) -> int:
        if name.lower() in self.shown and (schema == TEMP or action in _MAKES):
            what = "is a dataset, which SQL only reads" if schema == TEMP else "is the name of a dataset"
            return self._refuse(f"{name} {what}.")
        if not self.writing:
            self.wrote = True
            return self._refuse("The statement would write.")
        if action == sqlite3.SQLITE_ALTER_TABLE or schema in (None, MAIN) or self._renames(name):
            return sqlite3.SQLITE_OK
        return self._refuse(_NOT_MAIN)

    def _renames(self, name: str) -> bool:
        """Return whether a table is what SQLite itself looks through to rename; it is empty here."""
        return self.altering and name == "sqlite_temp_master"

    def _refuse(self, why: str) -> int:
        self.refusal = self.refusal or why
        return sqlite3.SQLITE_DENY
