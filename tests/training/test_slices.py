"""Slices: every event has its part, and parts are named for people."""

from dataclasses import replace

import numpy as np

from tests.training.factories_training import CONTRACT, make_dataset
from training.slices import slices


def test_categories_are_named_and_gaps_are_unknown() -> None:
    dataset = make_dataset()
    found = slices(dataset, CONTRACT, "EUR")["channel"]
    assert set(found) == {"web", "app", "call_centre", "unknown"}
    assert ((found == "unknown") == np.isnan(dataset.matrix[:, 2])).all()
    assert ((found == "app") == (dataset.matrix[:, 2] == 1)).all()


def test_amount_bands_are_about_equal_and_in_major_units() -> None:
    dataset = make_dataset()
    bands = slices(dataset, CONTRACT, "EUR")["amount, EUR"]
    names, counts = np.unique(bands.astype(str), return_counts=True)
    assert len(names) == 4
    assert counts.min() > 0.2 * len(dataset)
    assert names[0].startswith("1: up to ")
    lowest, highest = dataset.amount[bands == names[0]], dataset.amount[bands == names[-1]]
    assert lowest.max() < highest.min()
    assert f"{lowest.max() / 100:,.2f}" == names[0].removeprefix("1: up to ")


def test_equal_amounts_make_one_band_and_no_error() -> None:
    dataset = replace(make_dataset(), amount=np.full(3_000, 700))
    assert set(slices(dataset, CONTRACT, "EUR")["amount, EUR"]) == {"1: up to 7.00"}


def test_newcomers_are_told_apart_where_the_contract_can() -> None:
    dataset = make_dataset()
    assert "customer" not in slices(dataset, CONTRACT, "EUR")
    renamed = replace(dataset, names=("total_orders", "noise", "channel"))
    features = (replace(CONTRACT.features[0], name="total_orders"), *CONTRACT.features[1:])
    found = slices(renamed, replace(CONTRACT, features=features), "EUR")["customer"]
    assert ((found == "new") == ~(dataset.matrix[:, 0] > 0)).all()
