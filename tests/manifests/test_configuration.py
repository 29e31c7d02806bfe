"""What the pods are told: settings that exist, and Secrets that are nowhere in the repository."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from service.deploy.credentials import compose, load_recipes, needed, wanted_secrets
from service.settings import SETTINGS, AuthMode, Settings

from .rendered import MANIFESTS, ROOT, Object, Overlay, Pod

NAMES = {setting.name for setting in SETTINGS}
CREDENTIALS_IN_URL = re.compile(r"://[^/\s{]*:(?!%s@)[^@/\s{]+@")
SCHEMES = {
    "local": ("sqlite", "sqlite", "sqlite"),
    "cloud-redis": ("redis", "duckdb", "redis"),
    "cloud-postgres": ("postgresql", "postgresql", "postgresql"),
    "full": ("redis", "postgresql", "redis"),
    "gke": ("redis", "duckdb", "redis"),
    "aws": ("redis", "duckdb", "redis"),
    "full+debug": ("redis", "postgresql", "redis"),
}
"""The schemes of storage, database and queue."""


def own_pods(overlay: Overlay) -> list[Pod]:
    """Return the pods that run the service."""
    return [pod for pod in overlay.pods if pod.role in {"api", "worker"}]


def secrets(overlay: Overlay) -> dict[str, dict[str, str]]:
    """Make the Secrets of an overlay as `aerolite deploy` does."""
    recipes = load_recipes(MANIFESTS / "secrets.yaml")
    made: dict[str, dict[str, str]] = {}
    for name in needed(recipes, wanted_secrets(overlay.objects)):
        made[name] = compose(recipes, name, made)
    return made


def files(pod: Pod, made: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the files that Secrets put into a pod, by path."""
    (container,) = pod.containers
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    return {
        str(PurePosixPath(mounts[volume["name"]], item["path"])): made[volume["secret"]["secretName"]][
            item["key"]
        ]
        for volume in pod.spec["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    }


def image_environment() -> dict[str, str]:
    """Return the settings that the image itself states."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stated = re.findall(r"^(?:ENV)?\s+([A-Z_]+)=(\S+)", text, re.MULTILINE)
    return {name: value for name, value in stated if name in NAMES}


def environment(overlay: Overlay, pod: Pod) -> dict[str, str]:
    """Return a pod's whole environment, over that of the image."""
    (container,) = pod.containers
    return image_environment() | overlay.environment(container)


def test_every_variable_is_a_setting(overlay: Overlay) -> None:
    """The service's pods get variables that the service reads, each by its name or as a file."""
    for pod in own_pods(overlay):
        (container,) = pod.containers
        known = NAMES | {f"{name}_FILE" for name in NAMES}
        assert overlay.environment(container).keys() <= known


def test_the_service_starts_with_what_it_is_told(overlay: Overlay) -> None:
    """Image, ConfigMap and Secrets together are valid settings, for the stores of the overlay."""
    made = secrets(overlay)
    for pod in own_pods(overlay):
        mounted = files(pod, made)
        told = {}
        for name, text in environment(overlay, pod).items():
            if text and name.endswith("_FILE"):
                # Kubernetes cannot mount here, so the file's content stands for its path.
                assert not environment(overlay, pod).get(name.removesuffix("_FILE"))
                told[name.removesuffix("_FILE")] = mounted[text]
            elif text:
                told[name] = text
        settings = Settings.from_env(told)
        stores = (settings.storage_url, settings.database, settings.queue)
        assert tuple(url.scheme for url in stores) == SCHEMES[overlay.name]


def test_only_the_local_overlay_is_open(overlay: Overlay) -> None:
    """Whoever can be reached from outside asks for keys; the first key goes to the API alone."""
    for pod in own_pods(overlay):
        told = environment(overlay, pod)
        expected = AuthMode.OPEN if overlay.name == "local" else AuthMode.KEYS
        assert told["AUTH_MODE"] == expected
        wants_key = pod.role == "api" and overlay.name != "local"
        assert bool(told.get("ADMIN_KEY_FILE")) is wants_key


def test_the_local_overlay_needs_no_secret(overlays: dict[str, Overlay]) -> None:
    """`kubectl apply -k` of the local overlay is all there is to do."""
    assert not wanted_secrets(overlays["local"].objects)


def test_urls_lead_to_services_of_the_overlay(overlay: Overlay) -> None:
    """Host and port in each URL that is made are those of a Service beside it."""
    for made in secrets(overlay).values():
        if "url" in made:
            host, port = re.search(r"@([a-z-]+):(\d+)/", made["url"]).groups()
            ports = overlay.find("Service", host)["spec"]["ports"]
            assert int(port) in [each["port"] for each in ports]
            assert made["password"] in made["url"]


def test_every_recipe_is_used(overlays: dict[str, Overlay]) -> None:
    """Each key of each Secret that can be made is read by a pod of some overlay."""
    wanted = {
        (name, key)
        for overlay in overlays.values()
        for name, entry in wanted_secrets(overlay.objects).items()
        for key in entry.keys
    }
    recipes = load_recipes(MANIFESTS / "secrets.yaml")
    assert wanted == {(name, key) for name, keys in recipes.items() for key in keys}


def test_a_pod_gets_no_key_of_a_secret_that_it_does_not_read(overlay: Overlay) -> None:
    """Secrets are mounted key by key, and every mounted file is named somewhere in its pod."""
    for pod in overlay.pods:
        (container,) = pod.containers
        text = f"{container} {overlay.environment(container)}"
        for path in files(pod, secrets(overlay)):
            assert path in text, (pod.owner, path)


def test_secrets_are_read_by_their_group_only(overlay: Overlay) -> None:
    """Files of Secrets are readable by the pod's group and by nobody else."""
    for pod in overlay.pods:
        for volume in pod.spec["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
                assert pod.spec["securityContext"]["fsGroup"] == 65532


def test_no_secret_is_rendered(overlay: Overlay) -> None:
    """An overlay holds no Secret, no URL with a password, and no variable that is one."""
    assert not overlay.of_kind("Secret")
    assert not CREDENTIALS_IN_URL.search(overlay.text)
    for pod in overlay.pods:
        for container in pod.containers:
            for name, text in overlay.environment(container).items():
                if re.search("PASSWORD|KEY|TOKEN|SECRET", name):
                    assert name.endswith("_FILE"), f"{pod.owner}: {name}={text}"


def test_no_secret_is_in_the_repository() -> None:
    """No file of manifests/ holds a Secret or a URL with a password."""
    for path in MANIFESTS.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"^kind:\s*Secret\s*$", text, re.MULTILINE), path
            assert not CREDENTIALS_IN_URL.search(text), path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("redis://:hunter2@redis:6379/0", True),
        ("postgresql://me:hunter2@db/x", True),
        ("redis://:{aerolite-redis/password}@aerolite-redis:6379/0", False),
        ("redis://:%s@aerolite-redis:6379/0", False),
        ("redis://redis:6379/0", False),
    ],
)
def test_a_password_in_a_url_is_seen(text: str, found: bool) -> None:
    """The pattern finds a password in a URL, and takes no placeholder for one."""
    assert bool(CREDENTIALS_IN_URL.search(text)) is found


def test_a_changed_configuration_rolls_the_pods(overlay: Overlay) -> None:
    """Names of ConfigMaps end in a hash of their content, and pods refer to them by that name."""
    names = {each["metadata"]["name"] for each in overlay.of_kind("ConfigMap")}
    assert all(re.fullmatch(r"aerolite(-redis)?-[a-z0-9]{10}", name) for name in names)
    used: set[str] = set()
    for pod in overlay.pods:
        used |= {_config_map(volume) for volume in pod.spec["volumes"] if "configMap" in volume}
        for container in pod.containers:
            used |= {each["configMapRef"]["name"] for each in container.get("envFrom", [])}
    assert used == names


def _config_map(volume: Object) -> str:
    return volume["configMap"]["name"]
