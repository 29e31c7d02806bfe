"""A write in several steps, of which none follows one that failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.errors import AeroliteError, StoreUnavailable


class Steps:
    """The steps of one write, made one after the other."""

    def __init__(self) -> None:
        self._failure: AeroliteError | None = None

    @contextmanager
    def step(self, *, last: bool = False) -> Iterator[None]:
        """Make a step; none follows the `last`, nor one that was cancelled, for nobody knows how far it came.

        Raises what an earlier step has raised.
        """
        if self._failure is not None:
            raise self._failure
        self._failure = StoreUnavailable("This write has ended or was cut off. Send it again.")
        try:
            yield
        except AeroliteError as error:
            self._failure = error
            raise
        if not last:
            self._failure = None
