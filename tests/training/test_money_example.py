"""The worked example of the page on money is what the product computes."""

import re

import numpy as np

from fradect.modules.ecommerce import MODULE
from fradect.policy import money_saved
from fradect.settings import PROJECT
from fradect.types import Action

PAGE = (PROJECT / "docs" / "concepts" / "money.md").read_text()


def _rows() -> list[tuple[int, bool, Action, int]]:
    found = re.findall(r"^\| \d+ \| (\d+) \| (fraud|honest) \| ([A-Z]+) \| (-?\d+) \|$", PAGE, re.M)
    return [(int(amount), was == "fraud", Action[action], int(saved)) for amount, was, action, saved in found]


def test_the_costs_named_are_those_that_ship() -> None:
    named = dict(re.findall(r"`(loss|margin|insult_fixed|review_\w+)` ([\d.]+)", PAGE.split("## A worked example")[1]))
    assert {name: float(value) for name, value in named.items()} == {
        name: float(getattr(MODULE.costs, name)) for name in named
    }
    assert len(named) == 6


def test_every_row_and_their_sum_are_right() -> None:
    amount, fraud, action, saved = (np.array(column) for column in zip(*_rows(), strict=True))
    found = money_saved(MODULE.costs, amount, fraud, action)
    np.testing.assert_allclose(found, saved)
    assert len(_rows()) == 6
    assert f"{found.sum():.0f} minor units" in PAGE.replace("\n", " ")
