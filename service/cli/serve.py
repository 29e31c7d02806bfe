"""`aerolite serve`: every setting is an option, generated from the table of settings."""

from __future__ import annotations

import inspect
import logging
from typing import Annotated

import typer

from service import logs
from service.cli.session import Session, fail, reason, run
from service.cli.version import version_of
from service.settings import SETTINGS, Setting, Settings

log = logging.getLogger("aerolite")


def serve(context: typer.Context, **options: str | None) -> None:
    """Serve the API until told to stop.

    Each option stands for the environment variable of the same name (--storage-url for STORAGE_URL), takes
    what that takes, and wins over it. NAME_FILE in place of NAME names a file that holds the value: that is
    how secrets come.
    """
    session: Session = context.obj
    given = {name.upper(): text for name, text in options.items() if text is not None}
    settings = session.settings(given)
    logs.configure(settings)
    _announce(settings)
    try:
        run(session.build(settings).serve().run())
    except OSError as error:
        fail(f"Cannot listen on {settings.host} port {settings.port}: {reason(error)}.")


def _announce(settings: Settings) -> None:
    """Log the settings that are not the default ones; the others are in the documentation."""
    defaults = Settings().dump()
    changed = {name: value for name, value in settings.dump().items() if value != defaults[name]}
    log.info("starting %s", version_of("aerolite"), extra={"fields": changed})


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
