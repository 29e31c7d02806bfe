"""What the end-to-end tests need from the machine, and how it gets there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[2]

# command -> the Debian package that brings it
COMMANDS = {
    "debootstrap": "debootstrap",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "iptables": "iptables",
    "setpriv": "util-linux",
}


class Unfit(Exception):
    """The end-to-end tests cannot run on this machine; the message says why in one sentence."""


def prepare() -> None:
    """Install whatever of `COMMANDS` is missing.

    Raises `Unfit` where the user is not root, the system has no apt, or the installation fails.
    """
    if os.geteuid() != 0:
        raise Unfit("The end-to-end tests start a Docker engine of their own and must run as root.")
    missing = sorted({package for name, package in COMMANDS.items() if not shutil.which(name)})
    if not compose_command():
        missing.append("docker-compose")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unfit(f"Install {', '.join(missing)}: this is no Debian, so it is not done for you.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "--quiet"],
        ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise Unfit(f"`{' '.join(command)}` failed: {' '.join(last)}")


def compose_command() -> list[str]:
    """Return how docker-compose is called here: as a command or as Docker's plugin; empty if neither is."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version"], capture_output=True, check=False)
            if done.returncode == 0:
                return command
    return []


def cache_folder() -> Path:
    """Make the folder where stand-in images outlive a run: in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "aerolite-e2e"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
