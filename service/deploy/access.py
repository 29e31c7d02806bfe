"""Ask, before anything changes, whether the user may do what a deploy needs."""

from __future__ import annotations

from service.deploy.cluster import Cluster
from service.deploy.errors import ConfigurationProblem

# Applying is authorised by the dry run; these are what comes after it. A websocket opens with a
# GET, and since Kubernetes 1.35 the server asks for `create` too.
_NEEDED = (
    ("list", "apps", "replicasets"),
    ("watch", "apps", "deployments"),
    ("watch", "apps", "statefulsets"),
    ("watch", "apps", "replicasets"),
    ("watch", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
    ("get", "", "pods/portforward"),
    ("create", "", "pods/portforward"),
    ("delete", "apps", "deployments"),
    ("delete", "", "pods"),
)


async def require_access(cluster: Cluster) -> None:
    """Raise `ConfigurationProblem` that lists what the user may not do in the namespace."""
    missing = [
        f"{verb} {resource}"
        for verb, group, resource in _NEEDED
        if not await _may(cluster, verb, group, resource)
    ]
    if missing:
        raise ConfigurationProblem(
            f"the user of {cluster.context} may not {', '.join(missing)} in the namespace {cluster.namespace}"
        )


async def _may(cluster: Cluster, verb: str, group: str, resource: str) -> bool:
    name, _, subresource = resource.partition("/")
    attributes = {
        "namespace": cluster.namespace,
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": subresource,
    }
    answer = await cluster.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool(answer["status"]["allowed"])
