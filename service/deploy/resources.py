"""Objects of a cluster: read, apply, create, delete, list, by their identity."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from service.deploy.cluster import Cluster
from service.deploy.errors import ApiProblem, ConfigurationProblem
from service.deploy.objects import Manifest, Ref, items_of, ref_of
from service.deploy.options import SERVICE_NAME

FIELD_MANAGER = SERVICE_NAME
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class Resources:
    """Turns identities into paths, by the cluster's own discovery documents."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._discovered: dict[str, dict[str, Manifest]] = {}

    async def path(self, ref: Ref) -> str:
        """Return the path of an object.

        Raises `ConfigurationProblem` for a kind that the cluster does not know.
        """
        resource = (await self._kinds(ref.api_version)).get(ref.kind)
        if resource is None:
            raise ConfigurationProblem(
                f"the cluster knows no {ref.kind} of {ref.api_version}, which {ref.name} is"
            )
        scope = ""
        if resource["namespaced"]:
            scope = f"/namespaces/{quote(ref.namespace or self.cluster.namespace, safe='')}"
        root = _root(ref.api_version)
        return f"{root}{scope}/{resource['name']}/{quote(ref.name, safe='')}"

    async def get(self, ref: Ref) -> Manifest | None:
        """Return the live object, or None."""
        try:
            return await self.cluster.request("GET", await self.path(ref))
        except ApiProblem as problem:
            if problem.status == 404:
                return None
            raise

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Apply server-side, as the owner of the fields that the manifest states."""
        query: dict[str, object] = {"fieldManager": FIELD_MANAGER, "force": True}
        if dry_run:
            query["dryRun"] = "All"
        return await self.cluster.request(
            "PATCH",
            await self.path(ref_of(manifest)),
            query=query,
            body=manifest,
            content_type=APPLY_PATCH,
        )

    async def patch(self, ref: Ref, body: object, content_type: str) -> Manifest:
        """Change an object by a merge patch or a JSON patch."""
        return await self.cluster.request(
            "PATCH",
            await self.path(ref),
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type=content_type,
        )

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object; `ApiProblem` with the reason AlreadyExists where there is one."""
        path = await self.path(ref_of(manifest))
        return await self.cluster.request(
            "POST",
            path.rpartition("/")[0],
            query={"fieldManager": FIELD_MANAGER},
            body=manifest,
        )

    async def delete(self, live: Manifest) -> None:
        """Delete exactly this object: one of the same name that came later stays."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": live["metadata"]["uid"]},
        }
        try:
            await self.cluster.request("DELETE", await self.path(ref_of(live)), body=body)
        except ApiProblem as problem:
            if problem.status not in (404, 409):  # gone already, or another one by now
                raise

    async def list_all(
        self, api_version: str, plural: str, query: Mapping[str, object] | None = None
    ) -> list[Manifest]:
        """List the objects of one kind in the namespace."""
        answer = await self.cluster.request(
            "GET", collection_path(api_version, self.cluster.namespace, plural), query=query
        )
        return items_of(answer)

    async def _kinds(self, api_version: str) -> dict[str, Manifest]:
        if api_version not in self._discovered:
            try:
                answer = await self.cluster.request("GET", _root(api_version))
            except ApiProblem as problem:
                if problem.status != 404:
                    raise
                answer = {"resources": []}
            self._discovered[api_version] = {
                resource["kind"]: resource
                for resource in answer["resources"]
                if "/" not in resource["name"]  # subresources share the kinds of others
            }
        return self._discovered[api_version]


def collection_path(api_version: str, namespace: str, plural: str) -> str:
    """Return the path of all objects of one kind in a namespace."""
    return f"{_root(api_version)}/namespaces/{quote(namespace, safe='')}/{plural}"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
