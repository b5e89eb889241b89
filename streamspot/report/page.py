"""The page: one file of HTML that loads nothing, reads well on a screen and prints well on paper."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamspot.errors import SettingsError, needs
from streamspot.files import write_atomically
from streamspot.report.figures import Figure

_STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.7em;margin-bottom:.2em}
h2{font-size:1.25em;margin:1.8em 0 .2em;border-bottom:2px solid #222;padding-bottom:.1em}
h3{font-size:1.05em;margin:1.4em 0 .2em}
p.lead{font-size:1.1em;margin:.2em 0 1em}
p.note,p.term{color:#555;margin:.3em 0 .8em;max-width:75ch}
div.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd;vertical-align:top;white-space:nowrap}
th{border-bottom:1px solid #888;font-weight:600}
td:first-child,th:first-child,td.text,th.text{text-align:left}
th,td.long{white-space:normal}
td.long{min-width:13em}
pre{background:#f5f5f5;padding:1em;overflow:auto;font-size:12px}
a{color:#225588}
@page{size:A4;margin:14mm}
@media print{
body{max-width:none;margin:0;padding:0;font-size:10pt}
h2,h3,p.lead,p.note,p.term{break-after:avoid}
tr,p,.figure{break-inside:avoid}
thead{display:table-header-group}
div.scroll{overflow:visible}
td,th{padding:.15em .45em}
.modebar,.screen{display:none!important}
pre{white-space:pre-wrap;overflow:visible}
}
"""

_SCRIPT = """
const figures=()=>document.querySelectorAll('.figure');
const config={responsive:true,displaylogo:false,modeBarButtonsToRemove:['select2d','lasso2d','autoScale2d']};
for(const f of figures()){
const d=JSON.parse(f.nextElementSibling.textContent);
Plotly.newPlot(f,d.data,d.layout,config);
}
addEventListener('beforeprint',()=>{for(const f of figures())Plotly.relayout(f,{width:680,autosize:false})});
addEventListener('afterprint',()=>{for(const f of figures())Plotly.relayout(f,{width:null,autosize:true})});
"""

_LONG = 28
"""Characters of text that may stand in one line of a table."""

_ALLOWED = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""What a browser lets the page do: nothing is fetched or sent, whatever the script would like."""


def heading(text: str, level: int = 2, anchor: str = "") -> str:
    """Return a heading."""
    place = f' id="{html.escape(anchor)}"' if anchor else ""
    return f"<h{level}{place}>{html.escape(text)}</h{level}>"


def note(text: str, kind: str = "note") -> str:
    """Return a sentence: a ``note``, the ``lead`` that says what the page is about, or what a ``term`` means."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], text: Sequence[int] = ()) -> str:
    """Return a table; columns are numbers, set to the right, but for the first and those named in ``text``.

    Only heads and long text are broken into lines; on a narrow screen the table scrolls by itself.
    """

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(_cell(tag, str(cell), text=n in text) for n, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", heads)}</tr></thead>{body}</table></div>'


def _cell(tag: str, content: str, *, text: bool) -> str:
    looks = [name for name, so in (("text", text), ("long", len(content) > _LONG)) if so]
    look = f' class="{" ".join(looks)}"' if looks else ""
    return f"<{tag}{look}>{html.escape(content).replace(' %', '&nbsp;%')}</{tag}>"


def links(targets: Iterable[tuple[str, str]]) -> str:
    """Return links to anchors, by their words; they are of no use on paper."""
    listed = ", ".join(
        f'<a href="#{html.escape(anchor)}">{html.escape(text)}</a>' for anchor, text in targets
    )
    return f'<p class="screen">{listed}</p>'


def pre(text: str) -> str:
    """Return text as it stands."""
    return f"<pre>{html.escape(text)}</pre>"


def drawn(figure: Figure) -> str:
    """Return a figure, which the page's script draws."""
    content = json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")
    return f'<div class="figure"></div><script type="application/json">{content}</script>'


def write_page(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write the page.

    Raises:
        SettingsError: plotly is missing, or the file cannot be written.
    """
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(needs("a report", "plotly", "report", error)) from None
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>\n"
    )
    scripts = f"<script>{get_plotlyjs()}</script>\n<script>{_SCRIPT}</script>"
    try:
        with write_atomically(path) as part:
            page = head + "\n".join(parts) + f"\n{scripts}</body></html>\n"
            part.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); name another with --out") from None
