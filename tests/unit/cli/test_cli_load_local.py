"""`aerolite load` without a server: files go straight into the storage."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.adapters.memory import MemoryState, MemoryStorage
from service.adapters.spool import DiskSpool
from service.cli.app import app
from service.cli.files import InputFile
from service.cli.session import CommandError, Session
from service.domain.datasets import Dataset
from service.domain.errors import StoreUnavailable
from service.domain.sample import sample
from service.settings import Settings
from service.usecases.loading import Limits, Loading
from service.usecases.views import Views
from tests.clocks import FakeClock


class Services:
    """The parts that a load asks the container for, on a storage that outlives the command."""

    def __init__(self, spool: Path) -> None:
        self.state = MemoryState()
        self.settings: Settings | None = None
        self._spool = spool
        self._storage = MemoryStorage(clock=FakeClock(), state=self.state)

    def build(self, settings: Settings) -> Services:
        """Take the settings that the command has read."""
        self.settings = settings
        return self

    def storage(self) -> MemoryStorage:
        """Return the storage."""
        return self._storage

    def loading(self) -> Loading:
        """Return the use case."""
        return Loading(self._storage.datasets, DiskSpool(self._spool), Limits(), Views())

    def load(
        self, *arguments: Any, environment: dict[str, str] | None = None, stdin: bytes | None = None
    ) -> Result:
        """Call `aerolite load`."""
        runner = CliRunner(env={"COLUMNS": "400", "NO_COLOR": "1"})
        session = Session(environment or {}, self.build)
        return runner.invoke(app, ["load", *map(str, arguments)], obj=session, input=stdin)

    def dataset(self, name: str) -> Dataset | None:
        """Return what is known of a dataset."""
        return asyncio.run(self._storage.datasets.dataset(name))

    def records(self, name: str) -> list[Any]:
        """Return the records of a dataset."""
        page = asyncio.run(self._storage.datasets.slice(name, limit=1000))
        return [json.loads(record) for record in page.records]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """Services on an empty storage."""
    spool = tmp_path / "spool"
    spool.mkdir()
    return Services(spool)


@pytest.fixture
def landings(tmp_path: Path) -> Path:
    """Write the sample as a CSV file."""
    path = tmp_path / "landings.csv"
    path.write_text(CliRunner().invoke(app, ["sample"]).stdout)
    return path


def test_a_file_becomes_a_dataset(services: Services, landings: Path) -> None:
    """A CSV file is stored under its name with its key, and the receipt is printed."""
    result = services.load(landings, "--key", "id")
    assert result.exit_code == 0, result.output
    assert result.stdout == "landings: 300 records loaded, revision 1\n"
    dataset = services.dataset("landings")
    assert dataset is not None
    assert (dataset.count, dataset.schema.key) == (300, "id")
    assert services.records("landings") == list(sample())


def test_several_files_become_several_datasets(services: Services, landings: Path, tmp_path: Path) -> None:
    """Each file is a dataset of its own, packed or not, in the form that its name tells."""
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(landings.read_bytes()))
    lines = tmp_path / "lines.ndjson"
    lines.write_text('{"a": 1}\n{"a": 2}\n')
    result = services.load(landings, packed, lines)
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["landings", "packed", "lines"]
    assert services.records("packed") == list(sample())
    assert services.records("lines") == [{"a": 1}, {"a": 2}]


def test_standard_input_is_a_file(services: Services) -> None:
    """`-` with a name reads what is piped in, whose form is found out."""
    result = services.load("-", "--name", "piped", stdin=b'{"a": 1}\n{"a": 2}\n')
    assert result.exit_code == 0, result.output
    assert services.records("piped") == [{"a": 1}, {"a": 2}]


def test_loading_again_replaces(services: Services, landings: Path, tmp_path: Path) -> None:
    """A second file of the same name takes the place of the first, under the next revision."""
    assert services.load(landings).exit_code == 0
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    result = services.load(other, "--name", "landings")
    assert result.stdout == "landings: 1 records loaded, revision 2\n"
    assert services.records("landings") == [{"a": "1"}]


def test_the_storage_can_be_named(services: Services, landings: Path) -> None:
    """`--storage-url` wins over the environment, whose other settings hold."""
    environment = {"STORAGE_URL": "redis://a", "MAX_UPLOAD_BYTES": "1 GB"}
    assert services.load(landings, environment=environment).exit_code == 0
    assert services.settings is not None
    assert services.settings.storage_url.text == "redis://a"
    assert services.load(landings, "--storage-url", "redis://b", environment=environment).exit_code == 0
    assert services.settings.storage_url.text == "redis://b"
    assert services.settings.max_upload_bytes == 1000**3


def test_a_bad_file_leaves_nothing(services: Services, tmp_path: Path) -> None:
    """A ragged line is told by its number in one sentence, with status 1, and nothing is stored."""
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n1,2\n3\n")
    result = services.load(path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"aerolite: {path}: ")
    assert "line 3" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert services.dataset("ragged") is None


def test_files_before_a_bad_one_are_loaded(services: Services, landings: Path, tmp_path: Path) -> None:
    """The first file that fails ends the command; what was loaded before it stays, and was told."""
    bad, last = tmp_path / "bad.json", tmp_path / "last.csv"
    bad.write_text("[1]")
    last.write_text("a\n1\n")
    result = services.load(landings, bad, last)
    assert result.exit_code == 1
    assert result.stdout == "landings: 300 records loaded, revision 1\n"
    assert services.dataset("bad") is services.dataset("last") is None


def test_bad_records_can_be_skipped(services: Services, tmp_path: Path) -> None:
    """With `--on-error skip` the good records are stored and the bad ones told."""
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n1,2\n3\n4,5\n")
    result = services.load(path, "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert "1 records were skipped" in result.stdout
    assert "line 3: " in result.stdout
    assert services.records("ragged") == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]


def test_delimiter_and_types_are_heeded(services: Services, tmp_path: Path) -> None:
    """`--delimiter tab` and `--type` reach the reader."""
    path = tmp_path / "tabs.txt"
    path.write_text("a,b\tmass (g)\n1\t21\n")
    result = services.load(path, "--delimiter", "tab", "--type", "mass (g)=string")
    assert result.exit_code == 0, result.output
    assert services.records("tabs") == [{"a,b": "1", "mass (g)": "21"}]
    dataset = services.dataset("tabs")
    assert dataset is not None
    column = dataset.schema.column("mass (g)")
    assert column is not None
    assert column.type == "string"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--key", "a"], "1"),
        (["--key", "absent"], "absent"),
        (["--delimiter", "::"], "The delimiter is one ASCII character"),
        (["--name", "../x"], "A dataset's name is 1 to 128 of"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    services: Services, tmp_path: Path, options: list[str], sentence: str
) -> None:
    """A key that is not unique or not there, a bad delimiter or name: one sentence, and nothing is stored."""
    path = tmp_path / "twins.csv"
    path.write_text("a\n1\n1\n")
    result = services.load(path, *options)
    assert result.exit_code == 1, result.output
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert services.dataset("twins") is None


def test_wrong_settings_are_told_first(services: Services, landings: Path) -> None:
    """Settings that cannot be are refused with status 2, before anything is read."""
    result = services.load(landings, environment={"STORAGE_URL": "mysql://u:hunter2@host"})
    assert result.exit_code == 2
    assert "STORAGE_URL cannot be 'mysql://u:***@host'" in result.stderr


def test_a_storage_that_is_gone_is_a_sentence(services: Services, landings: Path) -> None:
    """Where the storage does not answer, its own sentence is told, with status 1."""
    services.state.outage = StoreUnavailable("The storage does not answer.")
    result = services.load(landings)
    assert result.exit_code == 1
    assert result.stderr == "aerolite: The storage does not answer.\n"


async def test_a_file_that_goes_bad_is_a_sentence(tmp_path: Path) -> None:
    """What cannot be opened any more when its turn comes is refused in a sentence."""
    file = InputFile(tmp_path, "gone", None, None, None)
    with pytest.raises(CommandError, match=r"It cannot be read: Is a directory\."):
        await anext(file.chunks(lambda _: None))
