"""`aerolite serve`: every setting is an option, generated from the table of settings."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from service.cli.session import Session, run
from service.settings import SETTINGS, Setting


def serve(context: typer.Context, **options: str | None) -> None:
    """Serve the API until told to stop.

    Each option stands for the environment variable of the same name (--storage-url for STORAGE_URL), takes
    what that takes, and wins over it. NAME_FILE in place of NAME names a file that holds the value: that is
    how secrets come.
    """
    session: Session = context.obj
    given = {name.upper(): text for name, text in options.items() if text is not None}
    settings = session.settings(given)
    run(session.build(settings).serve().run())


def _option(setting: Setting) -> inspect.Parameter:
    """Return the parameter by which Typer reads a setting; unset it is None."""
    option = typer.Option(
        setting.option,
        metavar=(setting.unit or "value").upper(),
        help=f"{setting.help} Takes {setting.allowed}. Default: {setting.default_words}.",
        show_default=False,
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    annotation = Annotated[str | None, option]
    return inspect.Parameter(setting.field, kind, default=None, annotation=annotation)


_CONTEXT = inspect.signature(serve, eval_str=True).parameters["context"]
serve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # mypy does not know what Typer reads
    [_CONTEXT, *map(_option, SETTINGS)]
)
