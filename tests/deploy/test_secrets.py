"""Passwords by recipe."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from service.deploy.credentials import compose, load_recipes, needed, random_value, wanted_secrets
from service.deploy.errors import ApiProblem, ConfigurationProblem
from service.deploy.objects import Manifest
from service.deploy.provide import compose_missing, create_missing
from service.deploy.resources import Resources

from . import overlays as made
from .kube_api import KubeApi

RECIPES = {
    "store": {"password": "random"},
    "url": {"url": "template:redis://:{store/password}@redis/0?{x}"},
}


def pod_with(**spec: Any) -> Manifest:
    """Return a Deployment whose pods have this."""
    manifest = made.deployment()
    manifest["spec"]["template"]["spec"] = {
        "containers": [{"name": "c", **spec.pop("container", {})}],
        **spec,
    }
    return manifest


def wanting(*names: str) -> list[Manifest]:
    """Return a Deployment whose pods take all keys of these Secrets."""
    return [pod_with(container={"envFrom": [{"secretRef": {"name": name}} for name in names]})]


def put(api: KubeApi, name: str, **data: bytes) -> None:
    """Put a Secret into the cluster, as a person would have."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": "aerolite"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}
    api.store.put(("secrets", "aerolite", name), secret)


def get(api: KubeApi, name: str) -> dict[str, str]:
    """Return what a Secret in the cluster holds."""
    data = api.store.get("secrets", "aerolite", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_every_way_to_want_a_secret_is_seen() -> None:
    """Variables, whole environments, volumes and projected volumes; keys where they are named."""
    projected = [
        {"secret": {"name": "p", "items": [{"key": "k", "path": "x"}]}},
        {"configMap": {"name": "m"}},
    ]
    volumes = [
        {"name": "v", "secret": {"secretName": "v", "items": [{"key": "a", "path": "x"}]}},
        {"name": "w", "secret": {"secretName": "w", "optional": True}},
        {"name": "p", "projected": {"sources": projected}},
        {"name": "e", "emptyDir": {}},
    ]
    env = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "e", "key": "k"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "e", "key": "l", "optional": True}}},
        {"name": "C", "value": "plain"},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    sources = [
        {"secretRef": {"name": "all"}},
        {"configMapRef": {"name": "m"}},
        {"secretRef": {"name": "held"}},
    ]
    held = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "held"}}

    wanted = wanted_secrets([pod_with(container={"env": env, "envFrom": sources}, volumes=volumes), held])

    assert {name: (entry.keys, entry.optional) for name, entry in wanted.items()} == {
        "e": ({"k"}, False),
        "all": (set(), False),
        "v": ({"a"}, False),
        "w": (set(), True),
        "p": ({"k"}, False),
    }


def test_random_values_need_no_escaping_in_a_url() -> None:
    """32 characters of A-Z a-z 0-9 - _, and never the same."""
    values = {random_value() for _ in range(100)}

    assert len(values) == 100
    assert all(len(value) == 32 and value.replace("-", "").replace("_", "").isalnum() for value in values)


def test_a_template_quotes_keys_of_other_secrets() -> None:
    """What stands in braces as SECRET/KEY is replaced; other braces stay."""
    assert compose(RECIPES, "url", {"store": {"password": "p"}}) == {"url": "redis://:p@redis/0?{x}"}


def test_a_template_may_quote_what_is_random_beside_it() -> None:
    """Random values are made before the templates of the same Secret."""
    recipes = {"s": {"url": "template:x://{s/password}", "password": "random"}}

    assert compose(recipes, "s", {}, lambda: "r") == {"url": "x://r", "password": "r"}


def test_what_is_quoted_comes_first() -> None:
    """The order is that of creation, and holds what only templates want."""
    recipes = {"a": {"k": "template:{b/k}"}, "b": {"k": "template:{c/k}"}, "c": {"k": "random"}}

    assert needed(recipes, ["a"]) == ["c", "b", "a"]
    assert needed(recipes, ["c"]) == ["c"]


def test_templates_that_quote_each_other_in_a_circle() -> None:
    """The circle is shown."""
    recipes = {"a": {"k": "template:{b/k}"}, "b": {"k": "template:{a/k}"}}

    with pytest.raises(ConfigurationProblem, match=r"quote each other: (a → b → a|b → a → b)"):
        needed(recipes, ["a"])


@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        ("template:{b/k}", {}),
        ("template:{b/k}", {"b": {"l": "x"}}),
        ("template:{a/other}", {"a": {"other": "only recipes of one's own count"}}),
    ],
)
def test_a_template_that_quotes_what_is_not_there(recipe: str, known: dict[str, dict[str, str]]) -> None:
    """A quoted key has to be in the cluster or a recipe."""
    with pytest.raises(ConfigurationProblem, match="which is neither in the cluster nor a recipe"):
        compose({"a": {"k": recipe}}, "a", known)


