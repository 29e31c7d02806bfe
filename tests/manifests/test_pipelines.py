"""The pipelines: well-formed, least privileged, and with shell in them that ShellCheck accepts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from pygments.lexers.jvm import GroovyLexer
from pygments.token import Comment, Error, String

from .rendered import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
JENKINSFILE = ROOT / "Jenkinsfile"
CLOSING = {")": "(", "]": "[", "}": "{"}


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    """Read the workflow; `on` comes out as a string, as in YAML 1.2."""
    return yaml.load(WORKFLOW.read_text(encoding="utf-8"), yaml.BaseLoader)


def steps(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """List every step with the name of its job."""
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            yield name, step


def shellcheck(script: str) -> str:
    """Return what ShellCheck has to say about a script; without a first line that says so it is bash."""
    shell = () if script.startswith("#!") else ("--shell", "bash")
    run = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), *shell, "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return run.stdout + run.stderr


def test_shellcheck_finds_what_is_wrong() -> None:
    """The linter works here: it objects to an unquoted variable."""
    assert "SC2086" in shellcheck("rm $1\n")


def test_the_workflow_is_one_that_github_accepts() -> None:
    """The workflow fits the published schema of GitHub's workflows."""
    run = subprocess.run(
        [
            Path(sys.executable).with_name("check-jsonschema"),
            *("--builtin-schema", "vendor.github-workflows", WORKFLOW),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_job_of_the_workflow_ends(workflow: dict[str, Any]) -> None:
    """Each job has a time limit."""
    assert all(int(job["timeout-minutes"]) <= 60 for job in workflow["jobs"].values())


def test_the_workflow_has_the_jobs_of_a_pipeline(workflow: dict[str, Any]) -> None:
    """Everything is checked before a release: each other job comes before it, directly or not."""
    jobs = workflow["jobs"]
    assert jobs.keys() == {"check", "test", "e2e", "image", "cluster", "release"}
    before, open_names = set(), ["release"]
    while open_names:
        needed = jobs[open_names.pop()].get("needs", [])
        before |= set(needed)
        open_names += needed
    assert before == jobs.keys() - {"release"}
    assert "refs/tags/" in jobs["release"]["if"]


def test_pipelines_call_targets_that_exist(workflow: dict[str, Any]) -> None:
    """Every `make TARGET` of the pipelines and of the script is a target of the Makefile."""
    called = [step.get("run", "") for _, step in steps(workflow)] + shell_steps()
    called.append((ROOT / "scripts" / "build-and-deploy").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^(?:.* )?make ([a-z0-9]+)$", "\n".join(called), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"check", "test", "e2e", "cluster"} == targets
    assert targets <= set(re.findall(r"^([a-z0-9]+):", makefile, re.MULTILINE))


def test_tests_run_on_every_python_that_is_promised(workflow: dict[str, Any]) -> None:
    """The matrix has just the versions that the package's classifiers name."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    promised = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == promised


def test_the_workflow_may_read_only(workflow: dict[str, Any]) -> None:
    """The token reads the repository; more, and secrets, has the release alone."""
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert ("permissions" in job) == (name == "release")
        assert ("secrets." in yaml.safe_dump(job)) == (name == "release")
    assert workflow["jobs"]["release"]["permissions"].keys() == {"contents", "id-token"}


def test_actions_are_pinned(workflow: dict[str, Any]) -> None:
    """Each action has a version, and a checkout leaves no token behind."""
    for _, step in steps(workflow):
        action = step.get("uses", "none@v0")
        assert re.fullmatch(r"[\w./-]+@v\d+(\.\d+)*|docker://[\w./-]+:\d+(\.\d+)*", action), action
        if action.startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


def test_scripts_of_the_workflow_are_clean(workflow: dict[str, Any]) -> None:
    """ShellCheck has nothing to say, and no expression is pasted into a script."""
    for name, step in steps(workflow):
        if script := step.get("run"):
            assert "${{" not in script, (name, script)
            assert not shellcheck(script), (name, script)


def scripts() -> list[Path]:
    """List the shell scripts of the repository."""
    candidates = sorted([*ROOT.glob("scripts/*"), *ROOT.glob(".ci/*")])
    return [path for path in candidates if re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:64])]


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.name)
def test_shell_scripts_are_clean(path: Path) -> None:
    """ShellCheck has nothing to say, and a script stops at its first error."""
    script = path.read_text(encoding="utf-8")
    assert not shellcheck(script)
    assert re.search(r"^set -eu", script, re.MULTILINE)


def test_a_script_is_found() -> None:
    """The list of scripts holds at least the one that builds and deploys."""
    assert ROOT / "scripts" / "build-and-deploy" in scripts()


def tokens() -> list[tuple[Any, str]]:
    """Return the Jenkinsfile's tokens without its comments."""
    text = JENKINSFILE.read_text(encoding="utf-8")
    return [token for token in GroovyLexer().get_tokens(text) if token[0] not in Comment]


def test_the_jenkinsfile_is_groovy_with_balanced_brackets() -> None:
    """Every character is part of a token, and what is opened is closed in order."""
    opened: list[str] = []
    for kind, text in tokens():
        assert kind not in Error, text
        if kind not in String:
            for character in text:
                if character in CLOSING.values():
                    opened.append(character)
                elif character in CLOSING:
                    assert opened.pop() == CLOSING[character]
    assert not opened


def test_the_jenkinsfile_has_the_stages_of_a_pipeline() -> None:
    """Lint Python and Dockerfile, test, build, push, deploy: in this order."""
    stages = re.findall(r"stage\('(.+?)'\)", "".join(text for _, text in tokens()))
    assert stages == ["Lint", "Python", "Dockerfile", "Test", "Build", "Push", "Deploy"]


def shell_steps() -> list[str]:
    """Return the scripts of the Jenkinsfile's `sh` steps as the shell gets them."""
    source = "".join(text for _, text in tokens())
    found = re.findall(r"\bsh\s+('''(.*?)'''|'(.*?)')", source, re.DOTALL)
    # In a Groovy string a backslash before the end of a line joins the lines.
    return [(long or short).replace("\\\n", "") for _, long, short in found]


def test_scripts_of_the_jenkinsfile_are_clean() -> None:
    """ShellCheck has nothing to say, and every step is in single quotes: Groovy sees no secret."""
    source = "".join(text for _, text in tokens())
    assert len(shell_steps()) == len(re.findall(r"\bsh\b", source))
    for script in shell_steps():
        assert not shellcheck(script), script


def test_only_main_is_pushed_and_deployed() -> None:
    """Push and Deploy happen on the branch main, and only where a registry is given."""
    source = "".join(text for _, text in tokens())
    for stage in ("Push", "Deploy"):
        conditions = source.split(f"stage('{stage}')")[1].split("steps")[0]
        assert "branch 'main'" in conditions
        assert "expression { params.REGISTRY != '' }" in conditions
