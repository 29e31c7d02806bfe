"""Images from the command line."""

from __future__ import annotations

import pytest

from service.deploy.errors import ConfigurationProblem
from service.deploy.images import image_name, override_images
from service.deploy.objects import containers

from .overlays import configuration, deployment, statefulset

DIGEST = "sha256:" + "0" * 64


def images(*overrides: str) -> list[str]:
    """Override the images of a service with a worker and a store."""
    worker = deployment("ghcr.io/somebody/aerolite:1@" + DIGEST, "worker")
    worker["spec"]["template"]["spec"]["initContainers"] = [{"name": "wait", "image": "redis:7"}]
    manifests = [deployment("aerolite:1"), worker, statefulset("redis:7"), configuration()]
    override_images(manifests, overrides)
    return [container["image"] for one in manifests for container in containers(one)]


def test_a_reference_alone_is_the_service() -> None:
    """It goes to every container that runs the service, wherever its image came from."""
    assert images("aerolite:2") == ["aerolite:2", "redis:7", "aerolite:2", "redis:7"]


def test_a_name_says_which_image() -> None:
    """`NAME=REFERENCE` goes to the image of that name, init containers included."""
    local = f"localhost:5000/redis@{DIGEST}"
    assert images(f"redis={local}", "registry:5000/x/aerolite:2")[1:] == [
        local,
        "registry:5000/x/aerolite:2",
        local,
    ]


def test_no_override_changes_nothing() -> None:
    """Without `--image` the overlay's own images stay."""
    assert images()[0] == "aerolite:1"


@pytest.mark.parametrize("override", ["", "=", "aerolite=", "=x:1", "two words", "a:b:c", "x@sha256:1", "-x"])
def test_a_malformed_reference(override: str) -> None:
    """What is no image is refused with what one looks like."""
    with pytest.raises(ConfigurationProblem, match="is no image: give REFERENCE or NAME=REFERENCE"):
        images(override)


def test_an_image_that_no_container_runs() -> None:
    """A name that is not in the overlay is answered with those that are."""
    with pytest.raises(ConfigurationProblem, match="called postgres; the overlay has aerolite, redis"):
        images("postgres=postgres:17")


def test_the_name_of_an_image() -> None:
    """The name is the last part of the repository."""
    for reference in ("aerolite", "aerolite:1", f"ghcr.io/x/aerolite:1@{DIGEST}", "host:5000/aerolite"):
        assert image_name(reference) == "aerolite"
