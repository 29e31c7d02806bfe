"""Settings: one table that reads, checks, explains, documents and masks each of them."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings import SETTINGS, AuthMode, LogFormat, LogLevel, SettingError, Settings, StorageUrl

ROOT = Path(__file__).parents[2]
NAMES = [setting.name for setting in SETTINGS]


def read(**environment: str) -> Settings:
    """Read an environment."""
    return Settings.from_env(environment)


def problem(**environment: str) -> str:
    """Return the one sentence by which an environment is refused."""
    with pytest.raises(SettingError) as caught:
        read(**environment)
    (sentence,) = caught.value.problems
    return sentence


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing need be set, and the defaults are those of the design."""
    settings = read()
    assert settings == Settings()
    assert (settings.host, settings.port, settings.base_path) == ("127.0.0.1", 8080, "")
    assert settings.storage_url.path == Path("var/aerolite.db")
    assert settings.auth_mode is AuthMode.OPEN
    assert settings.anonymous_scopes == frozenset()
    assert settings.max_upload_bytes == 1024**3
    assert settings.max_json_bytes == 64 * 1024**2
    assert settings.drain_seconds == 5
    assert settings.job_lease_seconds == 15
    assert settings.storage_quota_bytes is None


def test_the_design_names_are_all_there() -> None:
    """Every setting that the documentation of the API names exists."""
    named = (
        "HOST PORT BASE_PATH STORAGE_URL DATABASE_URL QUEUE_URL AUTH_MODE ANONYMOUS_SCOPES ADMIN_KEY"
        " OPEN_SQL_WRITE MAX_UPLOAD_BYTES MAX_JSON_BYTES STORAGE_QUOTA_BYTES CACHE_BYTES ENGINE_MEMORY_BYTES"
        " SQL_TIMEOUT_SECONDS SQL_MAX_ROWS CORS_ORIGINS DRAIN_SECONDS READINESS_STRICT LOG_FORMAT LOG_LEVEL"
        " FAVORITE_ATHLETE JOB_LEASE_SECONDS"
    )
    assert set(named.split()) <= set(NAMES)


def test_every_field_is_a_row_of_the_table() -> None:
    """The table has each field of the settings once, with a sentence and what it takes."""
    assert [setting.field for setting in SETTINGS] == [field.name for field in dataclasses.fields(Settings)]
    for setting in SETTINGS:
        assert setting.name == setting.field.upper()
        assert re.fullmatch(r"[A-Z].*\.", setting.help)
        assert setting.allowed
        assert setting.default_words


def test_a_number_in_the_name_has_its_unit() -> None:
    """What is named for bytes, seconds or rows says that unit."""
    for setting in SETTINGS:
        for unit in ("bytes", "seconds", "rows"):
            if setting.field.endswith(unit):
                assert setting.unit == unit


def test_a_default_text_reads_as_the_default() -> None:
    """What the documentation calls the default is the value of a field that is not set."""
    for setting in SETTINGS:
        default = getattr(Settings(), setting.field)
        assert default is None if setting.default is None else setting.read(setting.default) == default


