"""Create the Secrets that an overlay wants and the cluster lacks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence

from service.deploy.credentials import (
    Recipes,
    SecretData,
    Wanted,
    compose,
    needed,
    random_value,
    wanted_secrets,
)
from service.deploy.errors import ApiProblem, ConfigurationProblem
from service.deploy.objects import Manifest, Ref
from service.deploy.options import SERVICE_NAME
from service.deploy.resources import Resources

# Somebody else may create one of them at the same moment; then theirs counts, and what quotes it
# is composed anew.
ATTEMPTS = 3


async def compose_missing(
    resources: Resources,
    manifests: Sequence[Manifest],
    recipes: Recipes,
    make_random: Callable[[], str] = random_value,
) -> dict[str, SecretData]:
    """Compose, without creating them, the Secrets that the pods want and the cluster lacks.

    Those that others quote come first. Raises `ConfigurationProblem` for a Secret that is neither
    there nor in the recipes, and for one that is there without a key that a pod needs: it is
    somebody's, so it is not touched.
    """
    wanted = wanted_secrets(manifests)
    known: dict[str, SecretData] = {}
    missing: dict[str, SecretData] = {}
    for name in needed(recipes, wanted):
        data = await _read(resources, name)
        if data is None and name in recipes:
            data = missing[name] = compose(recipes, name, known, make_random)
        _require(name, wanted.get(name, Wanted()), data)
        known[name] = data or {}
    return missing


async def create_missing(
    resources: Resources,
    manifests: Sequence[Manifest],
    recipes: Recipes,
    make_random: Callable[[], str] = random_value,
) -> list[str]:
    """Create what is missing and return the names; what is there is never overwritten."""
    created: list[str] = []
    for _ in range(ATTEMPTS):
        missing = await compose_missing(resources, manifests, recipes, make_random)
        if await _create_all(resources, missing, created):
            return created
    raise ConfigurationProblem("somebody else keeps creating the same Secrets: run deploy again")


async def _create_all(resources: Resources, missing: Mapping[str, SecretData], created: list[str]) -> bool:
    for name, data in missing.items():
        try:
            await resources.create(_manifest(resources, name, data))
        except ApiProblem as problem:
            if problem.reason == "AlreadyExists":
                return False
            raise
        created.append(name)
    return True


async def _read(resources: Resources, name: str) -> SecretData | None:
    live = await resources.get(Ref("v1", "Secret", resources.cluster.namespace, name))
    if live is None:
        return None
    return {
        key: base64.b64decode(value).decode(errors="replace")
        for key, value in (live.get("data") or {}).items()
    }


def _require(name: str, wanted: Wanted, data: SecretData | None) -> None:
    if data is None:
        if wanted.optional:
            return
        raise ConfigurationProblem(
            f"the pods need the Secret {name}, which is neither in the cluster nor in secrets.yaml"
        )
    if lacking := sorted(wanted.keys - data.keys()):
        raise ConfigurationProblem(f"the Secret {name} lacks {', '.join(lacking)}, which the pods need")


def _manifest(resources: Resources, name: str, data: SecretData) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": resources.cluster.namespace,
            "labels": {"app.kubernetes.io/part-of": SERVICE_NAME},
        },
        "type": "Opaque",
        "stringData": data,
    }
