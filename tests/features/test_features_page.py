"""The page about features tells what the contracts say. Run as a script, this file writes the tables into it."""

from collections.abc import Iterator
from pathlib import Path

from fradect.features.contract import Contract, Feature
from fradect.modules import MODULES
from fradect.types import DAY, HOUR, MINUTE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "features.md"
MARK = "<!-- contracts -->\n"
HEAD = "| feature | kind | unit | window | empty | meaning |\n|---|---|---|---|---|---|\n"


def tables() -> str:
    """One table per contract, a row per feature, in the contract's order."""
    return "".join(_table(contract) for module in MODULES.values() for contract in module.contracts)


def _table(contract: Contract) -> str:
    needs = ", ".join(f"`{field}`" for field in contract.requires)
    rows = "".join(f"| {' | '.join(_cells(feature))} |\n" for feature in contract)
    return f"\n### `{contract.name}`\n\nNeeds {needs}.\n\n{HEAD}{rows}"


def _cells(feature: Feature) -> Iterator[str]:
    yield f"`{feature.name}`"
    yield feature.kind.value
    yield ", ".join(feature.categories) if feature.categories else feature.unit
    yield _window(feature)
    yield "" if feature.empty is None else f"{feature.empty:g}"
    yield feature.meaning


def _window(feature: Feature) -> str:
    window = feature.window
    if window is None:
        return ""
    of = f" of `{window.of}`" if window.of else f" of {window.outcome}" if window.outcome else ""
    delay = f", delay {_span(window.delay)}" if window.delay else ""
    own = "" if window.include_self else ", itself left out"
    tiles = f", tiles of {_span(window.resolution)}" if window.resolution else ""
    return f"{window.aggregate} per {window.entity}{of}, {_span(window.length)}{tiles}{delay}{own}"


def _span(length: int) -> str:
    if length % DAY == 0:
        return f"{length // DAY} d"
    return f"{length // HOUR} h" if length % HOUR == 0 else f"{length // MINUTE} min"


def test_the_page_has_the_contracts_as_they_are() -> None:
    assert PAGE.read_text().partition(MARK)[2] == tables(), f"run `python {Path(__file__).name}` in its folder"


def test_no_meaning_breaks_the_table() -> None:
    assert not [f.name for m in MODULES.values() for c in m.contracts for f in c if "|" in f.meaning + f.unit]


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + tables())
