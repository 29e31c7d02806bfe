"""`aerolite serve`: every setting is an option, and the command line wins over the environment."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from service.settings import SETTINGS
from tests.unit.cli.conftest import FakeServices, Invoke


def test_help_lists_every_setting(invoke: Invoke) -> None:
    """Each setting stands in `serve --help` with its option, purpose, default and what it takes."""
    result = invoke("serve", "--help")
    assert result.exit_code == 0
    for setting in SETTINGS:
        (line,) = (line for line in result.output.splitlines() if f"{setting.option} " in line[:60])
        assert setting.help in line
        assert f"Takes {setting.allowed}. Default: {setting.default_words}." in line
        assert setting.unit.upper() in line


def test_no_name_is_cut_on_a_narrow_terminal(invoke: Invoke) -> None:
    """With eighty columns every option can still be read."""
    result = invoke("serve", "--help", columns=80)
    for setting in SETTINGS:
        assert f" {setting.option} " in result.output


def test_options_become_settings(invoke: Invoke, services: FakeServices) -> None:
    """An option takes what the environment variable takes."""
    result = invoke("serve", "--port", "0", "--cache-bytes", "1 MiB", "--open-sql-write", "true")
    assert result.exit_code == 0, result.output
    assert services.server.runs == 1
    assert services.settings is not None
    assert services.settings.port == 0
    assert services.settings.cache_bytes == 1024**2
    assert services.settings.open_sql_write is True


def test_an_option_wins_over_the_environment(invoke: Invoke, services: FakeServices, tmp_path: Path) -> None:
    """What is given on the command line replaces the variable, and the file that a variable names."""
    (tmp_path / "key").write_text("from-the-file")
    environment = {"PORT": "1", "LOG_LEVEL": "error", "ADMIN_KEY_FILE": str(tmp_path / "key")}
    result = invoke("serve", "--port", "2", "--admin-key", "from-the-option", environment=environment)
    assert result.exit_code == 0, result.output
    assert services.settings is not None
    assert services.settings.port == 2
    assert services.settings.log_level == "error"
    assert services.settings.admin_key == "from-the-option"


def test_the_environment_alone_will_do(invoke: Invoke, services: FakeServices, tmp_path: Path) -> None:
    """Without options the settings are those of the environment, secrets in files included."""
    (tmp_path / "key").write_text("from-the-file\n")
    result = invoke("serve", environment={"PORT": "9", "ADMIN_KEY_FILE": str(tmp_path / "key")})
    assert result.exit_code == 0, result.output
    assert services.settings is not None
    assert (services.settings.port, services.settings.admin_key) == (9, "from-the-file")


def test_wrong_settings_stop_the_start(invoke: Invoke, services: FakeServices) -> None:
    """All that is wrong in options and environment is told at once, and nothing is served."""
    result = invoke("serve", "--port", "x", environment={"LOG_LEVEL": "loud", "ADMIN_KEY": "hunter2"})
    assert result.exit_code == 2
    assert "aerolite: PORT cannot be 'x'" in result.stderr
    assert "aerolite: LOG_LEVEL cannot be 'loud'" in result.stderr
    assert "aerolite: ADMIN_KEY cannot be '***'" in result.stderr
    assert "hunter2" not in result.output
    assert services.server.runs == 0


def test_an_unknown_option_is_refused(invoke: Invoke) -> None:
    """What is no setting is no option."""
    result = invoke("serve", "--colour", "red")
    assert result.exit_code == 2
    assert "No such option" in result.output


def test_the_start_is_logged_without_secrets(invoke: Invoke) -> None:
    """The first line of the log, in the form that is set, tells which settings are not the default ones."""
    environment = {"ADMIN_KEY": "hunter2hunter2", "STORAGE_URL": "redis://:hunter2@host", "PORT": "8080"}
    result = invoke("serve", "--cache-bytes", "0", environment=environment)
    line = json.loads(result.stderr)
    assert line["message"].startswith("starting aerolite")
    assert line["CACHE_BYTES"] == 0
    assert line["ADMIN_KEY"] == "***"
    assert line["STORAGE_URL"] == "redis://:***@host"
    assert "PORT" not in line
    assert invoke("serve", "--log-level", "error").stderr == ""


def test_an_address_that_cannot_be_had_is_a_sentence(invoke: Invoke, services: FakeServices) -> None:
    """Where the port is taken the command says so and exits with 1."""
    services.server.failure = OSError(errno.EADDRINUSE, "while attempting to bind")
    result = invoke("serve", "--log-level", "error")
    assert result.exit_code == 1
    assert result.stderr == "aerolite: Cannot listen on 127.0.0.1 port 8080: Address already in use.\n"
