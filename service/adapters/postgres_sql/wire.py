"""A session that was taken over from the driver, to be asked in the protocol itself.

The driver gives values in types of Python, of which some hold less than PostgreSQL's (an infinite date, a
month of an interval); it asks further questions for types that it does not know, and it takes in a row of any
size. Here every value comes as its text, and what is larger than the bounds is never held in memory: a
message says first how long it will be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from service.adapters.postgres_sql import messages
from service.adapters.postgres_sql.messages import Field

_MIN_MESSAGE_BYTES = 1 << 20
"""What any message but a row may be: columns have names, and errors texts."""

_SEVERE = frozenset({"FATAL", "PANIC"})


class Refused(Exception):
    """An error that the server answers; `fields` by the letters of their kinds."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", "no message"))
        self.fields = fields

    @property
    def code(self) -> str:
        """The SQLSTATE."""
        return self.fields.get("C", "XX000")

    @property
    def ends_session(self) -> bool:
        """Whether the server has hung up, for which no client's code can raise the severity."""
        return self.fields.get("V") in _SEVERE


class Lost(Exception):
    """The connection has ended without an answer."""


class Garbled(Exception):
    """The statement has changed the encoding in which its own answer comes."""

    def __init__(self) -> None:
        super().__init__("client_encoding is not UTF8 any more")


class Overflow(Exception):
    """A row (`of_row`), or all that the server has sent, is larger than the bounds."""

    def __init__(self, *, of_row: bool) -> None:
        super().__init__("the answer is too large")
        self.of_row = of_row


@dataclass(slots=True)
class Answer:
    """What came back. Rows are kept while they fit into `room_bytes`; then it is `cut`.

    With `hurried` the session is ended there, since what is under way writes nothing.
    """

    room_bytes: int = 0
    hurried: bool = False
    types: tuple[int, ...] = ()
    fields: list[Field] | None = None
    rows: list[bytes] = field(default_factory=list)
    tag: str | None = None
    more: bool = False
    cut: bool = False
    failure: Exception | None = None

    def checked(self) -> Answer:
        """Return it. Raises `Refused`, `Lost`, `Overflow` or `Garbled` where there is none."""
        if self.failure is not None:
            raise self.failure
        return self


class Wire(asyncio.Protocol):
    """Asks on a transport. A row may have `max_bytes`, all rows and messages together four times as many."""

    def __init__(self, transport: asyncio.Transport, *, max_bytes: int) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._max_row_bytes = max_bytes
        self._max_message_bytes = max(max_bytes, _MIN_MESSAGE_BYTES)
        self._left_bytes = 4 * self._max_message_bytes
        self._waiting: deque[tuple[Answer, asyncio.Future[Answer]]] = deque()
        self._buffer = bytearray()
        self._ended: Exception | None = None
        transport.set_protocol(self)

    def ask(self, request: bytes, answer: Answer) -> asyncio.Future[Answer]:
        """Send what ends with one Sync, or is one simple query; the future's answer may be a failure.

        Several may be asked at once: they are answered in turn.
        """
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((answer, future))
        if self._ended is not None:
            self._end(self._ended)
        else:
            self._transport.write(request)
        return future

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        return self._ended is not None

    @property
    def idle(self) -> bool:
        """Whether all was answered."""
        return self._ended is None and not self._waiting

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._break(Overflow(of_row=False))
            return
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 5 and self._ended is None:
            kind, length = buffer[at], int.from_bytes(buffer[at + 1 : at + 5])
            limit = self._max_row_bytes if kind == _ROW else self._max_message_bytes
            if length > limit:
                self._break(Overflow(of_row=kind == _ROW))
            elif len(buffer) - at <= length:
                break
            else:
                self._take(kind, bytes(buffer[at + 5 : at + 1 + length]))
                at += 1 + length
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits, with what the server has said last, if it has."""
        said = self._waiting[0][0].failure if self._waiting else None
        self._end(said or Lost(str(exc or "the server has hung up")))

    def _take(self, kind: int, body: bytes) -> None:
        if not self._waiting:
            return  # a notice, or what is said to all when the server shuts down
        answer, future = self._waiting[0]
        if kind == _ROW:
            self._take_row(answer, body)
        elif kind == _READY:
            self._waiting.popleft()
            if not future.done():  # who was cancelled waits no more
                future.set_result(answer)
        elif kind == _STATUS and body.startswith(_ENCODING) and body != _ENCODING + b"UTF8\0":
            self._break(Garbled())
        else:
            _note(answer, kind, body)

    def _take_row(self, answer: Answer, body: bytes) -> None:
        answer.room_bytes -= len(body)
        if answer.room_bytes >= 0:
            answer.rows.append(body)
            return
        answer.cut = True
        if answer.hurried:
            self._break(None)

    def _break(self, failure: Exception | None) -> None:
        """End the session from here; None is no failure of what was asked."""
        self._transport.abort()
        self._end(failure)

    def _end(self, failure: Exception | None) -> None:
        self._ended = self._ended or failure or Lost("the session was ended")
        while self._waiting:
            answer, future = self._waiting.popleft()
            answer.failure = failure
            if not future.done():
                future.set_result(answer)


def _note(answer: Answer, kind: int, body: bytes) -> None:
    """Note what a message tells of the answer; some (what is done so far, a notice) tell nothing."""
    if kind == _ERROR:
        answer.failure = Refused(messages.error_fields(body))
    elif kind == _FIELDS:
        answer.fields = messages.row_fields(body)
    elif kind == _TYPES:
        answer.types = messages.parameter_types(body)
    elif kind == _TAG:
        answer.tag = messages.tag(body)
    elif kind == _SUSPENDED:
        answer.more = True


_ROW, _READY, _ERROR, _FIELDS, _TYPES, _TAG, _SUSPENDED, _STATUS = b"DZETtCsS"
_ENCODING = b"client_encoding\0"
