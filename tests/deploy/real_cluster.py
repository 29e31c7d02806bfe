"""A real cluster, and the service in it as its users reach it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rich.console import Console

from service.deploy.cluster import Cluster
from service.deploy.errors import ApiProblem
from service.deploy.forward import port_forward
from service.deploy.images import image_name
from service.deploy.objects import Manifest, Ref, containers
from service.deploy.options import DeployOptions, Target
from service.deploy.pods import is_ready, label
from service.deploy.progress import ConsoleProgress
from service.deploy.render import render
from service.deploy.resources import Resources
from service.deploy.run import deploy

MANIFESTS = Path(__file__).parents[2] / "manifests"
COMPONENT = "app.kubernetes.io/component"
NAMESPACE = Ref("v1", "Namespace", None, "aerolite")
LOAD_NAMESPACE = Ref("v1", "Namespace", None, "aerolite-load")
LOADER = Ref("v1", "Pod", LOAD_NAMESPACE.name, "load")
PATIENCE_S = 300.0
PORT = 8080


class RecordingProgress(ConsoleProgress):
    """Writes to the test's output, and keeps the diffs."""

    def __init__(self) -> None:
        super().__init__(Console(force_terminal=False, width=200))
        self.diffs: list[str] = []

    def diff(self, text: str) -> None:
        """Keep and write a diff."""
        self.diffs.append(text)
        super().diff(text)


@dataclass
class Images:
    """What to run, from the environment; images that are not named are those of the overlays."""

    service: str = field(default_factory=lambda: os.environ.get("AEROLITE_IMAGE") or released_image())
    next: str = field(default_factory=lambda: os.environ.get("AEROLITE_IMAGE_NEXT", ""))
    stores: dict[str, str] = field(
        default_factory=lambda: {
            name: os.environ[variable]
            for name, variable in (("redis", "REDIS_IMAGE"), ("postgres", "POSTGRES_IMAGE"))
            if os.environ.get(variable)
        }
    )


