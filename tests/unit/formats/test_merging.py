"""A merge patch changes what it names and nothing else (RFC 7396)."""

from __future__ import annotations

import pytest

from service.domain.errors import InvalidContent
from service.formats.merging import merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        # The examples of appendix A that patch an object with an object.
        (b'{"a":"b"}', b'{"a":"c"}', b'{"a":"c"}'),
        (b'{"a":"b"}', b'{"b":"c"}', b'{"a":"b","b":"c"}'),
        (b'{"a":"b"}', b'{"a":null}', b"{}"),
        (b'{"a":"b","b":"c"}', b'{"a":null}', b'{"b":"c"}'),
        (b'{"a":["b"]}', b'{"a":"c"}', b'{"a":"c"}'),
        (b'{"a":"c"}', b'{"a":["b"]}', b'{"a":["b"]}'),
        (b'{"a":{"b":"c"}}', b'{"a":{"b":"d","c":null}}', b'{"a":{"b":"d"}}'),
        (b'{"a":[{"b":"c"}]}', b'{"a":[1]}', b'{"a":[1]}'),
        (b'{"e":null}', b'{"a":1}', b'{"e":null,"a":1}'),
        (b"{}", b'{"a":{"bb":{"ccc":null}}}', b'{"a":{"bb":{}}}'),
        # What is not named keeps its own bytes.
        (b'{"a":1.0,"b":1e400,"c":"\\u00e9"}', b'{"a":2.50}', b'{"a":2.50,"b":1e400,"c":"\\u00e9"}'),
    ],
)
def test_a_patch_is_merged(target: bytes, patch: bytes, merged: bytes) -> None:
    """Members that are named are replaced, merged or, by null, removed; the others keep their bytes."""
    assert merge_patch(target, patch) == merged


@pytest.mark.parametrize("patch", [b"[]", b"null", b"{", b'{"a":1,"a":2}'])
def test_a_patch_is_one_object(patch: bytes) -> None:
    """What is no JSON object cannot patch a record."""
    with pytest.raises(InvalidContent):
        merge_patch(b"{}", patch)
