"""`aerolite versions`: what authors of contracts are given and told."""

from __future__ import annotations

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from service import contracts
from service.contracts import registered
from service.contracts.changes import DeclarationError
from service.contracts.registry import Contract, Registry
from tests.unit.cli.conftest import Invoke

ROOT = Path(__file__).parents[3]
PACKAGE = Path(contracts.__file__).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout as far as an author needs it."""
    (tmp_path / "service" / "contracts").mkdir(parents=True)
    shutil.copytree(ROOT / "tests" / "goldens", tmp_path / "tests" / "goldens")
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Give a folder with the lock files."""
    for name in (contracts.LOCK, contracts.SURFACE):
        shutil.copy(PACKAGE / name, tmp_path)
    return tmp_path


def test_list_tells_contracts_and_changes(invoke: Invoke) -> None:
    """Each contract with its state, each change with its kind and description."""
    output = invoke("versions", "list").output
    for contract in registered().contracts:
        assert f"{contract.date}  " in output
        for change in contract.changes:
            assert f"{change.__name__}: {change.description}" in output
    assert "breaking  Receipt" in output
    assert "additive  Located" in output


@pytest.mark.parametrize("told", ['Names are "shorter"', "It's", r"""C:\{x}: "it's" é\n"""])
def test_new_writes_what_a_contract_begins_with(invoke: Invoke, checkout: Path, told: str) -> None:
    """A module that says what is missing, golden files that differ by the date, and a line for people."""
    result = invoke("versions", "new", "2027-01-15", told, "--root", str(checkout))
    assert result.exit_code == 0, result.output
    path = checkout / "service" / "contracts" / "v2027_01_15.py"
    spec = spec_from_file_location("v2027_01_15", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    contract: Contract = module.contract
    assert (str(contract.date), contract.description) == ("2027-01-15", told)
    real = registered()
    with pytest.raises(DeclarationError, match="2027-01-15 changes nothing"):
        Registry([*real.contracts, contract], real.operations.values())
    golden = (checkout / "tests" / "goldens" / "2027-01-15" / "data.txt").read_text("utf-8")
    assert "API-Version: 2027-01-15\n" in golden
    before = ROOT / "tests" / "goldens" / "2026-11-20"
    assert {path.name for path in before.iterdir()} == {
        path.name for path in (checkout / "tests" / "goldens" / "2027-01-15").iterdir()
    }
    assert f"- Contract 2027-01-15: {told}\n" in (checkout / "CHANGELOG.md").read_text("utf-8")
    assert "aerolite versions lock" in result.output


@pytest.mark.parametrize(
    ("day", "description", "sentence"),
    [
        ("2026-1-5", "A.", "is no day"),
        ("2026-11-20", "A.", "comes after the newest"),
        ("2024-01-01", "A.", "comes after the newest"),
        ("2027-01-15", "  ", "needs a description"),
    ],
)
def test_a_contract_that_cannot_be_is_not_begun(
    invoke: Invoke, checkout: Path, day: str, description: str, sentence: str
) -> None:
    """The sentence says why, and nothing is written."""
    before = sorted(checkout.rglob("*"))
    result = invoke("versions", "new", day, description, "--root", str(checkout))
    assert result.exit_code != 0
    assert sentence in result.output
    assert sorted(checkout.rglob("*")) == before


def test_a_contract_is_not_begun_twice_or_elsewhere(invoke: Invoke, checkout: Path, tmp_path: Path) -> None:
    """What an author has written is not overwritten."""
    call = ("versions", "new", "2027-01-15", "A.", "--root")
    assert invoke(*call, str(checkout)).exit_code == 0
    module = checkout / "service" / "contracts" / "v2027_01_15.py"
    module.write_text("mine", "utf-8")
    assert invoke(*call, str(checkout)).exit_code == 1
    assert module.read_text("utf-8") == "mine"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "no checkout" in invoke(*call, str(elsewhere)).output
    (checkout / "CHANGELOG.md").write_text("# Changelog\n", "utf-8")
    assert "no `### Added`" in invoke("versions", "new", "2027-01-16", "A.", "--root", str(checkout)).output


def test_the_released_contracts_pass_the_check(invoke: Invoke) -> None:
    """As `make check` runs it."""
    result = invoke("versions", "check")
    assert result.exit_code == 0, result.output
    assert "Every released contract is as it was." in result.output


def test_check_tells_a_rewritten_a_missing_and_a_new_contract(invoke: Invoke, package: Path) -> None:
    """Each with a sentence; what a new one changes is told as breaking or additive."""
    lines = (package / contracts.LOCK).read_text("ascii").splitlines()
    (package / contracts.LOCK).write_text(f"2020-01-01 0\n{lines[0]}\n2023-09-01 0\n", "ascii")
    result = invoke("versions", "check", "--package", str(package))
    assert result.exit_code == 1
    assert "2020-01-01 was released and is missing" in result.output
    assert "2023-09-01 was released and has been rewritten" in result.output
    assert "2026-11-20 is not locked" in result.output
    assert "2026-11-20 breaking: In GET /data numbers are numbers" in result.output
    assert "2026-11-20 additive: POST /data tells by `Location`" in result.output
    assert invoke("versions", "lock", "--package", str(package)).exit_code == 1


def test_check_tells_breaking_from_additive(invoke: Invoke, package: Path) -> None:
    """An operation that is gone forbids the release, one that came is worth a remark."""
    path = package / contracts.SURFACE
    told = json.loads(path.read_text("utf-8"))
    newest = told["2026-11-20"]
    newest["lost.read"] = newest["favorite.read"]
    del newest["keys.self"]
    path.write_text(json.dumps(told), "utf-8")
    result = invoke("versions", "check", "--package", str(package))
    assert result.exit_code == 1
    assert "2026-11-20 lost.read breaking: the operation is gone" in result.output
    assert "2026-11-20 keys.self additive: the operation came" in result.output


def test_lock_takes_what_is_new(invoke: Invoke, package: Path) -> None:
    """A new contract and additions are locked; what breaks only if nobody has seen it."""
    lock = package / contracts.LOCK
    whole = lock.read_text("ascii")
    lock.write_text("".join(whole.splitlines(keepends=True)[:2]), "ascii")
    result = invoke("versions", "lock", "--package", str(package))
    assert result.exit_code == 0, result.output
    assert lock.read_text("ascii") == whole
    assert invoke("versions", "check", "--package", str(package)).exit_code == 0
    lock.write_text(whole.replace("2023-09-01 ", "2023-09-01 0"), "ascii")
    assert invoke("versions", "lock", "--package", str(package)).exit_code == 1
    assert invoke("versions", "lock", "--accept-breaking", "--package", str(package)).exit_code == 0
    assert lock.read_text("ascii") == whole
