"""One declaration of a setting, from which it is read, checked, explained and shown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from service.configuration.kinds import Kind
from service.configuration.urls import Unfit

T = TypeVar("T")

MAX_FILE_BYTES = 64 * 1024
"""No setting is longer: a larger `*_FILE` is the wrong file."""

_SHOWN_CHARACTERS = 120


class SettingError(Exception):
    """Settings that cannot be: `problems` has a sentence for each, and so has the message, line by line."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    `field` is the attribute that holds the value, `default` the text that it is read from unless set. Where
    that is None so is the value, and `absent` says what it means. `unit` is that of a number.
    """

    field: str
    kind: Kind[Any]
    help: str
    default: str | None
    absent: str
    unit: str

    @property
    def name(self) -> str:
        """The environment variable."""
        return self.field.upper()

    @property
    def option(self) -> str:
        """The option on the command line."""
        return "--" + self.field.replace("_", "-")

    @property
    def default_words(self) -> str:
        """What holds where it is not set, in words."""
        return self.absent if self.default is None else self.default or "none"

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        return self.kind.allowed

    def find(self, mapping: Mapping[str, str]) -> str | None:
        """Return its text from `NAME`, or from the file that `NAME_FILE` names; an empty variable is unset.

        Raises `ValueError` with a sentence for the operator.
        """
        text, file = mapping.get(self.name) or None, mapping.get(f"{self.name}_FILE") or None
        if text is not None and file is not None:
            raise ValueError(f"{self.name} and {self.name}_FILE are both set: set only one of them.")
        return text if file is None else _contents(f"{self.name}_FILE", file)

    def read(self, text: str) -> Any:
        """Return the value; raises `ValueError` with a sentence: name, value, and why or what is allowed."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            shown = repr(self.kind.mask(text) if self.kind.mask else text)
            if len(shown) > _SHOWN_CHARACTERS:
                shown = f"{shown[:_SHOWN_CHARACTERS]}…"
            why = str(error) if isinstance(error, Unfit) else f"it takes {self.allowed}"
            # From None: the cause may quote a secret.
            raise ValueError(f"{self.name} cannot be {shown}: {why}.") from None

    def show(self, value: Any) -> str | int | float | bool | None:
        """Return the value for a log, without secrets."""
        return None if value is None else self.kind.show(value)


def setting(kind: Kind[T], default: str, purpose: str, *, unit: str = "") -> T:
    """Declare a dataclass field with a default, given as text so that documentation and value agree."""
    value = kind.parse(default)
    return dataclasses.field(default=value, metadata=_row(kind, default, purpose, "", unit))


def optional(kind: Kind[T], absent: str, purpose: str, *, unit: str = "") -> T | None:
    """Declare a dataclass field that is None unless set; `absent` says what that means."""
    row = _row(kind, None, purpose, absent, unit)
    return cast("T | None", dataclasses.field(default=None, repr=kind.mask is None, metadata=row))


def _row(kind: Kind[Any], default: str | None, purpose: str, absent: str, unit: str) -> dict[str, Any]:
    return {"kind": kind, "help": purpose, "default": default, "absent": absent, "unit": unit}


def declared(cls: type) -> tuple[Setting, ...]:
    """Return the settings that a dataclass declares, in its order."""
    return tuple(Setting(field=field.name, **field.metadata) for field in dataclasses.fields(cls))


def read_all(settings: Iterable[Setting], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of those that are set, by field; raises one `SettingError` for all that are wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for each in settings:
        try:
            text = each.find(mapping)
            if text is not None:
                values[each.field] = each.read(text)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingError(problems)
    return values


def _contents(name: str, file: str) -> str:
    """Return a file's text without its final newline, which is how Docker and Kubernetes mount secrets."""
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # a ValueError where the path holds a NUL
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name} names {file!r}, which cannot be read: {reason}.") from None
    try:
        text = re.sub(r"\r?\n\Z", "", content.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{name} names {file!r}, which is not UTF-8 text.") from None
    if not text or len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{name} names {file!r}, which must hold 1 to {MAX_FILE_BYTES} bytes.")
    return text
