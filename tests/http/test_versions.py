"""`/versions`: the contracts, their differences, and the changelog as a page."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest

from service.contracts import registered
from service.contracts.changes import Change, head
from service.contracts.differences import between, is_breaking, notes
from service.contracts.messages import Reply
from service.contracts.registry import Contract, Registry

from .conftest import Api, MakeApi

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FIRST, SECOND, NEWEST = "2023-04-01", "2023-09-01", "2026-11-20"


class Page(HTMLParser):
    """Reads a page: its words, its links, its tags, and whatever would load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links and what is loaded."""
        self.tags.add(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name == "src" or tag in {"link", "script", "img", "iframe"}:
                self.loads.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        """Note the words."""
        self.words.append(data)


async def test_the_list_tells_contracts_oldest_first(api: Api) -> None:
    """Version, state, description and changes, which come from the change classes."""
    async with api.get("/versions") as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Vary"] == "Accept"
        listed = (await answer.json())["versions"]
    states = [(each["version"], each["state"]) for each in listed]
    assert states == [(FIRST, "supported"), (SECOND, "supported"), (NEWEST, "current")]
    told = {change["name"]: change["breaking"] for each in listed for change in each["changes"]}
    assert told == {
        "Receipt": True,
        "LimitedArray": False,
        "Page": True,
        "TypedValues": True,
        "Located": False,
    }
    receipt = listed[1]["changes"][0]
    assert receipt["operations"] == [
        {"id": "data.delete", "method": "DELETE", "path": "/data"},
        {"id": "data.load", "method": "POST", "path": "/data"},
    ]
    descriptions = {each.description for contract in registered().contracts for each in contract.changes}
    assert {change["description"] for each in listed for change in each["changes"]} == descriptions


async def test_a_difference_is_told_for_machines(api: Api) -> None:
    """Changes in between, and of each operation touched what came, what went, and its answers before and after."""
    async with api.get(f"/versions/{FIRST}...{SECOND}") as answer:
        assert answer.status == 200
        difference = await answer.json()
    assert (difference["from"], difference["to"], difference["breaking"]) == (FIRST, SECOND, True)
    assert [change["name"] for change in difference["changes"]] == ["Receipt", "LimitedArray"]
    operations = {each["id"]: each for each in difference["operations"]}
    assert operations.keys() == {"data.load", "data.delete", "data.read"}
    assert operations["data.read"]["parameters"] == {"added": ["limit"], "removed": []}
    answers = operations["data.load"]["answers"]
    assert (list(answers["from"]), list(answers["to"])) == (["200", "202"], ["201", "202"])
    assert list(answers["from"]["200"]) == ["text/plain"]


async def test_days_between_contracts_stand_for_their_contract(api: Api) -> None:
    """Any day that a header may name can be compared, in both forms; a contract does not differ from itself."""
    async with api.get("/versions/20230815...2026-12-01") as answer:
        difference = await answer.json()
        assert (difference["from"], difference["to"]) == (FIRST, NEWEST)
        assert len(difference["changes"]) == 5
        typed = {each["id"]: each["typed"] for each in difference["operations"]}
        assert typed["data.read"] == {"from": False, "to": True}
    async with api.get(f"/versions/{SECOND}...2026-11-19") as answer:
        difference = await answer.json()
        assert (difference["breaking"], difference["changes"], difference["operations"]) == (False, [], [])


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        (f"{NEWEST}...{FIRST}", "from"),
        (f"2026-1-5...{NEWEST}", "from"),
        (f"{FIRST}...x", "to"),
        (f"{FIRST}...2999-01-01", "to"),
        (f"2000-01-01...{NEWEST}", "from"),
        ("%3Cscript%3E...%00", "from"),
    ],
)
async def test_what_cannot_be_compared_is_refused(api: Api, path: str, parameter: str) -> None:
    """The problem names the day that is wrong."""
    async with api.get(f"/versions/{path}", headers=BROWSER) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["parameter"]) == (400, parameter)
        assert "<script>" not in await answer.text()


@pytest.mark.parametrize(
    "path", ["/versions/2023-04-01", "/versions/2023-04-01..2023-09-01", "/versions/x/y"]
)
async def test_other_paths_are_not_found(api: Api, path: str) -> None:
    """Nothing is guessed from a path that is not quite right."""
    async with api.get(path) as answer:
        assert answer.status == 404


async def test_browsers_get_the_changelog_as_a_page(make_api: MakeApi) -> None:
    """It shows every contract and change, loads nothing from anywhere, and its links lead somewhere."""
    api = await make_api(BASE_PATH="/api")
    for path in ("/api/versions", f"/api/versions/{FIRST}...{NEWEST}"):
        async with api.get(path, headers=BROWSER) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            text = await answer.text()
        page = Page(text)
        assert page.loads == []
        words = " ".join(page.words)
        for description in ("In GET /data numbers are numbers", "tells by Location"):
            assert description in re.sub(r"\s+", " ", words)
        assert "breaking" in words
        for target in page.links:
            async with api.get(target) as answer:
                assert answer.status == 200, target


async def test_programs_get_json(api: Api) -> None:
    """No `Accept`, any type, JSON: all but who asks for HTML first."""
    for accept in (
        "*/*",
        "application/json",
        "application/json, text/html;q=0.5",
        "text/*;q=0.1, application/json",
    ):
        async with api.get("/versions", headers={"Accept": accept}) as answer:
            assert answer.content_type == "application/json", accept


class Hostile(Change):
    """A description that would run in a browser."""

    description = "<script>alert(1)</script> & `<b>`"

    @head("data.read")
    def change(reply: Reply) -> None:
        """Change nothing."""


def test_what_descriptions_say_is_escaped() -> None:
    """No description becomes markup."""
    from service.http.html import prose

    assert prose(Hostile.description) == (
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>&lt;b&gt;</code>"
    )


def test_a_change_of_headers_alone_is_additive() -> None:
    """What only adds a header breaks nobody."""
    real = registered()
    later = Contract(date(2027, 1, 1), "Later.", (Hostile,))
    registry = Registry([*real.contracts, later], real.operations.values())
    assert is_breaking(registry, later, Hostile) is False
    assert [note.name for note in notes(registry, later)] == ["Hostile"]
    assert [note.version for note in between(registry, real.newest, later)] == ["2027-01-01"]


def test_a_past_that_was_retold_is_the_same_past() -> None:
    """A description in several lines is told in one."""
    real = registered()
    second = replace(real.contracts[1], description="Other.")
    assert notes(Registry([real.first, second, real.newest], real.operations.values()), second) == notes(
        real, real.contracts[1]
    )
