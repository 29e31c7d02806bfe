"""Passwords that live in the cluster only: made once, by recipe, and never overwritten.

The recipes stand in `manifests/secrets.yaml`:

    secrets:
      aerolite-postgres:
        POSTGRES_PASSWORD: random
      aerolite-storage:
        STORAGE_URL: "template:postgresql://aerolite:{aerolite-postgres/POSTGRES_PASSWORD}@postgres/aerolite"
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import yaml

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, containers, pod_spec

SecretData = dict[str, str]
Recipes = Mapping[str, Mapping[str, str]]

RANDOM = "random"
TEMPLATE = "template:"
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"
_PLACE = re.compile(r"\{([a-z0-9][a-z0-9.-]*)/([A-Za-z0-9._-]+)\}")


def random_value() -> str:
    """Return 32 random characters, safe in a URL: 192 bits."""
    return secrets.token_urlsafe(24)


@dataclass
class Wanted:
    """What the pods of an overlay want of one Secret."""

    keys: set[str] = field(default_factory=set)
    optional: bool = True
    """No pod needs it in order to start."""


def wanted_secrets(manifests: Iterable[Manifest]) -> dict[str, Wanted]:
    """List the Secrets that containers and volumes refer to and the overlay does not hold."""
    wanted: dict[str, Wanted] = {}
    held = set()
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            held.add(manifest["metadata"]["name"])
        for name, key, optional in _references(manifest):
            entry = wanted.setdefault(name, Wanted())
            entry.optional = entry.optional and optional
            if key is not None and not optional:
                entry.keys.add(key)
    return {name: entry for name, entry in wanted.items() if name not in held}


def _references(manifest: Manifest) -> Iterator[tuple[str, str | None, bool]]:
    for container in containers(manifest):
        for source in container.get("envFrom") or []:
            if reference := source.get("secretRef"):
                yield reference["name"], None, bool(reference.get("optional"))
        for variable in container.get("env") or []:
            if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                yield reference["name"], reference["key"], bool(reference.get("optional"))
    for volume in pod_spec(manifest).get("volumes") or []:
        if secret := volume.get("secret"):
            yield from _files(secret["secretName"], secret)
        for source in (volume.get("projected") or {}).get("sources") or []:
            if secret := source.get("secret"):
                yield from _files(secret["name"], secret)


def _files(name: str, volume: Manifest) -> Iterator[tuple[str, str | None, bool]]:
    optional = bool(volume.get("optional"))
    yield name, None, optional
    for item in volume.get("items") or []:
        yield name, item["key"], optional


def load_recipes(path: Path) -> Recipes:
    """Read the recipes; no file means no recipes.

    Raises `ConfigurationProblem` where the file is not in the form above.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationProblem(f"{path} cannot be read: {error}") from error
    recipes = document.get("secrets") if isinstance(document, dict) else None
    if not isinstance(recipes, dict):
        raise ConfigurationProblem(f"{path} has no mapping called secrets")
    for name, entries in recipes.items():
        if not isinstance(entries, dict) or not entries:
            raise ConfigurationProblem(f"{path}: {name} is no mapping of keys to recipes")
        for key, recipe in entries.items():
            if recipe != RANDOM and not str(recipe).startswith(TEMPLATE):
                raise ConfigurationProblem(f"{path}: {name}/{key} is neither {RANDOM} nor {TEMPLATE}…")
    return recipes


def ingredients(recipes: Recipes, name: str) -> set[str]:
    """Return the names of the Secrets that the templates of one Secret quote."""
    return {
        place[1]
        for recipe in recipes.get(name, {}).values()
        if recipe.startswith(TEMPLATE)
        for place in _PLACE.finditer(recipe)
    }


def needed(recipes: Recipes, wanted: Iterable[str]) -> list[str]:
    """Return `wanted` and all that their templates quote, what is quoted first.

    Raises `ConfigurationProblem` where templates quote each other in a circle.
    """
    graph: dict[str, set[str]] = {}
    open_names = list(wanted)
    while open_names:
        name = open_names.pop()
        if name not in graph:
            # A template may quote a random key of its own Secret.
            graph[name] = ingredients(recipes, name) - {name}
            open_names.extend(graph[name])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ConfigurationProblem(f"the templates of these Secrets quote each other: {circle}") from None


def compose(
    recipes: Recipes,
    name: str,
    known: Mapping[str, SecretData],
    make_random: Callable[[], str] = random_value,
) -> SecretData:
    """Make the values of one Secret; `known` holds every other Secret that it quotes.

    Raises `ConfigurationProblem` where a template quotes a key that is not there or is no text.
    """
    data: SecretData = {}
    templates: SecretData = {}
    for key, recipe in recipes[name].items():
        if recipe == RANDOM:
            data[key] = make_random()
        else:
            templates[key] = recipe.removeprefix(TEMPLATE)

    def quoted(place: re.Match[str]) -> str:
        source = data if place[1] == name else known.get(place[1], {})
        if place[2] not in source:
            raise ConfigurationProblem(
                f"the recipe of the Secret {name} quotes {place[1]}/{place[2]},"
                " which is neither in the cluster nor a recipe"
            )
        if _NO_TEXT in source[place[2]]:
            raise ConfigurationProblem(
                f"the recipe of the Secret {name} quotes {place[1]}/{place[2]}, which is no text"
            )
        return source[place[2]]

    return data | {key: _PLACE.sub(quoted, text) for key, text in templates.items()}
