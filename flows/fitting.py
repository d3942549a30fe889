"""Tables that never cut what they show: where they do not fit, each row becomes lines of its own."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_BETWEEN = 2


def counted(number: int, noun: str) -> str:
    """1 release, 2 releases, 3 entries."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou") else f"{noun}s"
    return f"{number:,} {noun}"


class Fitting(Table):
    """First column to the left and never wrapped, figures to the right."""

    def __init__(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        super().__init__(header_style="dim", box=None, pad_edge=False)
        if title:
            self.title, self.title_justify, self.title_style = title, "left", "bold"
        for i, column in enumerate(columns):
            self.add_column(column, justify="left" if i == 0 else "right", no_wrap=i == 0)
        for row in rows:
            self.add_row(*row)
        self._names, self._held = columns, rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._width() <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(str(self.title), style="bold")
        for row in self._held:
            yield from self._lines(row, options.max_width)

    def _width(self) -> int:
        """With every cell on one line: rich shrinks columns without regard to the words in them."""
        widest = (max(cell_len(_plain(cell)) for cell in self._column(i)) for i in range(len(self._names)))
        return sum(widest) + _BETWEEN * (len(self._names) - 1)

    def _column(self, place: int) -> list[str]:
        return [self._names[place], *(row[place] for row in self._held)]

    def _lines(self, row: Sequence[str], width: int) -> RenderResult:
        """The first cell, and below it the others with their names, as many a line as there is room for."""
        yield Text(_plain(row[0]), overflow="fold")
        line = Text("  ", overflow="fold")
        for name, cell in zip(self._names[1:], row[1:], strict=True):
            if not _plain(cell):
                continue
            pair = Text.assemble((f"{name} " if name else "", "dim"), Text.from_markup(cell))
            if len(line.plain) > _BETWEEN and line.cell_len + pair.cell_len > width:
                line.rstrip()
                yield line
                line = Text("  ", overflow="fold")
            line.append_text(pair).append("  ")
        if line.plain.strip():
            line.rstrip()
            yield line


def _plain(cell: str) -> str:
    return Text.from_markup(cell).plain