def test_recipes_are_read(tmp_path: Path) -> None:
    """A file in the form is taken as it is; no file is no recipe."""
    path = tmp_path / "secrets.yaml"
    assert load_recipes(path) == {}
    path.write_text("secrets: {a: {k: random}}", encoding="utf-8")

    assert load_recipes(path) == {"a": {"k": "random"}}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read"),
        ("a: b", "no mapping called secrets"),
        ("[]", "no mapping called secrets"),
        ("secrets: []", "no mapping called secrets"),
        ("secrets: {a: random}", "a is no mapping of keys to recipes"),
        ("secrets: {a: {}}", "a is no mapping of keys to recipes"),
        ("secrets: {a: {k: hunter2}}", "a/k is neither random nor template:"),
        ("secrets: {a: {k: 7}}", "a/k is neither random nor template:"),
    ],
)
def test_recipes_in_another_form(tmp_path: Path, content: str, complaint: str) -> None:
    """A password in the file, and every other mistake, is refused by name."""
    path = tmp_path / "secrets.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationProblem, match=complaint):
        load_recipes(path)


async def test_only_what_is_missing_is_created(api: KubeApi, resources: Resources) -> None:
    """A Secret that is there keeps its value, and what quotes it gets that value."""
    api.make_namespace()
    put(api, "store", password=b"old")
    recipes = RECIPES | {"url": {"url": "template:x://{store/password}"}}

    created = await create_missing(resources, wanting("store", "url"), recipes)

    assert created == ["url"]
    assert get(api, "store") == {"password": "old"}
    assert get(api, "url") == {"url": "x://old"}


async def test_what_a_template_quotes_is_created_with_it(api: KubeApi, resources: Resources) -> None:
    """The Secret that only a template wants exists too, so that its store can start with it."""
    api.make_namespace()
    recipes = RECIPES | {"url": {"url": "template:x://{store/password}"}}

    assert await create_missing(resources, wanting("url"), recipes) == ["store", "url"]

    assert get(api, "url")["url"] == f"x://{get(api, 'store')['password']}"


async def test_a_secret_that_somebody_else_creates_meanwhile(api: KubeApi, resources: Resources) -> None:
    """Theirs counts: what quotes it is composed anew with their value."""
    api.make_namespace()
    recipes = RECIPES | {"url": {"url": "template:x://{store/password}"}}

    def slow() -> str:
        if not api.store.of("secrets"):
            put(api, "store", password=b"theirs")
        return "ours"

    assert await create_missing(resources, wanting("url"), recipes, slow) == ["url"]

    assert get(api, "url") == {"url": "x://theirs"}


async def test_somebody_who_always_comes_first(api: KubeApi, resources: Resources) -> None:
    """A race that is lost every time ends with a sentence."""
    api.make_namespace()
    recipes = {f"s{number}": {"k": "random"} for number in range(5)}
    order = iter(needed(recipes, recipes))
    rounds = []

    def late_each_time() -> str:
        tried = len([method for method, _ in api.requests if method == "POST"])
        if len(rounds) == tried:
            rounds.append(tried)
            put(api, next(order), k=b"theirs")
        return "ours"

    with pytest.raises(ConfigurationProblem, match="somebody else keeps creating"):
        await create_missing(resources, wanting(*recipes), recipes, late_each_time)


async def test_a_secret_that_nobody_can_make(api: KubeApi, resources: Resources) -> None:
    """Without recipe and not in the cluster, a Secret that pods need is named; an optional one is not."""
    api.make_namespace()
    optional = [pod_with(container={"envFrom": [{"secretRef": {"name": "x", "optional": True}}]})]

    with pytest.raises(ConfigurationProblem, match="need the Secret x, which is neither in the cluster"):
        await compose_missing(resources, wanting("x"), {})
    assert await compose_missing(resources, optional, {}) == {}


async def test_a_secret_that_lacks_a_key(api: KubeApi, resources: Resources) -> None:
    """A Secret that is there is somebody's: a missing key is said, not added."""
    api.make_namespace()
    put(api, "aerolite-store", other=b"x")
    recipes = {"aerolite-store": {"password": "random"}}

    with pytest.raises(ConfigurationProblem, match="Secret aerolite-store lacks password, which the pods"):
        await compose_missing(resources, [made.deployment()], recipes)
    assert get(api, "aerolite-store") == {"other": "x"}


async def test_a_template_that_quotes_bytes(api: KubeApi, resources: Resources) -> None:
    """A value that is no text cannot be quoted, and is not mangled in silence."""
    api.make_namespace()
    put(api, "store", password=b"\xff\xfe")

    with pytest.raises(ConfigurationProblem, match="quotes store/password, which is no text"):
        await compose_missing(resources, wanting("url"), {"url": {"url": "template:{store/password}"}})


async def test_secrets_without_rights(api: KubeApi, resources: Resources) -> None:
    """Not being allowed to create Secrets is told as it is."""
    api.make_namespace()
    api.denied.add(("create", "secrets"))

    with pytest.raises(ApiProblem, match="cannot create"):
        await create_missing(resources, wanting("store"), RECIPES)
