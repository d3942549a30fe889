"""Charts that a page carries in itself: lines over days, intervals on one axis, bars. Every axis names its unit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.sheet import day, text

COLOURS = ("#1f78b4", "#d1691f")
_WIDE, _LABELS, _ROW, _EDGE = 1016, 300, 26, 34
_FONT = 'font-size="12" font-family="system-ui, sans-serif"'
_SOFT, _LINE = 'fill="#6b7985"', 'stroke="#93a3b1"'

Said = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Span:
    """A value with the ends of its interval, and what it is of."""

    label: str
    value: float
    low: float
    high: float
    colour: str = COLOURS[0]


def spans(rows: Sequence[Span], what: str, said: Said, zero: bool = False) -> str:
    """A dot and a line a row, on one axis that `what` names. `zero`: the axis shows 0, and a mark there."""
    if not rows:
        return ""
    ends = [end for row in rows for end in (row.low, row.high)] + ([0.0] if zero else [])
    axis = _Axis.over(ends)
    high = _EDGE + _ROW * len(rows) + _EDGE
    marks = [_tick(axis, at, high, said) for at in axis.ticks]
    if zero:
        marks.append(f'<line x1="{axis.x(0):.1f}" x2="{axis.x(0):.1f}" y1="{_EDGE - 8}" y2="{high - _EDGE}" {_LINE}/>')
    drawn = [_span(axis, row, _EDGE + _ROW * i + _ROW / 2, said) for i, row in enumerate(rows)]
    return _svg(high, what, [*marks, *drawn])


def bars(rows: Sequence[tuple[str, float]], what: str, said: Said) -> str:
    """A bar a row from 0 on; `what` names the axis."""
    if not rows:
        return ""
    axis = _Axis.over([0.0, *(value for _, value in rows)])
    high = _EDGE + _ROW * len(rows) + _EDGE
    drawn = [_tick(axis, at, high, said) for at in axis.ticks]
    for i, (label, value) in enumerate(rows):
        y = _EDGE + _ROW * i
        left, right = sorted((axis.x(0), axis.x(value)))
        drawn.append(_label(label, y + _ROW / 2))
        drawn.append(
            f'<rect x="{left:.1f}" y="{y + 5}" width="{right - left:.1f}" height="{_ROW - 10}" fill="{COLOURS[0]}">'
            f"<title>{text(label)}: {text(said(value))}</title></rect>"
        )
        drawn.append(
            f'<text x="{right + 6:.1f}" y="{y + _ROW / 2 + 4}" fill="currentColor" {_FONT}>{said(value)}</text>'
        )
    return _svg(high, what, drawn)


def lines(series: Mapping[str, Mapping[int, float]], what: str, said: Said) -> str:
    """A line for each name, over days (midnights in microseconds); `what` names the upward axis."""
    days = sorted({midnight for one in series.values() for midnight in one})
    if not days:
        return ""
    most = max((value for one in series.values() for value in one.values()), default=0) or 1
    high, left, right, floor = 240, 64, _WIDE - 90, 240 - 28
    span = max(days[-1] - days[0], 1)

    def at(midnight: int, value: float) -> str:
        return f"{left + (right - left) * (midnight - days[0]) / span:.1f},{floor - (floor - 34) * value / most:.1f}"

    drawn = [
        f'<line x1="{left}" x2="{right}" y1="{floor - (floor - 34) * part:.1f}" y2="{floor - (floor - 34) * part:.1f}" '
        f'{_LINE} stroke-opacity="0.35"/><text x="{left - 8}" y="{floor - (floor - 34) * part + 4:.1f}" '
        f'text-anchor="end" {_SOFT} {_FONT}>{text(said(most * part))}</text>'
        for part in (0, 0.5, 1)
    ]
    for i, (name, one) in enumerate(series.items()):
        points = " ".join(at(midnight, value) for midnight, value in sorted(one.items()))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i % 2]}" stroke-width="2"/>')
        drawn.append(f'<rect x="{right + 10}" y="{40 + 20 * i}" width="12" height="3" fill="{COLOURS[i % 2]}"/>')
        drawn.append(f'<text x="{right + 26}" y="{45 + 20 * i}" fill="currentColor" {_FONT}>{text(name)}</text>')
    drawn.append(f'<text x="{left}" y="{high - 8}" {_SOFT} {_FONT}>{day(days[0])}</text>')
    drawn.append(f'<text x="{right}" y="{high - 8}" text-anchor="end" {_SOFT} {_FONT}>{day(days[-1])}</text>')
    return _svg(high, what, drawn)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "_Axis":
        low, high = min(values), max(values)
        room = 0.04 * (high - low) or max(abs(high), 1.0) * 0.04
        return cls(0.0 if low == 0 else low - room, high + room)

    def x(self, value: float) -> float:
        return _LABELS + (_WIDE - _LABELS - 110) * (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        """Round values, four to eight of them."""
        size = self.high - self.low
        power = 10.0 ** math.floor(math.log10(size / 4))
        step = max(power * times for times in (1, 2, 2.5, 5) if power * times <= size / 4)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [step * i for i in range(first, last + 1)]


def _tick(axis: _Axis, at: float, high: int, said: Said) -> str:
    x = axis.x(at)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_EDGE - 4}" y2="{high - _EDGE}" {_LINE} stroke-opacity="0.25"/>'
        f'<text x="{x:.1f}" y="{high - _EDGE + 16}" text-anchor="middle" {_SOFT} {_FONT}>{text(said(at))}</text>'
    )


def _span(axis: _Axis, row: Span, y: float, said: Said) -> str:
    told = f"{row.label}: {said(row.value)}, {said(row.low)} to {said(row.high)}"
    return (
        f"<g><title>{text(told)}</title>{_label(row.label, y)}"
        f'<line x1="{axis.x(row.low):.1f}" x2="{axis.x(row.high):.1f}" y1="{y}" y2="{y}" stroke="{row.colour}" '
        f'stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{axis.x(row.value):.1f}" cy="{y}" r="5" fill="{row.colour}"/>'
        f'<text x="{_WIDE - 100}" y="{y + 4}" fill="currentColor" {_FONT}>{text(said(row.value))}</text></g>'
    )


def _label(words: str, y: float) -> str:
    short = words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
    return f'<text x="0" y="{y + 4}" fill="currentColor" {_FONT}>{text(short)}</text>'


_LONGEST = 46


def _svg(high: int, what: str, drawn: Sequence[str]) -> str:
    return (
        f'<div class="wide"><svg width="{_WIDE}" height="{high}" viewBox="0 0 {_WIDE} {high}" role="img" '
        f'aria-label="{text(what)}"><text x="0" y="16" {_SOFT} {_FONT}>{text(what)}</text>{"".join(drawn)}</svg></div>'
    )
