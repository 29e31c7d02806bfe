"""The changelog and the difference of two contracts as pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from service.http.answers import Answer
from service.http.html import link, page, prose, tag


def changelog_page(versions: Sequence[Mapping[str, Any]], link_base: str) -> Answer:
    """Return the page of all contracts, the newest first."""
    parts = ["<h1>Contracts</h1>", _introduction(versions[0]["version"], link_base)]
    before = {newer["version"]: older["version"] for older, newer in pairwise(versions)}
    parts += [_version(each, before.get(each["version"]), link_base) for each in reversed(versions)]
    return page("Contracts", "\n".join(parts))


def difference_page(difference: Mapping[str, Any], link_base: str) -> Answer:
    """Return the page of what differs between two contracts."""
    title = f"From {difference['from']} to {difference['to']}"
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{link(f'{link_base}/versions', 'All contracts')}</p>"]
    if difference["changes"]:
        parts.append(_changes(difference["changes"]))
    else:
        parts.append("<p>Nothing differs: both days have the same contract.</p>")
    return page(title, "\n".join(parts))


def _introduction(first: str, link_base: str) -> str:
    return (
        "<p>Send <code>API-Version: DATE</code> with the day you integrated on, and you keep the shapes "
        f"of that day. Without the header and without a key you get {escape(first)}. "
        f"{link(f'{link_base}/docs', 'Every operation')}.</p>"
    )


def _version(version: Mapping[str, Any], before: str | None, link_base: str) -> str:
    day = version["version"]
    parts = [
        f'<h2 id="{escape(day)}">{escape(day)} {tag(version["state"])}</h2>',
        f"<p>{prose(version['description'])}</p>",
    ]
    for name, sentence in (("deprecated", "Deprecated from"), ("sunset", "Served until")):
        if version[name] is not None:
            parts.append(f'<p class="{name}">{sentence} <time>{escape(version[name])}</time>.</p>')
    if version["guide"] is not None:
        parts.append(f"<p>{link(version['guide'], 'How to move on')}</p>")
    if version["changes"]:
        parts.append(_changes(version["changes"]))
    if before is not None:
        parts.append(f"<p>{link(f'{link_base}/versions/{before}...{day}', f'In detail, from {before}')}</p>")
    return "\n".join(parts)


def _changes(changes: Sequence[Mapping[str, Any]]) -> str:
    items = []
    for change in changes:
        touched = ", ".join(
            f"<code>{escape(operation['method'])} {escape(operation['path'])}</code>"
            for operation in change["operations"]
        )
        kind = tag("breaking" if change["breaking"] else "additive")
        items.append(f"<li>{prose(change['description'])} {kind}<br>{touched}</li>")
    return f"<ul>{''.join(items)}</ul>"
