"""All that can be known before anything changes: what is there, and what an apply would make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.deploy.errors import ApiProblem, ConfigurationProblem, Unreachable
from service.deploy.objects import Manifest, Ref, is_workload, ref_of
from service.deploy.options import SERVICE_NAME
from service.deploy.resources import Resources


@dataclass(frozen=True)
class Step:
    """One object of the plan: as it is (None: not there), as it is stated, as it would be."""

    live: Manifest | None
    manifest: Manifest
    outcome: Manifest

    @property
    def ref(self) -> Ref:
        """Name the object."""
        return ref_of(self.manifest)


@dataclass(frozen=True)
class Plan:
    """The steps in the order of their apply."""

    steps: Sequence[Step]

    @property
    def workloads(self) -> list[Ref]:
        """Name what has a rollout to wait for."""
        return [step.ref for step in self.steps if is_workload(step.manifest)]

    @property
    def has_service(self) -> bool:
        """Tell whether there is a Service to ask for data."""
        return any(step.ref.kind == "Service" and step.ref.name == SERVICE_NAME for step in self.steps)


async def find_namespace(resources: Resources, manifests: Sequence[Manifest]) -> Ref | None:
    """Return the namespace where it has yet to be made, None where it is there.

    Raises `ConfigurationProblem` where it is neither in the cluster nor in the overlay, or going.
    """
    name = resources.cluster.namespace
    ref = Ref("v1", "Namespace", None, name)
    live = await resources.get(ref)
    if live is not None:
        if live["metadata"].get("deletionTimestamp"):
            raise ConfigurationProblem(f"the namespace {name} is being deleted: try again later")
        return None
    if ref not in map(ref_of, manifests):
        raise ConfigurationProblem(f"there is no namespace {name}, and the overlay makes none")
    return ref


async def make_plan(resources: Resources, manifests: Sequence[Manifest]) -> Plan:
    """Read each object and let the server try the apply, without effect (`dryRun=All`).

    Raises `ConfigurationProblem` that names the object that the server would not take.
    """
    steps = []
    for manifest in manifests:
        try:
            live = await resources.get(ref_of(manifest))
            outcome = await resources.apply(manifest, dry_run=True)
        except Unreachable:
            raise
        except ApiProblem as problem:
            raise ConfigurationProblem(
                f"the cluster does not take {ref_of(manifest)}: {problem}"
            ) from problem
        steps.append(Step(live, manifest, outcome))
    return Plan(steps)


async def unchecked_plan(resources: Resources, manifests: Sequence[Manifest]) -> Plan:
    """Return a plan for a namespace to come: the server tries nothing in one that is not there."""
    for manifest in manifests:
        await resources.path(ref_of(manifest))  # raises for a kind that the cluster does not know
    return Plan([Step(None, manifest, manifest) for manifest in manifests])
