"""Finding out why a rollout failed."""

from __future__ import annotations

import pytest

from service.deploy.diagnose import diagnose
from service.deploy.objects import Ref
from service.deploy.resources import Resources

from . import overlays as made
from .kube_api import KubeApi

SERVICE = Ref("apps/v1", "Deployment", "aerolite", "aerolite")


@pytest.fixture
def workload(api: KubeApi) -> KubeApi:
    """Apply a Deployment whose pods need a Secret that is not there."""
    api.make_namespace()
    manifest = made.deployment()
    manifest["metadata"]["namespace"] = "aerolite"
    api.store.put(("deployments", "aerolite", "aerolite"), manifest)
    return api


async def test_a_container_that_never_started_has_reasons_and_no_log(
    workload: KubeApi, resources: Resources
) -> None:
    """The kubelet's reason says what is missing."""
    diagnosis = await diagnose(resources, SERVICE)

    assert any(
        'CreateContainerConfigError secret "aerolite-store" not found' in one for one in diagnosis.reasons
    )
    assert any("Ready is False: not ready" in one for one in diagnosis.reasons)
    assert not diagnosis.logs


async def test_conditions_of_the_workload_come_first(workload: KubeApi, resources: Resources) -> None:
    """A quota or a policy that forbids pods stands in the Deployment's conditions; good news do not."""
    conditions = [
        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
        {"type": "ReplicaFailure", "status": "False", "message": "fine"},
        {"type": "Available", "status": "True", "message": "fine"},
        {"type": "Progressing", "status": "False"},
    ]
    workload.store.set_status(("deployments", "aerolite", "aerolite"), conditions=conditions)

    diagnosis = await diagnose(resources, SERVICE)

    assert diagnosis.reasons[0] == "ReplicaFailure is True: exceeded quota"
    assert not any("fine" in reason for reason in diagnosis.reasons)


async def test_what_may_not_be_read_is_said(workload: KubeApi, resources: Resources) -> None:
    """A diagnosis without rights tells what it has and why it has no more."""
    workload.denied.add(("get", "events"))

    diagnosis = await diagnose(resources, SERVICE)

    assert "the cluster does not tell more: " in diagnosis.reasons[-1]


async def test_a_log_that_may_not_be_read_is_said(workload: KubeApi, resources: Resources) -> None:
    """The log's place says why it is empty."""
    workload.denied.add(("get", "pods/log"))

    diagnosis = await diagnose(resources, SERVICE)

    assert diagnosis.logs[0].text.startswith("no log: ")


async def test_a_workload_that_is_gone(api: KubeApi, resources: Resources) -> None:
    """There is nothing to say of it."""
    api.make_namespace()

    diagnosis = await diagnose(resources, SERVICE)

    assert (diagnosis.reasons, diagnosis.events, diagnosis.logs) == ([], [], [])
