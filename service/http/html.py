"""Pages for people, made here: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from html import escape

from service.contracts.messages import Reply, Text
from service.http.answers import Answer

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1f24;background:#fff}
h1,h2,h3{line-height:1.2}h2{border-bottom:1px solid #d0d7de;padding-bottom:.3rem;margin-top:2.5rem}
code,pre{font:14px/1.45 ui-monospace,monospace;background:#f1f3f5;border-radius:4px}code{padding:.1em .3em}
pre{padding:.8rem;overflow-x:auto}pre code{padding:0}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #d0d7de}
a{color:#0550ae}.tag{font-size:.85em;border:1px solid;border-radius:1em;padding:0 .5em;margin-left:.4em}
.breaking,.sunset,.deprecated{color:#a40e26}.additive,.current{color:#116329}.supported{color:#57606a}
summary{cursor:pointer;padding:.3rem 0}nav a{margin-right:.8rem}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code,pre{background:#161b22}a{color:#58a6ff}
.breaking,.sunset,.deprecated{color:#ff7b72}.additive,.current{color:#3fb950}.supported{color:#8b949e}
h2,th,td{border-color:#30363d}}
""".strip()


def page(title: str, body: str) -> Answer:
    """Return the answer that is a page; `body` is HTML."""
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    headers = {"Content-Security-Policy": _POLICY, "Vary": "Accept", "Referrer-Policy": "no-referrer"}
    return Answer(Reply(200, Text(html), headers), media_type="text/html; charset=utf-8")


def prose(text: str) -> str:
    """Return a sentence as HTML; what stands in backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def tag(word: str) -> str:
    """Return a word as a coloured label."""
    return f'<span class="tag {escape(word)}">{escape(word)}</span>'


def link(target: str, text: str) -> str:
    """Return a link."""
    return f'<a href="{escape(target)}">{escape(text)}</a>'
