"""Stand-ins for the official images, made from Debian packages, for machines that can pull none.

Each keeps the promises of its original that Dockerfile and docker-compose.yml rely on: command names,
user numbers, entrypoint, environment, volumes. They are built once and kept in the cache folder.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from .engine import CommandFailed, Engine
from .machine import Unfit, cache_folder

RECIPES = Path(__file__).parent / "images"
BASE = "aerolite-e2e/debian"
NAMES = ("python", "redis", "postgres", "haproxy")
BUILD_TIMEOUT_S = 300
UNREAD = ("usr/share/doc", "usr/share/locale", "usr/share/man")


def image(name: str) -> str:
    """Return the tag of a stand-in, one of `NAMES`."""
    return f"aerolite-e2e/{name}"


def provide(engine: Engine) -> None:
    """Have every stand-in in the engine: from the cache folder, or else built and put there."""
    archive = cache_folder() / f"standins-{_key()}.tar"
    if archive.exists():
        with suppress(CommandFailed):  # a damaged archive is built anew
            engine.docker("load", "--input", str(archive), timeout_s=BUILD_TIMEOUT_S)
            return
    _bootstrap(engine)
    # Side by side: they wait for downloads more than they compute.
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(partial(_build, engine), NAMES))
    for old in cache_folder().glob("standins-*"):
        old.unlink()
    unfinished = archive.with_suffix(".partial")
    tags = [image(name) for name in NAMES]
    engine.docker("save", "--output", str(unfinished), *tags, timeout_s=BUILD_TIMEOUT_S)
    unfinished.rename(archive)


def _key() -> str:
    """Digest everything the stand-ins are made of, so that a change builds them anew."""
    digest = hashlib.sha256()
    for path in sorted(path for path in RECIPES.rglob("*") if path.is_file()):
        digest.update(path.relative_to(RECIPES).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(json.dumps([_sources(), _apt_settings(), _pip_settings()]).encode())
    for bundle in _certificates():
        digest.update(bundle.read_bytes())
    return digest.hexdigest()[:16]


# ---- the base: this machine's own release of Debian ---------------------------------------------


def _bootstrap(engine: Engine) -> None:
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    mirror = _sources()[0].split()[1]
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        root = Path(folder, "root")
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", release, str(root), mirror],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unfit(f"debootstrap failed: {' '.join(done.stdout.splitlines()[-1:])}")
        (root / "etc/apt/sources.list").write_text("\n".join(_sources()) + "\n")
        (root / "etc/apt/apt.conf.d/90machine").write_text(_apt_settings())
        (root / "etc/dpkg/dpkg.cfg.d/unread").write_text(
            "force-unsafe-io\n" + "".join(f"path-exclude=/{folder}/*\n" for folder in UNREAD)
        )
        for needless in ("var/cache/apt/archives", "var/lib/apt/lists", *UNREAD):
            shutil.rmtree(root / needless)
            (root / needless).mkdir()
        tar = subprocess.Popen(
            ["tar", "--create", "--one-file-system", "--directory", str(root), "."],
            stdout=subprocess.PIPE,
        )
        with tar:
            subprocess.run(
                ["docker", "import", "-", BASE],
                stdin=tar.stdout,
                env=engine.environment,
                capture_output=True,
                check=True,
            )


def _sources() -> list[str]:
    """List the machine's apt sources of its own distribution, in one-line style."""
    distribution = platform.freedesktop_os_release()["ID"]
    listed = "$(ORIGIN)|$(SITE)|$(RELEASE)|$(COMPONENT)"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", listed, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split("|") for line in targets.splitlines()]
    sources = [
        f"deb {_site(site)} {release} {component}"
        for origin, site, release, component in lines
        if origin.lower() == distribution
    ]
    if not sources:
        raise Unfit(f"apt knows no source of {distribution}; run `apt-get update` first.")
    return sources


def _site(site: str) -> str:
    """Return an address that debootstrap takes too: of a file with mirrors, its first."""
    if site.startswith("mirror+file:"):
        return Path(site.removeprefix("mirror+file:")).read_text().split()[0]
    return site


def _apt_settings() -> str:
    """Say how apt gets there: proxies, certificates, time checks."""
    settings = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True
    ).stdout.splitlines(keepends=True)
    return "".join(line for line in settings if line.startswith(("Acquire::http", "Acquire::Check")))


# ---- the images ---------------------------------------------------------------------------------


def _build(engine: Engine, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder, name)
        shutil.copytree(RECIPES / name, context)
        machine = context / "machine"
        machine.mkdir()
        (machine / "pip.conf").write_text(
            "[global]\n" + "".join(f"{key} = {value}\n" for key, value in _pip_settings().items())
        )
        bundle = machine / "certificates.pem"
        bundle.write_bytes(b"".join(path.read_bytes() for path in _certificates()))
        engine.docker(
            *("build", "--network", "host", "--tag", image(name), *proxies(), str(context)),
            timeout_s=BUILD_TIMEOUT_S,
        )


def proxies() -> list[str]:
    """Options of `docker build` that hand this machine's proxies, if it has any, to a build."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    given = [key for name in names for key in (name, name.upper()) if os.environ.get(key)]
    return [part for key in given for part in ("--build-arg", key)]


def _pip_settings() -> dict[str, str]:
    """Say how pip gets its packages on this machine, less what lies in local folders.

    Those a build cannot see; what pip finds there it must find at its index as well.
    """
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        remote = [word for word in ast.literal_eval(value).split() if not word.startswith(("file:", "/"))]
        if remote and key in {"index-url", "extra-index-url", "proxy", "trusted-host"}:
            settings[key] = " ".join(remote)
    # Where the recipe for Python puts what `_certificates` finds.
    return settings | {"cert": "/etc/ssl/certs/ca-certificates.crt"}


def _certificates() -> list[Path]:
    """Find the bundle of certificate authorities that this machine trusts."""
    paths = ssl.get_default_verify_paths()
    names = (os.environ.get("PIP_CERT"), paths.cafile, "/etc/ssl/certs/ca-certificates.crt")
    return [path for name in names if name and (path := Path(name)).is_file()][:1]
