"""Put the images of the command line into rendered objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, containers
from service.deploy.options import SERVICE_NAME

# [registry[:port]/]path[:tag][@digest], as in the distribution project's reference grammar.
_REFERENCE = re.compile(
    r"(?P<repository>[a-zA-Z0-9][a-zA-Z0-9._-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)"
    r"(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def override_images(manifests: Iterable[Manifest], overrides: Sequence[str]) -> None:
    """Replace, in place, the image of every container that an override names.

    An override is `REFERENCE`, for the image `aerolite`, or `NAME=REFERENCE`; the name of an image
    is the last part of its repository (`aerolite` for `ghcr.io/somebody/aerolite:1.2`).
    Raises `ConfigurationProblem` for a malformed reference and a name that no container uses.
    """
    wanted = dict(map(_parse, overrides))
    used: set[str] = set()
    for manifest in manifests:
        for container in containers(manifest):
            name = image_name(str(container.get("image", "")))
            used.add(name)
            if name in wanted:
                container["image"] = wanted[name]
    if unused := sorted(wanted.keys() - used):
        raise ConfigurationProblem(
            f"no container runs an image called {', '.join(unused)};"
            f" the overlay has {', '.join(sorted(used)) or 'none'}"
        )


def image_name(reference: str) -> str:
    """Return the last part of a reference's repository, without tag and digest."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _parse(override: str) -> tuple[str, str]:
    name, equals, reference = override.rpartition("=")
    if not equals:
        name = SERVICE_NAME
    if not name or not _REFERENCE.fullmatch(reference):
        raise ConfigurationProblem(
            f"--image {override!r} is no image: give REFERENCE or NAME=REFERENCE,"
            " like ghcr.io/somebody/aerolite:1.2"
        )
    return name, reference
