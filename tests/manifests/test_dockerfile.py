"""The Dockerfile: what hadolint and checkov say, and what they cannot know."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .rendered import ROOT
from .test_checkov import checkov

DOCKERFILE = ROOT / "Dockerfile"


def hadolint(path: Path) -> str:
    """Return what hadolint has to say about a Dockerfile."""
    run = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return run.stdout + run.stderr


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    """Let checkov look at a Dockerfile."""
    return subprocess.run(
        [checkov(), "--skip-download", "--framework", "dockerfile", "--compact", "--file", path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def careless(tmp_path: Path) -> Path:
    """Write a Dockerfile as it should not be."""
    path = tmp_path / "Dockerfile"
    path.write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n", encoding="utf-8")
    return path


def test_the_linters_find_what_is_wrong(careless: Path) -> None:
    """Both linters work here: they object to a floating tag and to a user who is root."""
    assert "DL3007" in hadolint(careless)
    assert "CKV_DOCKER_3" in checked(careless).stdout


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile is clean, and no rule is switched off."""
    assert hadolint(DOCKERFILE) == ""
    assert "hadolint ignore" not in DOCKERFILE.read_text(encoding="utf-8")


def test_checkov_finds_nothing() -> None:
    """The Dockerfile is clean, but for the check that cannot read a build argument."""
    run = checked(DOCKERFILE)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.findall(r"Failed checks: (\d+), Skipped checks: (\d+)", run.stdout) == [("0", "1")]


def test_the_base_image_has_a_tag_that_names_a_version() -> None:
    """The default of the build argument is what checkov's skipped check asks for."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim$", text, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert bases == {"${PYTHON_IMAGE}", "dependencies"}


def test_the_classic_builder_understands_every_line() -> None:
    """Nothing needs BuildKit: no mount, no heredoc, no mode of a copy, no syntax line."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    instructions = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in instructions if re.search(r"--mount|<<|--chmod|--link", line)]
    assert not re.search(r"^# *syntax=", text, re.MULTILINE)


def test_only_what_the_image_is_made_of_reaches_the_builder() -> None:
    """What .dockerignore lets through is what the Dockerfile copies."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    copied = {source for copy in copies for source in copy.split()[:-1]}
    assert "*" in ignored
    assert let_through == copied
