"""The image alone: what is in it, how it runs, and the README's line that starts it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import standins
from .client import Api, free_port, wait_until
from .datasets import expected, load, stored
from .engine import CommandFailed, Engine
from .machine import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ADDED_LIMIT_BYTES = 250 * 10**6
"""Most that the image may add to its base: what the lock names takes 180 MB of it."""


@contextmanager
def running(engine: Engine, *arguments: str) -> Iterator[str]:
    """`docker run --detach ARGUMENTS`, removed in the end; yields the container's id."""
    container = engine.docker("run", "--detach", *arguments)
    try:
        with engine.explained(container):
            yield container
    finally:
        engine.docker("rm", "--force", "--volumes", container)


def python(engine: Engine, image: str, program: str) -> str:
    """Run a Python program in the image and return what it prints."""
    return engine.docker("run", "--rm", "--entrypoint", "python", image, "-c", program)


def configuration(engine: Engine, image: str) -> dict[str, Any]:
    """Ask what the image says of itself."""
    found: list[dict[str, Any]] = json.loads(engine.docker("image", "inspect", image))
    return found[0]


def readme_command() -> list[str]:
    """Find the README's command that starts the image alone."""
    text = (PROJECT / "README.md").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("docker run ")]
    assert len(lines) == 1, f"the README has {len(lines)} lines that start with `docker run`"
    return shlex.split(lines[0], comments=True)


def test_the_image_has_no_compiler(engine: Engine, image: str) -> None:
    """Neither a compiler nor what belongs to one is on the path."""
    program = (
        "import shutil; print([name for name in "
        "('cc', 'gcc', 'g++', 'c++', 'clang', 'cpp', 'ld', 'make', 'rustc', 'cargo', 'go') "
        "if shutil.which(name)])"
    )
    assert python(engine, image, program) == "[]"


def test_the_image_has_what_runs_and_nothing_else(engine: Engine, image: str) -> None:
    """The environment holds the service and the lock's packages: no test, no deploy extra, no pip."""
    program = (
        "import importlib.metadata as m, json, sys; "
        "print(json.dumps(sorted(d.name.lower().replace('_', '-') for d in "
        "m.distributions(path=[p for p in sys.path if p.startswith('/opt/aerolite')]))))"
    )
    installed = set(json.loads(python(engine, image, program)))
    locked = {
        line.partition("==")[0]
        for line in (PROJECT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    assert "aerolite" in installed
    assert installed - locked == {"aerolite"}
    assert not installed & {"pytest", "hypothesis", "kubernetes", "checkov", "pip", "setuptools"}


def test_the_image_carries_no_cache_and_no_test(engine: Engine, image: str) -> None:
    """No folder of tests, no cache of pip and no source tree came along."""
    script = (
        "find / -xdev \\( -path '*/.cache/pip' -o -path /build -o -path /application "
        "-o -path '/opt/aerolite/*/tests' -o -name 'conftest.py' \\) -print 2>/dev/null || true"
    )
    assert engine.docker("run", "--rm", "--entrypoint", "sh", image, "-c", script) == ""


def test_the_image_is_small(engine: Engine, image: str) -> None:
    """The image adds at most 250 MB to its base."""
    own = configuration(engine, image)["Size"]
    base = configuration(engine, standins.image("python"))["Size"]
    print(f"\nthe image adds {(own - base) / 10**6:.0f} MB to its base")
    assert 0 < own - base < ADDED_LIMIT_BYTES


def test_the_image_says_what_it_is(engine: Engine, image: str) -> None:
    """Labels name version and revision, and the process gets SIGTERM as a number that is not root."""
    config = configuration(engine, image)["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "Aerolite"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abcdef"
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD", "the check must not need a shell"


def test_a_change_of_the_source_rebuilds_one_small_layer(engine: Engine, image: str, tmp_path: Path) -> None:
    """Without any network a changed source is built into an image whose other layers are the same."""
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    for name in (line[1:] for line in ignored if line.startswith("!")):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "Dockerfile", tmp_path)
    (tmp_path / "service" / "another.py").write_text('"""A change."""\n')
    engine.docker(
        *("build", "--network", "none", "--tag", "aerolite-changed"),
        *("--build-arg", f"PYTHON_IMAGE={standins.image('python')}", str(tmp_path)),
    )
    before = configuration(engine, image)["RootFS"]["Layers"]
    after = configuration(engine, "aerolite-changed")["RootFS"]["Layers"]
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_nothing_is_open_unless_the_operator_says_so(engine: Engine, image: str) -> None:
    """Started without a setting, the image lives, and gives nobody without a key any data."""
    port = free_port()
    with running(engine, "--publish", f"127.0.0.1:{port}:8080", image):
        api = Api(port)
        api.wait_ready()
        assert api.get("/data").status == 401


def test_the_readmes_line_keeps_data_in_a_volume(engine: Engine, image: str) -> None:
    """The README's one line serves from SQLite, and the next container on that volume has it all."""
    port = free_port()
    command = [word.replace("127.0.0.1:8080:", f"127.0.0.1:{port}:") for word in readme_command()]
    assert command[:2] == ["docker", "run"]
    assert f"127.0.0.1:{port}:8080" in command
    assert command[-1] == image
    options = [word for word in command[2:] if word not in {"--rm", "--interactive", "--tty", "-it"}]
    api = Api(port)
    with running(engine, *options) as container:
        api.wait_ready()
        load(api)
        assert stored(api) == expected()
        # kill -9: what was acknowledged is there all the same
        engine.docker("kill", container)
    with running(engine, *options):
        api.wait_ready()
        assert stored(api) == expected()


def test_a_read_only_root_without_privileges_is_enough(engine: Engine, image: str) -> None:
    """With nothing writable but /tmp and the volume it serves, turns healthy, and ends cleanly."""
    port = free_port()
    confined = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
    options = ("--security-opt", "no-new-privileges", "--env", "AUTH_MODE=open")
    with running(engine, *confined, *options, "--publish", f"127.0.0.1:{port}:8080", image) as container:
        api = Api(port)
        api.wait_ready()
        load(api)
        assert stored(api) == expected()
        health = ("inspect", "--format", "{{.State.Health.Status}}", container)
        wait_until(lambda: engine.docker(*health) == "healthy", "the container is healthy")
        engine.docker("stop", "--time", "35", container)
        code = engine.docker("inspect", "--format", "{{.State.ExitCode}}", container)
        assert code == "0"


def test_a_wrong_setting_stops_the_start_with_a_sentence(engine: Engine, image: str) -> None:
    """A setting that cannot be is named, with what is allowed, and the exit code is not 0."""
    with pytest.raises(CommandFailed, match="PORT cannot be 'eighty'"):
        engine.docker("run", "--rm", "--env", "PORT=eighty", image)
