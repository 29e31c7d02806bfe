"""Every `aerolite …` that a manifest or the compose file runs is a command that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.session import Session

from .rendered import MANIFESTS, ROOT


def word_lists(value: Any) -> Iterator[list[str]]:
    """Yield each list of words in a document, however deep."""
    if isinstance(value, dict):
        for each in value.values():
            yield from word_lists(each)
    elif isinstance(value, list):
        if value and all(isinstance(word, str) for word in value):
            yield value
        for each in value:
            yield from word_lists(each)


def commands() -> set[tuple[str, ...]]:
    """Return the words behind `aerolite` wherever it is run."""
    found = set()
    for path in MANIFESTS.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            found |= {
                tuple(words[1:]) for words in word_lists(document) if words[0] == "aerolite" and words[1:]
            }
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        if "aerolite" in service["image"]:
            found |= {tuple(service[name]) for name in ("command",) if service[name][0].isalpha()}
            words = service.get("healthcheck", {}).get("test", [])
            found |= {tuple(words[2:])} if words[1:2] == ["aerolite"] else set()
    return found


def test_all_of_them_are_found() -> None:
    """The worker, its probe and the server are among them."""
    assert {("worker",), ("healthcheck", "--worker"), ("serve",)} <= commands()


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_each_is_a_command_with_these_options(words: tuple[str, ...]) -> None:
    """`aerolite COMMAND OPTIONS --help` shows the help of the command, so it is there and takes the options."""

    def no_service(_: object) -> None:
        raise AssertionError("help needs no service")

    result = CliRunner().invoke(app, [*words, "--help"], obj=Session({}, no_service))
    assert result.exit_code == 0, result.output
    assert words[0] in result.output
