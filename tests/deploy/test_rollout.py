"""When a rollout counts as done."""

from __future__ import annotations

from typing import Any

import pytest

from service.deploy.rollout import rollout_state


def deployment(generation: int = 2, wanted: int = 3, **status: Any) -> dict[str, Any]:
    """Return a Deployment with this status."""
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 2, **status},
    }


def statefulset(strategy: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return a StatefulSet of three replicas with this status."""
    return {
        "kind": "StatefulSet",
        "metadata": {"generation": 2},
        "spec": {"replicas": 3, "updateStrategy": strategy or {"type": "RollingUpdate"}},
        "status": {"observedGeneration": 2, **status},
    }


PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
STALLED = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (deployment(generation=3), "waiting for the controller to see the change"),
        (deployment(updatedReplicas=1, replicas=4), "1 of 3 replicas are updated"),
        (deployment(updatedReplicas=3, availableReplicas=3, replicas=4), "old replicas still to end: 1"),
        (deployment(updatedReplicas=3, availableReplicas=2, replicas=3), "2 of 3 replicas are available"),
        (deployment(conditions=[{"type": "Progressing"}]), "0 of 3 replicas are updated"),
        (statefulset(observedGeneration=1), "waiting for the controller to see the change"),
        (statefulset(observedGeneration=0), "waiting for the controller to see the change"),
        (statefulset(readyReplicas=2), "2 of 3 replicas are ready"),
        (statefulset(PARTITION, readyReplicas=3, updatedReplicas=1), "1 of 3 replicas are updated"),
        (
            statefulset(readyReplicas=3, updatedReplicas=2, updateRevision="b", currentRevision="a"),
            "2 of 3 replicas are updated",
        ),
    ],
)
def test_a_rollout_that_goes_on(workload: dict[str, Any], message: str) -> None:
    """Each state that kubectl waits in is one to wait in here, and has a sentence."""
    state = rollout_state(workload)

    assert (state.done, state.failed) == (False, False)
    assert state.message == message
    assert state.ready <= state.wanted == 3


@pytest.mark.parametrize(
    "workload",
    [
        deployment(updatedReplicas=3, availableReplicas=3, replicas=3),
        deployment(wanted=0) | {"status": {"observedGeneration": 2}},
        statefulset(readyReplicas=3, updatedReplicas=3, updateRevision="b", currentRevision="b"),
        statefulset(PARTITION, readyReplicas=3, updatedReplicas=2),
        statefulset({"type": "OnDelete"}, readyReplicas=1),
    ],
)
def test_a_rollout_that_is_done(workload: dict[str, Any]) -> None:
    """All replicas are updated and available, or the rest is not the controller's to do."""
    assert rollout_state(workload).done


def test_a_progress_deadline_is_a_failure() -> None:
    """A Deployment that exceeded its progress deadline will not be done by waiting."""
    state = rollout_state(deployment(updatedReplicas=1, conditions=STALLED))

    assert (state.done, state.failed) == (False, True)


def test_a_deadline_of_the_template_before_does_not_count() -> None:
    """Conditions speak of the generation that the controller has seen."""
    assert not rollout_state(deployment(generation=3, conditions=STALLED)).failed
