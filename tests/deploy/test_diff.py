"""What `--dry-run` shows."""

from __future__ import annotations

from typing import Any

from service.deploy.diff import unified_diff

from .overlays import deployment


def secret(**data: str) -> dict[str, Any]:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


def test_the_servers_own_fields_are_not_shown() -> None:
    """Versions, owners, status and what kubectl remembers are no difference."""
    live = deployment() | {"status": {"replicas": 3}}
    live["metadata"] |= {
        "resourceVersion": "7",
        "uid": "u",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }

    assert unified_diff(live, deployment()) == ""


def test_annotations_of_people_are_shown() -> None:
    """Only kubectl's book-keeping is left out of the annotations."""
    after = deployment()
    after["metadata"]["annotations"] = {"team": "data"}

    assert "+    team: data\n" in unified_diff(deployment(), after)


def test_values_of_secrets_are_hidden() -> None:
    """Whether a value changes is shown, and never the value."""
    before, after = secret(a="b2xk", b="c2FtZQ=="), secret(a="bmV3", b="c2FtZQ==", c="bW9yZQ==")

    text = unified_diff(before, after)

    assert "-  a: (hidden)\n+  a: (hidden, changed)\n   b: (hidden)\n+  c: (hidden)\n" in text
    for value in ("b2xk", "bmV3", "c2FtZQ", "bW9yZQ"):
        assert value not in text


def test_a_new_secret_is_hidden_too() -> None:
    """A Secret that comes into being shows its keys."""
    new = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "word"}}

    text = unified_diff(None, new)

    assert "+  a: (hidden)\n" in text
    assert "word" not in text


def test_long_values_stay_in_one_line() -> None:
    """A line of the difference is a line of the object, whatever its length."""
    after = deployment("aerolite:" + "word " * 60)

    assert "+        image: 'aerolite:word" in unified_diff(deployment(), after)