def released_image() -> str:
    """Return the image that the overlays name."""
    base = yaml.safe_load((MANIFESTS / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    (image,) = base["images"]
    return f"{image.get('newName', image['name'])}:{image['newTag']}"


@dataclass
class RealCluster:
    """The cluster of KUBECONFIG's current context."""

    resources: Resources
    target: Target
    images: Images

    async def deploy(self, overlay: str, image: str | None = None, **options: Any) -> RecordingProgress:
        """Deploy an overlay with the images of the environment."""
        rendered = await render(MANIFESTS, overlay, self.target.namespace)
        used = {image_name(one["image"]) for manifest in rendered for one in containers(manifest)}
        stores = [f"{name}={reference}" for name, reference in self.images.stores.items() if name in used]
        progress = RecordingProgress()
        chosen = DeployOptions(
            overlay,
            self.target,
            images=(image or self.images.service, *stores),
            manifests=MANIFESTS,
            **options,
        )
        await deploy(chosen, progress)
        return progress

    async def pods(self, component: str) -> list[Manifest]:
        """Return the pods of one part that are not on their way out."""
        return [
            pod
            for pod in await self.resources.list_all("v1", "pods")
            if label(pod, COMPONENT) == component and not pod["metadata"].get("deletionTimestamp")
        ]

    async def kill(self, component: str) -> None:
        """Delete the pods of one part, and wait until others are ready in their place."""
        killed = await self.pods(component)
        assert killed, f"nothing runs as {component}"
        for pod in killed:
            await self.resources.delete(pod)
        gone = {pod["metadata"]["uid"] for pod in killed}

        async def replaced() -> bool:
            pods = await self.pods(component)
            return bool(pods) and all(is_ready(pod) and pod["metadata"]["uid"] not in gone for pod in pods)

        await until(replaced, f"new pods of {component}")

    @asynccontextmanager
    async def service(self, contract: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Connect to a ready pod of the API, as the administrator, under a contract."""
        ready = [pod for pod in await self.pods("api") if is_ready(pod)]
        assert ready, "no pod of the API is ready"
        ref = Ref("v1", "Pod", self.target.namespace, ready[0]["metadata"]["name"])
        headers = {"API-Version": contract, "Authorization": f"Bearer {await self.admin_key()}"}
        if not await self.admin_key():
            del headers["Authorization"]
        async with port_forward(self.resources, ref, PORT) as tunnel:
            url = f"http://127.0.0.1:{tunnel.local_port}"
            timeout = aiohttp.ClientTimeout(total=60)
            async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
                yield session

    async def admin_key(self) -> str:
        """Return the first key, or nothing where the overlay is open."""
        ref = Ref("v1", "Secret", self.target.namespace, "aerolite-admin")
        secret = await self.resources.get(ref)
        return base64.b64decode(secret["data"]["ADMIN_KEY"]).decode() if secret else ""

    async def wipe(self) -> None:
        """Delete what these tests make, and wait until it is gone."""
        for ref in (LOAD_NAMESPACE, NAMESPACE):
            live = await self.resources.get(ref)
            if live:
                await self.resources.delete(live)
        for ref in (LOAD_NAMESPACE, NAMESPACE):

            async def gone(ref: Ref = ref) -> bool:
                return await self.resources.get(ref) is None

            await until(gone, f"the end of {ref}")

    async def offer_storage_class(self, name: str) -> None:
        """Make a class of this name like the default one, where the overlay is of another cloud."""
        ref = Ref("storage.k8s.io/v1", "StorageClass", None, name)
        if await self.resources.get(ref):
            return
        classes = await self.resources.cluster.request("GET", "/apis/storage.k8s.io/v1/storageclasses")
        default = "storageclass.kubernetes.io/is-default-class"
        template = next(
            one for one in classes["items"] if one["metadata"].get("annotations", {}).get(default) == "true"
        )
        made = {
            key: template[key]
            for key in ("provisioner", "volumeBindingMode", "parameters")
            if key in template
        }
        await self.resources.create(
            {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": name}, **made}
        )

    @asynccontextmanager
    async def load(self, contract: str) -> AsyncIterator[Load]:
        """Put clients into a namespace that the policies let in."""
        labels = {"aerolite.dev/client": "true"}
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        await self.resources.create(
            {**namespace, "metadata": {"name": LOAD_NAMESPACE.name, "labels": labels}}
        )
        script = (Path(__file__).parent / "load_in_cluster.py").read_text(encoding="utf-8")
        environment = {
            "LOAD_HOST": f"aerolite.{self.target.namespace}",
            "LOAD_KEY": await self.admin_key(),
            "LOAD_CONTRACT": contract,
        }
        container = {
            "name": "load",
            "image": self.images.service,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", script],
            "env": [{"name": name, "value": value} for name, value in environment.items()],
        }

        async def created() -> bool:
            try:
                await self.resources.create(
                    {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {"name": LOADER.name, "namespace": LOADER.namespace},
                        "spec": {
                            "containers": [container],
                            "restartPolicy": "Never",
                            "automountServiceAccountToken": False,
                            "terminationGracePeriodSeconds": 0,
                        },
                    }
                )
            except ApiProblem as problem:
                # The service account of a new namespace comes a moment after the namespace.
                if problem.status != 403:
                    raise
                return False
            return True

        await until(created, "the pod with the clients")
        yield Load(self.resources)


@dataclass
class Load:
    """The clients in the cluster."""

    resources: Resources

    async def counts(self) -> dict[str, int]:
        """Return how many requests came to what end so far."""
        path = f"{await self.resources.path(LOADER)}/log"
        try:
            text = await self.resources.cluster.get_text(path, {"tailLines": 1})
        except ApiProblem as problem:
            if problem.status != 400:  # not started yet
                raise
            return {}
        try:
            counts: dict[str, int] = json.loads(text)
        except ValueError:
            assert not text.strip(), f"the clients do not run: {text}"
            return {}
        return counts

    async def more(self, requests: int) -> dict[str, int]:
        """Wait for so many further requests, and return the counts."""
        aim = sum((await self.counts()).values()) + requests
        counts: dict[str, int] = {}

        async def enough() -> bool:
            nonlocal counts
            counts = await self.counts()
            return sum(counts.values()) >= aim

        await until(enough, f"{requests} requests")
        return counts


@asynccontextmanager
async def connect() -> AsyncIterator[RealCluster]:
    """Connect to the cluster of KUBECONFIG; fails where the variable is missing."""
    target = Target(kubeconfig=os.environ["KUBECONFIG"])
    async with Cluster(target) as cluster:
        await cluster.greet()
        yield RealCluster(Resources(cluster), target, Images())


async def until(happened: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask twice a second until something happened; fails after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not await happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        await asyncio.sleep(0.5)
