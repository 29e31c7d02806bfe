"""Copying by a job: everything in the service's storage into the one that `COPY_URL` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.domain.access import Scope
from service.domain.errors import InvalidContent
from service.ports.clock import Clock
from service.ports.storage import Storage
from service.usecases.copying import Copying, Phase, Step
from service.usecases.jobs.kinds import Attempt, JobType, no_more_than

_BEGUN = {Phase.COPYING: 0.0, Phase.COMPARING: 0.5, Phase.VERIFYING: 0.5}
"""How much of a dataset's copy is done when a phase begins."""

_DATASETS = 0.99
"""The share of the progress that datasets have; documents are the rest."""


class CopyJob(JobType):
    """Copies as `aerolite copy` does: what is there already is passed over, so it can be begun anew.

    `target` opens the storage to copy to; None where the operator has named none.
    """

    name = "copy"
    scope = Scope.ADMIN

    def __init__(self, source: Storage, target: Callable[[], Storage] | None, clock: Clock) -> None:
        self._source = source
        self._target = target
        self._clock = clock

    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take `replace`, whether what the target has under the same names gives way.

        Raises `InvalidContent`, also where there is no target.
        """
        no_more_than(params, "replace")
        if not isinstance(params.get("replace", False), bool):
            raise InvalidContent("`replace` is true or false.", pointer="/replace")
        if self._target is None:
            raise InvalidContent("The setting COPY_URL names no storage to copy to.")
        return {"replace": params.get("replace", False)}

    def exclusive(self, params: dict[str, Any]) -> str:
        """Let one copy run at a time."""
        del params
        return "copy"

    async def run(self, attempt: Attempt) -> dict[str, Any]:
        """Copy; the result tells what is the same in both stores now."""
        if self._target is None:
            raise InvalidContent("The setting COPY_URL names no storage to copy to.")
        watch = _Watch(attempt, len(await self._source.datasets.datasets()))
        async with self._target() as target:
            await target.ping()
            report = await Copying(
                self._source,
                target,
                self._clock,
                replaces=attempt.job.params["replace"],
                watch=watch,
                confirm=attempt.fence,
            ).run()
        return {
            "datasets": [
                {"name": one.name, "revision": one.revision, "count": one.count, "sha256": one.digest}
                for one in report.datasets
            ],
            "documents": report.documents,
        }


class _Watch:
    """Makes one progress of the steps of `count` datasets."""

    def __init__(self, attempt: Attempt, count: int) -> None:
        self._attempt = attempt
        self._count = max(count, 1)
        self._names: set[str] = set()

    def __call__(self, step: Step) -> None:
        """Take a step."""
        self._names.add(step.name)
        part = _BEGUN[step.phase] + 0.5 * step.done / max(step.total, 1)
        self._attempt.progress(_DATASETS * (len(self._names) - 1 + part) / self._count)