def test_the_page_of_settings_is_current() -> None:
    """docs/settings.md is what the table yields, a row of four cells for each setting."""
    page = runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))["page"]()
    assert (ROOT / "docs" / "settings.md").read_text() == page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == NAMES
    assert all(row.count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("HOST", "::1", "::1"),
        ("HOST", "api_1.example.org", "api_1.example.org"),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("BASE_PATH", "/", ""),
        ("BASE_PATH", "/api", "/api"),
        ("BASE_PATH", "/v1/api/", "/v1/api"),
        ("AUTH_MODE", "keys", AuthMode.KEYS),
        ("ANONYMOUS_SCOPES", "read, sql:read", frozenset({"read", "sql:read"})),
        ("ANONYMOUS_SCOPES", "read write", frozenset({"read", "write"})),
        ("ADMIN_KEY", "correct-horse", "correct-horse"),
        ("OPEN_SQL_WRITE", "1", True),
        ("OPEN_SQL_WRITE", "TRUE", True),
        ("READINESS_STRICT", "false", False),
        ("MAX_UPLOAD_BYTES", "1", 1),
        ("MAX_UPLOAD_BYTES", "64MiB", 64 * 1024**2),
        ("MAX_UPLOAD_BYTES", "3 KiB", 3 * 1024),
        ("MAX_UPLOAD_BYTES", "2gb", 2 * 1000**3),
        ("MAX_UPLOAD_BYTES", "1 TiB", 1024**4),
        ("MAX_UPLOAD_BYTES", "17 B", 17),
        ("STORAGE_QUOTA_BYTES", "1GiB", 1024**3),
        ("CACHE_BYTES", "0", 0),
        ("SPOOL_DIR", "/tmp/up loads", Path("/tmp/up loads")),
        ("SQL_TIMEOUT_SECONDS", "0.25", 0.25),
        ("DRAIN_SECONDS", "0", 0.0),
        ("CORS_ORIGINS", "*", ("*",)),
        (
            "CORS_ORIGINS",
            "https://A.example, http://localhost:3000 https://a.example",
            ("https://a.example", "http://localhost:3000"),
        ),
        ("CORS_ORIGINS", "http://[::1]:3000", ("http://[::1]:3000",)),
        ("LOG_FORMAT", "console", LogFormat.CONSOLE),
        ("LOG_LEVEL", "debug", LogLevel.DEBUG),
        ("FAVORITE_ATHLETE", "Élodie 🏃", "Élodie 🏃"),
    ],
)
def test_a_right_value_is_read(name: str, text: str, value: Any) -> None:
    """Each kind of setting takes the forms that its row names."""
    assert getattr(read(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOST", "not a host"),
        ("HOST", "1.2.3.4.5"),
        ("HOST", "256.0.0.1"),
        ("HOST", "[::1]"),
        ("HOST", "localhost:8080"),
        ("HOST", "-x"),
        ("HOST", ".".join(["a" * 60] * 5)),
        ("PORT", "x"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "8_080"),
        ("PORT", " 8080"),
        ("PORT", "８０８０"),
        ("PORT", "tcp://10.0.0.1:8080"),
        ("BASE_PATH", "api"),
        ("BASE_PATH", "/a//b"),
        ("BASE_PATH", "/../x"),
        ("BASE_PATH", "/a?b"),
        ("AUTH_MODE", "OPEN"),
        ("AUTH_MODE", "none"),
        ("ANONYMOUS_SCOPES", "admin"),
        ("ANONYMOUS_SCOPES", "read;write"),
        ("OPEN_SQL_WRITE", "yes"),
        ("OPEN_SQL_WRITE", "2"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_UPLOAD_BYTES", "1.5GiB"),
        ("MAX_UPLOAD_BYTES", "64 MiBi"),
        ("MAX_UPLOAD_BYTES", "64Q"),
        ("MAX_UPLOAD_BYTES", "-1"),
        ("MAX_UPLOAD_BYTES", "9999999999 TiB"),
        ("ENGINE_MEMORY_BYTES", "1MiB"),
        ("MAX_UPLOADS", "0"),
        ("SQL_TIMEOUT_SECONDS", "0"),
        ("SQL_TIMEOUT_SECONDS", "nan"),
        ("SQL_TIMEOUT_SECONDS", "inf"),
        ("SQL_TIMEOUT_SECONDS", "1e3"),
        ("DRAIN_SECONDS", "5s"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/"),
        ("CORS_ORIGINS", "*, https://example.org"),
        ("LOG_LEVEL", "verbose"),
        ("FAVORITE_ATHLETE", "a\nb"),
        ("FAVORITE_ATHLETE", "x" * 201),
        ("SPOOL_DIR", "/tmp/\x00"),
        ("STORAGE_URL", "var/aerolite.db"),
        ("STORAGE_URL", "mysql://localhost"),
        ("STORAGE_URL", "postgresql://ho\nst"),
        ("QUEUE_URL", "redis+cluster://host"),
        ("DATABASE_URL", "redis://host"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(name: str, text: str) -> None:
    """The error is one sentence with the name, the value and what is allowed instead."""
    (setting,) = (each for each in SETTINGS if each.name == name)
    sentence = problem(**{name: text})
    assert sentence.startswith(f"{name} cannot be {text!r}"[:100])
    assert sentence.endswith(f": it takes {setting.allowed}.")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite://var/aerolite.db", "a file follows three slashes, or four where its path is absolute"),
        ("sqlite:///", "it names no file"),
        ("sqlite:///var/", "it names no file"),
        ("sqlite:///:memory:", "it names no file"),
        ("sqlite:///a.db?mode=ro", "it names a file with ? or # in it"),
        ("redis://", "it names no host"),
        ("redis://:hunter2@host:port", "a port is a number from 1 to 65535"),
        ("redis://:hunter2@host:0", "a port is a number from 1 to 65535"),
        ("postgresql://u:hunter2@host:65536/d", "a port is a number from 1 to 65535"),
        ("redis://:hunter2@host/data", "a database of Redis is a number"),
        ("redis+cluster://host/3", "a Redis Cluster has no database but 0"),
        ("redis://[::1", "it names no host"),
        ("redis://one,,two", "it names no host"),
        ("postgresql://u:hunter2@[::1/d", "it names no host"),
        ("postgresql:///db", "it names no host"),
        ("redis:///0?host=x", "it names no host"),
        ("memory://here", "memory:// is all that it takes"),
    ],
)
def test_what_is_wrong_with_a_url_is_told(url: str, why: str) -> None:
    """Where the scheme is right, the sentence says what is not, and quotes no password."""
    sentence = problem(STORAGE_URL=url)
    assert sentence.startswith("STORAGE_URL cannot be '")
    assert f": {why}" in sentence
    assert sentence.endswith(".")
    assert "hunter2" not in sentence


def test_an_unknown_scheme_is_told_the_known_ones() -> None:
    """Whoever names a backend that there is not reads which there are."""
    sentence = problem(STORAGE_URL="mysql://localhost/x")
    for form in ("sqlite:///FILE", "redis://", "rediss://", "redis+cluster://", "postgresql://"):
        assert form in sentence


def test_all_that_is_wrong_is_reported_at_once() -> None:
    """Three wrong settings are three sentences in one error, whose message has a line for each."""
    with pytest.raises(SettingError) as caught:
        read(PORT="x", LOG_LEVEL="loud", CACHE_BYTES="much", HOST="127.0.0.1")
    assert [sentence.split()[0] for sentence in caught.value.problems] == ["PORT", "CACHE_BYTES", "LOG_LEVEL"]
    assert str(caught.value).splitlines() == list(caught.value.problems)


def test_a_long_wrong_value_is_cut() -> None:
    """A value of a megabyte does not fill the terminal."""
    assert len(problem(LOG_LEVEL="x" * 1_000_000)) < 300


def test_an_empty_variable_counts_as_unset() -> None:
    """Compose and Kubernetes write an empty variable where they mean none."""
    assert read(**dict.fromkeys(NAMES, "")) == Settings()


def test_what_is_no_setting_is_ignored() -> None:
    """An environment is full of other people's variables."""
    assert read(PATH="/bin", AEROLITE_PORT="tcp://10.0.0.1:80", port="x") == Settings()


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """`NAME_FILE` names a file that holds the value; one newline at its end does not belong to it."""
    file = tmp_path / "key"
    for content, key in (
        ("0123456789", "0123456789"),
        ("0123456789\n", "0123456789"),
        ("01234567\r\n", "01234567"),
    ):
        file.write_bytes(content.encode())
        assert read(ADMIN_KEY_FILE=str(file), ADMIN_KEY="").admin_key == key


def test_any_setting_comes_from_a_file(tmp_path: Path) -> None:
    """Not only secrets may be mounted."""
    (tmp_path / "port").write_text("9000\n")
    assert read(PORT_FILE=str(tmp_path / "port")).port == 9000


def test_value_and_file_are_an_error() -> None:
    """Who sets both NAME and NAME_FILE is asked to choose."""
    assert problem(PORT="1", PORT_FILE="x") == "PORT and PORT_FILE are both set: set only one of them."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "must hold 1 to 65536 bytes"),
        (b"\n", "must hold 1 to 65536 bytes"),
        (b"x" * 65537, "must hold 1 to 65536 bytes"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A file that is missing, empty, huge or binary is refused by its name, without its content."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    sentence = problem(ADMIN_KEY_FILE=str(file))
    assert sentence == f"ADMIN_KEY_FILE names {str(file)!r}, which {reason}."


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """Where Docker mounted a directory for a missing secret, the error says so."""
    assert "Is a directory" in problem(ADMIN_KEY_FILE=str(tmp_path))


def test_a_path_that_cannot_be_is_no_file() -> None:
    """A NUL in a file's path is refused like any other bad path."""
    assert "ADMIN_KEY_FILE names" in problem(ADMIN_KEY_FILE="a\x00b")


def test_a_wrong_secret_is_not_shown() -> None:
    """Neither the error nor its cause holds a wrong admin key, wherever it came from."""
    with pytest.raises(SettingError) as caught:
        read(ADMIN_KEY="hunter2 hunter2")
    assert "hunter2" not in str(caught.value)
    assert "ADMIN_KEY cannot be '***'" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@host/x",
        "redis://:hunter2@/0",
        "redis://:hunter2@",
        "redis://:hunt/hunter2@host:port",
        "redis://hunter2@host/x",
        "redis//:hunter2@host",
        ":hunter2@host",
        "postgresql://u:a@hunter2@/x",
        "postgresql:// host/db?password=hunter2",
        "http://u:hunter2@a://b",
    ],
)
def test_a_wrong_url_does_not_show_its_password(url: str) -> None:
    """However a URL is broken, the part that may be a password is masked in the error."""
    sentence = problem(STORAGE_URL=url)
    assert "hunter2" not in sentence
    assert "***" in sentence


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://me:hunter2@host", "rediss://me:***@host"),
        ("redis://host/0", "redis://host/0"),
        ("postgresql://me:hunter2@a:5432,b:5433/db", "postgresql://me:***@a:5432,b:5433/db"),
        (
            "postgresql://host/db?user=me&password=hunter2&x=1",
            "postgresql://host/db?user=me&password=***&x=1",
        ),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://me:@/db?host=/run/pg", "postgresql://me:***@/db?host=/run/pg"),
        ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
        ("memory://", "memory://"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """A store's URL prints itself redacted, and keeps the password for the driver."""
    parsed = StorageUrl.parse(url)
    assert str(parsed) == parsed.redacted == shown
    assert "hunter2" not in repr(parsed)
    assert parsed.text == url


def test_a_sqlite_url_has_a_path() -> None:
    """Three slashes begin a relative path, four an absolute one; no other URL has a path."""
    assert StorageUrl.parse("sqlite:///var/a b.db").path == Path("var/a b.db")
    assert StorageUrl.parse("sqlite:////srv/a.db").path == Path("/srv/a.db")
    assert StorageUrl.parse("redis://host/0").path is None


def test_database_and_queue_follow_the_storage() -> None:
    """Unset, the queue is the storage, and so is the database where the storage speaks SQL."""
    settings = read(STORAGE_URL="postgresql://host/db")
    assert settings.database == settings.queue == settings.storage_url
    settings = read(STORAGE_URL="redis://host/0")
    assert settings.database.scheme == "duckdb"
    assert settings.queue == settings.storage_url


def test_the_database_of_sqlite_is_a_file_of_its_own() -> None:
    """Clients' SQL never gets the storage's own file."""
    assert read().database == StorageUrl.parse("sqlite:///var/aerolite-sql.db")
    absolute = read(STORAGE_URL="sqlite:////srv/data").database
    assert absolute == StorageUrl.parse("sqlite:////srv/data-sql")
    assert absolute.path == Path("/srv/data-sql")


def test_database_and_queue_can_be_elsewhere() -> None:
    """Set, both win over the storage."""
    settings = read(DATABASE_URL="postgresql://host/db", QUEUE_URL="redis://host")
    assert settings.database.scheme == "postgresql"
    assert settings.queue.scheme == "redis"


def test_a_cluster_needs_a_queue_of_its_own() -> None:
    """Redis Cluster as storage is refused without QUEUE_URL, and its password is not shown."""
    sentence = problem(STORAGE_URL="redis+cluster://:hunter2@host:7000")
    assert sentence.startswith("QUEUE_URL must be set where STORAGE_URL is redis+cluster://:***@host:7000")
    assert read(STORAGE_URL="redis+cluster://host", QUEUE_URL="redis://host").queue.scheme == "redis"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_loopback_is_known(host: str, loopback: bool) -> None:
    """The settings tell whether only this machine can reach the service."""
    assert read(HOST=host).binds_loopback is loopback


def test_a_dump_holds_all_and_no_secret() -> None:
    """What is logged at the start has every setting by name as a JSON scalar, passwords and keys masked."""
    settings = read(
        ADMIN_KEY="hunter2hunter2",
        STORAGE_URL="redis://:hunter2@host",
        DATABASE_URL="postgresql://u:hunter2@host/db",
        QUEUE_URL="redis://:hunter2@host",
        CORS_ORIGINS="*",
        ANONYMOUS_SCOPES="write,read",
    )
    dump = settings.dump()
    assert list(dump) == NAMES
    assert all(isinstance(value, str | int | float | None) for value in dump.values())
    assert "hunter2" not in f"{dump} {settings}"
    assert dump["ADMIN_KEY"] == "***"
    assert dump["STORAGE_URL"] == "redis://:***@host"
    assert dump["ANONYMOUS_SCOPES"] == "read,write"
    assert dump["PORT"] == 8080
    assert dump["STORAGE_QUOTA_BYTES"] is None
    assert dump["LOG_FORMAT"] == "json"


def test_settings_do_not_change() -> None:
    """Settings are read once and frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]  # that is the test


@given(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    """No text makes a setting fail in another way than by its sentence, which has one line."""
    try:
        read(**{name: text})
    except SettingError as error:
        problems = [error.problems, str(error).splitlines()]
    else:
        return
    assert [len(lines) for lines in problems] == [1, 1]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.sampled_from(NAMES[3:6]))
def test_no_password_gets_out(noise: str, name: str) -> None:
    """Whatever stands around and in a password, no error and no dump shows it."""
    secret = "hunter2"
    url = f"redis://user:{noise}{secret}{noise}@host"
    try:
        shown = str(read(**{name: url}).dump())
    except SettingError as error:
        shown = str(error)
    assert secret not in shown
