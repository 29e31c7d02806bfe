"""The whole of `aerolite deploy`, top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from service.deploy.access import require_access
from service.deploy.cluster import Cluster, Patience
from service.deploy.credentials import Recipes, load_recipes
from service.deploy.diagnose import diagnose
from service.deploy.diff import unified_diff
from service.deploy.errors import ApiProblem, ConfigurationProblem, DeployError, RolloutFailed
from service.deploy.follow import Overtaken, Stalled, wait_for_rollouts
from service.deploy.images import override_images
from service.deploy.objects import Manifest, Ref, is_workload, ref_of
from service.deploy.options import SERVICE_NAME, DeployOptions
from service.deploy.plan import Plan, find_namespace, make_plan, unchecked_plan
from service.deploy.progress import Progress
from service.deploy.provide import compose_missing, create_missing
from service.deploy.render import render
from service.deploy.resources import Resources
from service.deploy.restore import Change, Restored, put_back
from service.deploy.smoke import SmokeTestFailed, smoke_test
from service.deploy.validate import validate


async def deploy(options: DeployOptions, progress: Progress, patience: Patience | None = None) -> None:
    """Bring an overlay to a cluster, or leave the cluster as it was.

    Raises `ConfigurationProblem` before anything is applied, `RolloutFailed` after what ran before
    was put back; both say in one sentence what was wrong.
    """
    progress.step(f"Render {options.overlay}")
    manifests = await render(options.manifests, options.overlay, options.target.namespace)
    await validate(manifests)
    override_images(manifests, options.images)
    recipes = load_recipes(options.manifests / "secrets.yaml")
    async with Cluster(options.target, patience) as cluster:
        await _Deployment(Resources(cluster), options, manifests, recipes, progress).run()


class _Deployment:
    """One deploy of one overlay to one cluster."""

    def __init__(
        self,
        resources: Resources,
        options: DeployOptions,
        manifests: Sequence[Manifest],
        recipes: Recipes,
        progress: Progress,
    ) -> None:
        self._resources = resources
        self._options = options
        self._manifests = manifests
        self._recipes = recipes
        self._progress = progress
        self._changes: list[Change] = []

    async def run(self) -> None:
        """Check everything, then change everything."""
        cluster = self._resources.cluster
        self._progress.step(f"Check with {cluster.context}, namespace {cluster.namespace}")
        with _nothing_applied():
            await cluster.greet()
            await require_access(cluster)
            new_namespace = await find_namespace(self._resources, self._manifests)
            if self._options.dry_run:
                await self._show_changes(new_namespace)
                return
            plan = await self._checked_plan(new_namespace)
            await self._create_secrets()
        try:
            await self._carry_out(plan)
        except Overtaken as failure:
            raise RolloutFailed(f"{failure}; nothing was put back, it is theirs now") from failure
        except DeployError as failure:
            await self._diagnose(failure, plan)
            raise RolloutFailed(f"{failure}; {await self._put_back()}") from failure

    async def _show_changes(self, new_namespace: Ref | None) -> None:
        if new_namespace:
            plan = await unchecked_plan(self._resources, self._manifests)
            self._progress.note(
                f"the namespace {new_namespace.name} is not there yet,"
                " so the server could not try what goes into it"
            )
        else:
            plan = await make_plan(self._resources, self._manifests)
        for name, data in (await self._missing_secrets()).items():
            self._progress.note(f"Secret/{name} would be created with {', '.join(data)}")
        for step in plan.steps:
            if text := unified_diff(step.live, step.outcome):
                self._progress.diff(text)
            else:
                self._progress.note(f"{step.ref} stays as it is")

    async def _checked_plan(self, new_namespace: Ref | None) -> Plan:
        """Let the server try everything; a namespace made for that goes again where it fails."""
        namespace = None
        if new_namespace:
            stated = [one for one in self._manifests if ref_of(one) == new_namespace]
            namespace = await self._resources.apply(stated[0])
        try:
            plan = await make_plan(self._resources, self._manifests)
            await self._missing_secrets()
        except BaseException:
            if namespace is not None:
                await self._resources.delete(namespace)
            raise
        return plan

    async def _missing_secrets(self) -> dict[str, dict[str, str]]:
        return await compose_missing(self._resources, self._manifests, self._recipes)

    async def _create_secrets(self) -> None:
        for name in await create_missing(self._resources, self._manifests, self._recipes):
            self._progress.note(f"Secret/{name} created")

    async def _carry_out(self, plan: Plan) -> None:
        self._progress.step("Apply")
        for step in plan.steps:
            applied = await self._resources.apply(step.manifest)
            change = Change(step.live, applied)
            self._changes.append(change)
            verb = "created" if step.live is None else "changed" if change.is_real else "unchanged"
            self._progress.note(f"{step.ref} {verb}")
        if not self._options.wait:
            return
        await self._wait([one.after for one in self._changes if is_workload(one.after)])
        if plan.has_service:
            self._progress.step("Ask for data under the first and the newest contract")
            await smoke_test(self._resources, SERVICE_NAME, self._progress.note)

    async def _wait(self, workloads: Sequence[Manifest]) -> None:
        self._progress.step("Wait for the rollout")
        await wait_for_rollouts(
            self._resources.cluster, workloads, self._progress.rollout, self._options.timeout_s
        )

    async def _diagnose(self, failure: DeployError, plan: Plan) -> None:
        self._progress.step(f"Failed: {failure}")
        match failure:
            case Stalled(workload=workload):
                suspects = [workload]
            case SmokeTestFailed():
                suspects = [ref for ref in plan.workloads if ref.name == SERVICE_NAME]
            case _:
                suspects = []
        for suspect in suspects:
            self._progress.diagnosis(await diagnose(self._resources, suspect))

    async def _put_back(self) -> str:
        """Undo what was applied, and say how that went."""
        self._progress.step("Put back what ran before")
        restored = await put_back(self._resources, self._changes)
        for ref in restored.kept:
            self._progress.note(f"{ref} is new and stays: it may hold data")
        for problem in restored.problems:
            self._progress.note(problem)
        if restored.problems:
            return "what ran before is back only in part"
        return await self._see_it_run(restored)

    async def _see_it_run(self, restored: Restored) -> str:
        if not restored.workloads:
            gone = restored.removed or restored.kept
            return "nothing ran before, and what was new is gone" if gone else "nothing had changed"
        try:
            await self._wait(restored.workloads)
        except DeployError as problem:
            return f"what ran before was put back, but is not ready: {problem}"
        return "what ran before was put back"


@contextmanager
def _nothing_applied() -> Iterator[None]:
    """Turn a refusal into a configuration problem: up to here, nothing was applied."""
    try:
        yield
    except ApiProblem as problem:
        raise ConfigurationProblem(f"nothing was applied: {problem}") from problem
