"""Prints docs/settings.md, which is made of the table in `service.settings`.

Usage: python -m scripts.settings_page > docs/settings.md
"""

# ruff: noqa: INP001 - scripts are no package

from __future__ import annotations

import sys
from collections.abc import Iterator

from service.settings import SETTINGS, Setting

_HEAD = """\
# Settings

<!-- Made by `python -m scripts.settings_page > docs/settings.md`; a test fails where it is not current. -->

Settings come from the environment. `aerolite serve` takes each as an option too, `--storage-url` for
`STORAGE_URL`, and an option wins over the environment.

- `NAME_FILE` in place of `NAME` is the path of a file that holds the value, such as a Docker or Kubernetes
  secret; one newline at its end is ignored. To set both is an error.
- An empty variable counts as unset.
- A number of bytes is written as it is, or with a unit: `64 MiB` and `64MiB` are 67,108,864, `2 GB` is
  2,000,000,000. Lists are separated by commas or blanks.
- A wrong value stops the start. All wrong ones are reported at once, each with its name, its value and what
  is allowed; passwords and keys are never shown.

| setting | default | takes | what it is for |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    for setting in SETTINGS:
        cells = (f"`{setting.name}`", _default(setting), setting.allowed, setting.help)
        yield f"| {' | '.join(cells)} |"


def _default(setting: Setting) -> str:
    if not setting.default:
        return setting.default_words
    unit = setting.unit if setting.default[-1].isdigit() else ""
    return f"`{setting.default}` {unit}".rstrip()


if __name__ == "__main__":
    sys.stdout.write(page())
