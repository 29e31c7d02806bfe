"""The earlier pod templates of a workload, and the way back to one."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, identity, ref_of
from service.deploy.ownership import extract, owned
from service.deploy.pods import REVISION, TEMPLATE_HASH, annotation, owned_by
from service.deploy.resources import JSON_PATCH, Resources


@dataclass(frozen=True)
class Revision:
    """A pod template that the workload had, under the number that its controller gave it."""

    number: int
    template: Manifest


async def revisions(resources: Resources, workload: Manifest) -> list[Revision]:
    """Return a workload's revisions, oldest first.

    A Deployment's are in its ReplicaSets, a StatefulSet's in ControllerRevisions; how many are
    kept is the workload's `revisionHistoryLimit`.
    """
    if workload["kind"] == "StatefulSet":
        kept = await resources.list_all("apps/v1", "controllerrevisions")
        found = [
            Revision(one["revision"], _clean(one["data"]["spec"]["template"]))
            for one in kept
            if owned_by(one, workload)
        ]
    else:
        kept = await resources.list_all("apps/v1", "replicasets")
        found = [
            Revision(int(annotation(one, REVISION) or 0), _clean(one["spec"]["template"]))
            for one in kept
            if owned_by(one, workload)
        ]
    return sorted(found, key=lambda revision: revision.number)


def choose(known: list[Revision], number: int | None, name: str) -> Revision:
    """Return the revision of that number, or the last but one.

    Raises `ConfigurationProblem` where there is none.
    """
    if number is None:
        if len(known) < 2:
            raise ConfigurationProblem(f"{name} has no earlier revision to go back to")
        return known[-2]
    for revision in known:
        if revision.number == number:
            return revision
    numbers = ", ".join(str(revision.number) for revision in known) or "none"
    raise ConfigurationProblem(f"{name} has no revision {number}; there are {numbers}")


async def go_back(resources: Resources, workload: Manifest, revision: Revision) -> Manifest:
    """Give a workload an earlier pod template, and nothing else; return what became of it.

    Where server-side apply as the template's owner gives exactly that template, it is used, so
    that the next deploy still owns every field; else the template is replaced as kubectl does.
    """
    ref = ref_of(workload)
    fields = owned(workload)
    if fields:
        body = extract(workload, fields)
        name = identity(ref)
        body |= {**name, "metadata": {**body.get("metadata", {}), **name["metadata"]}}
        body["spec"] = {**body.get("spec", {}), "template": revision.template}
        outcome = await resources.apply(body, dry_run=True)
        if _clean(outcome["spec"]["template"]) == revision.template:
            return await resources.apply(body)
    replacement = {"op": "replace", "path": "/spec/template", "value": revision.template}
    return await resources.patch(ref, [replacement], JSON_PATCH)


def _clean(template: Manifest) -> Manifest:
    """Remove what a controller, or the encoding, adds to a template."""
    clean = copy.deepcopy(template)
    clean.pop("$patch", None)
    metadata = clean.get("metadata") or {}
    if metadata.get("creationTimestamp", "") is None:
        del metadata["creationTimestamp"]
    (metadata.get("labels") or {}).pop(TEMPLATE_HASH, None)
    return clean
