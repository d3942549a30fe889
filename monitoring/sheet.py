"""Pages that need nothing but themselves: tables, bars over days, and a policy that lets them load nothing."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

_HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1c2733; background: #fff; margin: 0 auto; padding: 24px 32px;
  max-width: 1080px }}
h1 {{ font-size: 24px; margin: 0 0 4px }} h2 {{ font-size: 17px; margin: 28px 0 6px }}
h1, h2, h3, p {{ overflow-wrap: anywhere }}
h3 {{ font-size: 15px; margin: 22px 0 2px }} p {{ margin: 4px 0 }}
.wide {{ overflow-x: auto; margin: 8px 0 }} table {{ border-collapse: collapse }}
td, th {{ padding: 3px 18px 3px 0; text-align: right; border-bottom: 1px solid #e3e8ed; vertical-align: top;
  max-width: 44ch; overflow-wrap: break-word }}
th {{ font-weight: 600; color: #51606e }} td:first-child, th:first-child {{ text-align: left }}
.bad {{ color: #b3261e; font-weight: 600 }} .good {{ color: #1b7a3d }} .quiet {{ color: #6b7985 }}
svg {{ display: block }}
@media (max-width: 600px) {{ body {{ padding: 16px }} td, th {{ padding-right: 8px; max-width: 30ch }} }}
@media (prefers-color-scheme: dark) {{ body {{ color: #dbe4ec; background: #14191f }}
  td, th {{ border-color: #2c3742 }} th {{ color: #93a3b1 }} .bad {{ color: #ff8a80 }} .good {{ color: #7fd69b }} }}
</style></head><body>
"""

_WIDE, _NARROW, _HIGH, _EDGE, _BROAD = 1016, 340, 150, 22, 60

Row = Sequence[str]


def page(title: str, parts: Sequence[str]) -> bytes:
    """Parts are HTML: what comes from outside has been through `text` or a table."""
    return (_HEAD.format(title=text(title)) + "\n".join(parts) + "\n</body></html>\n").encode()


def text(words: str) -> str:
    return html.escape(words)


def table(columns: Row, rows: Sequence[Row], marked: Sequence[int] = ()) -> str:
    """`marked`: rows to be read first."""
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    wrong = set(marked)
    body = "".join(_row(row, is_marked=i in wrong) for i, row in enumerate(rows))
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _row(cells: Row, *, is_marked: bool) -> str:
    style = ' class="bad"' if is_marked else ""
    return f"<tr{style}>{''.join(f'<td>{text(cell)}</td>' for cell in cells)}</tr>"


def days(counts: Mapping[int, int], what: str, colour: str) -> str:
    """A bar a day, of counts by midnight (microseconds)."""
    if not counts:
        return ""
    first, last, most = min(counts), max(counts), max(counts.values())
    span = (last - first) // 86_400_000_000 + 1
    width = min((_WIDE - 2) / span, _BROAD)
    bars = []
    for midnight, count in counts.items():
        tall = (_HIGH - 2 * _EDGE) * count / max(most, 1)
        left = 1 + width * ((midnight - first) // 86_400_000_000)
        bars.append(
            f'<rect x="{left:.1f}" y="{_HIGH - _EDGE - tall:.1f}" width="{max(0.8 * width, 0.5):.1f}" '
            f'height="{tall:.1f}" fill="{colour}"><title>{day(midnight)}: {count:,}</title></rect>'
        )
    words = f'<text x="0" y="14" {_SMALL}>{text(what)}, at most {most:,} a day</text>'
    ends = f'<text x="0" y="{_HIGH - 6}" {_SMALL}>{day(first)}</text>'
    end = max(width * span, 170)
    ends += f'<text x="{end:.0f}" y="{_HIGH - 6}" text-anchor="end" {_SMALL}>{day(last)}</text>' if span > 1 else ""
    floor, wide = _HIGH - _EDGE, max(_NARROW, round(width * span) + 2)
    axis = f'<line x1="0" x2="{wide}" y1="{floor}" y2="{floor}" stroke="#93a3b1"/>'
    return (
        f'<div class="wide"><svg width="{wide}" height="{_HIGH}" role="img" aria-label="{text(what)}">'
        f"{words}{axis}{''.join(bars)}{ends}</svg></div>"
    )


_SMALL = 'font-size="12" fill="#6b7985" font-family="system-ui, sans-serif"'


def day(micros: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros):%Y-%m-%d}"
