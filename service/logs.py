"""Log lines: JSON for machines, or a readable line for a console."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from service.settings import LogFormat, Settings


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and what the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **carried(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class ConsoleFormatter(logging.Formatter):
    """A line for people: time, level, message, and what the record carries as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        members = " ".join(f"{name}={value}" for name, value in carried(record).items())
        line = f"{moment} {record.levelname.lower():7} {record.getMessage()} {members}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def carried(record: logging.LogRecord) -> dict[str, Any]:
    """Return the members that a record was given as `extra={"fields": …}` or `extra={"request": …}`."""
    return {**getattr(record, "fields", {}), **getattr(record, "request", {})}


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Let all loggers write to a stream (default: standard error) in the form that the settings name."""
    handler = logging.StreamHandler(stream or sys.stderr)
    console = settings.log_format is LogFormat.CONSOLE
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
