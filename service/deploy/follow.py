"""Wait until rollouts are done, and no longer than it takes to see that they will not be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from service.deploy.cluster import Cluster
from service.deploy.errors import RolloutFailed
from service.deploy.objects import Manifest, Ref, ref_of
from service.deploy.pods import new_pods, troubles
from service.deploy.resources import collection_path
from service.deploy.rollout import RolloutState, rollout_state
from service.deploy.watch import Mirror

ShowState = Callable[[Ref, RolloutState], None]

_WATCHED = (
    ("apps/v1", "deployments"),
    ("apps/v1", "statefulsets"),
    ("apps/v1", "replicasets"),
    ("v1", "pods"),
)


class Stalled(RolloutFailed):
    """A rollout that will not be done; `workload` says whose."""

    def __init__(self, workload: Ref, cause: str) -> None:
        super().__init__(f"{workload}: {cause}")
        self.workload = workload


class Overtaken(RolloutFailed):
    """Somebody else gave a workload another pod template while its rollout was watched."""


async def wait_for_rollouts(
    cluster: Cluster, workloads: Iterable[Manifest], show: ShowState, timeout_s: float
) -> None:
    """Return when every rollout is done; `workloads` are as the API server answered our change.

    Raises `Stalled` at the first pod that cannot start, at a progress deadline, after
    `timeout_s`, and where a workload is gone; `Overtaken`; `ApiProblem` where the API server
    refuses to tell.
    """
    templates = {ref_of(workload): workload["spec"]["template"] for workload in workloads}
    view = _View(cluster, templates, show)
    keeping = [asyncio.ensure_future(mirror.run()) for mirror in view.mirrors.values()]
    try:
        async with asyncio.timeout(timeout_s):
            await _until_done(view, keeping)
    except TimeoutError:
        raise view.overdue(timeout_s) from None
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


async def _until_done(view: _View, keeping: Sequence[asyncio.Future[None]]) -> None:
    while not view.done():
        view.changed.clear()
        change = asyncio.ensure_future(view.changed.wait())
        awaited: list[asyncio.Future[Any]] = [change, *keeping]
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
        for task in keeping:
            if task.done():  # a mirror ends only by its failure
                task.result()


class _View:
    """The workloads of interest, and all that tells how they fare."""

    def __init__(self, cluster: Cluster, templates: Mapping[Ref, Manifest], show: ShowState) -> None:
        self.changed = asyncio.Event()
        self.mirrors = {
            plural: Mirror(cluster, collection_path(api_version, cluster.namespace, plural), self.changed)
            for api_version, plural in _WATCHED
        }
        self._templates = templates
        self._show = show
        self._shown: dict[Ref, RolloutState] = {}

    def done(self) -> bool:
        """Tell whether all rollouts are done, and show what is new; raises `Stalled`."""
        if not all(mirror.listed for mirror in self.mirrors.values()):
            return False
        states = [self._judge(ref) for ref in self._templates]
        return all(state.done for state in states)

    def overdue(self, timeout_s: float) -> Stalled:
        """Say which rollout was not done in time."""
        silent = RolloutState(0, 0, "the API server told nothing")
        states = [(ref, self._shown.get(ref, silent)) for ref in self._templates]
        ref, state = next((ref, state) for ref, state in states if not state.done)
        return Stalled(ref, f"not done after {timeout_s:.0f} s: {state.message}")

    def _judge(self, ref: Ref) -> RolloutState:
        workload = self._live(ref)
        state = rollout_state(workload)
        if state != self._shown.get(ref):
            self._shown[ref] = state
            self._show(ref, state)
        if state.failed:
            raise Stalled(ref, state.message)
        if not state.done:
            pods = new_pods(workload, self._objects("replicasets"), self._objects("pods"))
            for trouble in troubles(pods):
                raise Stalled(ref, str(trouble))
        return state

    def _live(self, ref: Ref) -> Manifest:
        plural = "statefulsets" if ref.kind == "StatefulSet" else "deployments"
        workload = self.mirrors[plural].objects.get(ref.name)
        if workload is None:
            raise Stalled(ref, "it is not in the cluster any more")
        if workload["spec"]["template"] != self._templates[ref]:
            raise Overtaken(f"{ref} was changed by somebody else meanwhile")
        return workload

    def _objects(self, plural: str) -> Iterable[Manifest]:
        return self.mirrors[plural].objects.values()
