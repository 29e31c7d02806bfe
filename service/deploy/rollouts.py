"""`aerolite rollout status | undo | restart`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from service.deploy.cluster import Cluster, Patience
from service.deploy.diagnose import diagnose
from service.deploy.errors import ApiProblem, ConfigurationProblem
from service.deploy.follow import Stalled, wait_for_rollouts
from service.deploy.history import choose, go_back, revisions
from service.deploy.objects import WORKLOADS, Manifest, Ref, ref_of
from service.deploy.options import SERVICE_NAME, RolloutOptions
from service.deploy.progress import Progress
from service.deploy.resources import MERGE_PATCH, Resources
from service.deploy.rollout import rollout_state

# The annotation that `kubectl rollout restart` sets too.
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


async def rollout_status(
    options: RolloutOptions, progress: Progress, patience: Patience | None = None
) -> None:
    """Show how far rollouts are (all of the namespace, without a name), and wait for their end.

    Raises `Stalled` where one will not be done.
    """
    async with _connected(options, patience) as resources:
        if options.name:
            workloads = [await _find(resources, options.name)]
        else:
            workloads = await _all(resources)
        if options.wait:
            await _wait(resources, workloads, options, progress)
            return
        for workload in workloads:
            progress.rollout(ref_of(workload), rollout_state(workload))


async def rollout_undo(
    options: RolloutOptions,
    to_revision: int | None,
    progress: Progress,
    patience: Patience | None = None,
) -> None:
    """Give a workload the pod template that it had before, or that of a numbered revision.

    Raises `ConfigurationProblem` where there is no such revision.
    """
    async with _connected(options, patience) as resources:
        workload = await _find(resources, options.name or SERVICE_NAME)
        ref = ref_of(workload)
        revision = choose(await revisions(resources, workload), to_revision, str(ref))
        progress.step(f"Bring {ref} back to revision {revision.number}")
        changed = await go_back(resources, workload, revision)
        if options.wait:
            await _wait(resources, [changed], options, progress)


async def rollout_restart(
    options: RolloutOptions, progress: Progress, patience: Patience | None = None
) -> None:
    """Replace a workload's pods, by its own strategy, without another change."""
    async with _connected(options, patience) as resources:
        workload = await _find(resources, options.name or SERVICE_NAME)
        progress.step(f"Restart {ref_of(workload)}")
        annotations = {RESTARTED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
        body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        changed = await resources.patch(ref_of(workload), body, MERGE_PATCH)
        if options.wait:
            await _wait(resources, [changed], options, progress)


@asynccontextmanager
async def _connected(options: RolloutOptions, patience: Patience | None) -> AsyncIterator[Resources]:
    async with Cluster(options.target, patience) as cluster:
        await cluster.greet()
        try:
            yield Resources(cluster)
        except ApiProblem as problem:
            if problem.status == 403:
                raise ConfigurationProblem(str(problem)) from problem
            raise


async def _find(resources: Resources, name: str) -> Manifest:
    kind, slash, plain = name.rpartition("/")
    kinds = [one for one in WORKLOADS if not slash or one.lower() == kind.lower()]
    for one in kinds:
        live = await resources.get(Ref("apps/v1", one, resources.cluster.namespace, plain))
        if live is not None:
            return live
    raise ConfigurationProblem(
        f"the namespace {resources.cluster.namespace} has no {' or '.join(kinds) or 'workload'} called {name}"
    )


async def _all(resources: Resources) -> list[Manifest]:
    workloads = [
        workload
        for plural in ("deployments", "statefulsets")
        for workload in await resources.list_all("apps/v1", plural)
    ]
    if not workloads:
        raise ConfigurationProblem(f"nothing runs in the namespace {resources.cluster.namespace}")
    return workloads


async def _wait(
    resources: Resources, workloads: Sequence[Manifest], options: RolloutOptions, progress: Progress
) -> None:
    try:
        await wait_for_rollouts(resources.cluster, workloads, progress.rollout, options.timeout_s)
    except Stalled as stalled:
        progress.diagnosis(await diagnose(resources, stalled.workload))
        raise
