"""The lock files that the image is built from."""

from __future__ import annotations

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .rendered import ROOT

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-build.lock"]
PIN = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def pins(lock: Path) -> dict[str, str]:
    """Read the versions that a lock file names."""
    found = (PIN.fullmatch(line) for line in lock.read_text(encoding="utf-8").splitlines())
    return {match[1]: match[2] for match in found if match}


def declared(section: str, option: str) -> list[Requirement]:
    """Read the requirements that setup.cfg declares."""
    configuration = ConfigParser()
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = configuration[section][option].splitlines()
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_says_what_and_never_where_from(lock: Path) -> None:
    """Every line is a comment, a pinned version or a hash: no index, no address, no path."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert pins(lock)
    strange = [line for line in lines if not (PIN.fullmatch(line) or HASH.fullmatch(line) or line[:1] == "#")]
    assert strange == []
    assert "://" not in lock.read_text(encoding="utf-8")


def test_the_lock_fits_what_the_service_requires() -> None:
    """Each requirement of the service and of its PostgreSQL extra is locked, at a version that it allows."""
    locked = pins(LOCKS[0])
    required = declared("options", "install_requires") + declared("options.extras_require", "postgres")
    unfit = {
        str(each): locked.get(canonicalize_name(each.name))
        for each in required
        if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"))
    }
    assert unfit == {}, "run `make lock`"


def test_neither_tests_nor_deploying_are_locked() -> None:
    """What only tests, development or deploying need is in no image."""
    others = {
        canonicalize_name(each.name)
        for extra in ("deploy", "test", "dev")
        for each in declared("options.extras_require", extra)
    }
    service = {canonicalize_name(each.name) for each in declared("options", "install_requires")}
    # Pygments comes with rich, which colours what the command line prints.
    assert set(pins(LOCKS[0])) & (others - service) <= {"pygments"}


def test_what_builds_the_wheel_is_locked_too() -> None:
    """The build lock holds what pyproject.toml asks for, at a version that it allows."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        required = [Requirement(line) for line in tomllib.load(file)["build-system"]["requires"]]
    locked = pins(LOCKS[1])
    assert {each.name for each in required} == set(locked)
    assert all(each.specifier.contains(locked[each.name]) for each in required)
