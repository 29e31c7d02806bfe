"""The command line, and beside tests the only place that imports the composition root."""

from __future__ import annotations

import os
from typing import Any

from service.cli.app import app
from service.cli.session import Session
from service.settings import Settings


def _build(settings: Settings) -> Any:
    from containers import build_container  # noqa: PLC0415 - what only asks for help need not wait for it

    return build_container(settings)


def main() -> None:
    """Run `aerolite`."""
    app(obj=Session(os.environ, _build), prog_name="aerolite")


if __name__ == "__main__":
    main()
