"""The Fraud Detection Handbook's published protocol: our figures beside the book's.

The book's transactions go through the product's own path (import, windows over history, training set). Chapter 3: the
book's fifteen inputs and its one week of training. Chapter 5: our contract and all history whose labels had matured
when the test began, on the book's four folds.

Nothing is chosen on a test fold. Chapter 3's parameters were settled on one-week folds whose tests lie in May to July;
chapter 5's are searched in this run, on events before the first test fold and labels known by then.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from fradect.adapters.history_store import build_features
from fradect.adapters.importing import import_path
from fradect.adapters.places import Places
from fradect.adapters.training_store import read_training_set, training_set
from fradect.mapping import load_mapping
from fradect.modules.ecommerce import HANDBOOK, HANDBOOK_PUBLISHED, MODULE
from fradect.settings import PROJECT
from fradect.types import DAY
from training.dataset import Dataset
from training.fit import fit, margins
from training.folds import Fold, rows_to_test, rows_to_train
from training.matrices import Matrices, Params, Sample, Shape, thin
from training.metrics import CardDays, Ranking
from training.tune import Search, tune

CHAPTER_3 = "2018-07-25"
CHAPTER_5 = ("2018-07-25", "2018-08-01", "2018-08-08", "2018-08-15")
BOOK = (
    ("ch3", "logistic regression", 0.871, 0.606, 0.291),
    ("ch3", "random forest", 0.867, 0.658, 0.287),
    ("ch3", "XGBoost", 0.862, 0.639, 0.273),
    ("ch5", "random forest", 0.870, 0.678, 0.299),
    ("ch5", "XGBoost", 0.869, 0.687, 0.303),
    ("ch5", "balanced bagging", 0.879, 0.680, 0.305),
)
LIMITS = {"ch3": {"auc": 0.862, "ap": 0.639, "cp100": 0.273}, "ch5": {"ap": 0.70, "cp100": 0.303}}

WEEK_PARAMS: Params = {"max_bin": 4096, "max_depth": 4, "eta": 0.1}
WEEK_ROUNDS = 100
TRIALS, SEED, SEARCH_ROWS, VALIDATION = 12, 7, 300_000, 14 * DAY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """The book's transactions as the product sees them, and the cores to use."""

    dataset: Dataset
    threads: int

    def sample(self, rows: Ints, columns: Ints) -> Sample:
        return Sample(self.dataset.matrix[np.ix_(rows, columns)], self.dataset.label[rows], np.ones(rows.size))

    def shape(self, columns: Ints) -> Shape:
        whole = Shape.of(HANDBOOK, SEED, self.threads)
        return Shape(
            tuple(whole.types[c] for c in columns), tuple(whole.monotone[c] for c in columns), SEED, self.threads
        )

    def tested(self, fold: Fold, columns: Ints, params: Params, rounds: int, *, history: bool) -> Figures:
        """Fit on the fold's training events (with `history`: on all before them too) and measure on its test."""
        data = self.dataset
        train = rows_to_train(data.time, fold, history=history)
        test = rows_to_test(data.time, data.customer, data.label, fold)
        booster = fit(self.sample(train, columns), self.shape(columns), params, rounds)
        return measured(margins(booster, data.matrix[np.ix_(test, columns)]), data, test)


def measured(score: Floats, data: Dataset, test: Ints) -> Figures:
    card = np.unique(data.customer[test], return_inverse=True)[1]
    one = np.ones(int(card.max()) + 1, np.int64)
    auc, ap = Ranking.of(score, data.label[test], card).measure(one)
    cards = CardDays.of(score, data.label[test], data.time[test], card).measure(one)
    return {"auc": auc, "ap": ap, "cp100": cards}


def chapter_3(bench: Bench) -> Figures:
    columns = np.array([HANDBOOK.names.index(ours) for ours, _ in HANDBOOK_PUBLISHED])
    return bench.tested(Fold.weeks(CHAPTER_3), columns, WEEK_PARAMS, WEEK_ROUNDS, history=False)


def chapter_5(bench: Bench, console: Console) -> Figures:
    columns = np.arange(len(HANDBOOK.names))
    params, rounds = searched(bench, columns, Fold.weeks(CHAPTER_5[0]).test_start, console)
    folds = []
    for start in CHAPTER_5:
        figures = bench.tested(Fold.weeks(start), columns, params, rounds, history=True)
        console.print(f"fold of {start}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        folds.append(figures)
    return {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}


def searched(bench: Bench, columns: Ints, now: int, console: Console) -> tuple[Params, int]:
    """Parameters and number of trees, from what was known at `now`: train, delay, two weeks of validation, delay."""
    data = bench.dataset
    delay = Fold.weeks(CHAPTER_5[0]).delay
    validation_start = now - delay - VALIDATION
    train = np.flatnonzero(data.time < validation_start - delay)
    validation = np.flatnonzero((data.time >= validation_start) & (data.known_at <= now))
    matrices = Matrices(
        bench.shape(columns),
        thin(bench.sample(train, columns), SEARCH_ROWS, SEED),
        bench.sample(validation, columns),
    )
    found = tune(
        matrices,
        Search("handbook", TRIALS, SEED, max_rounds=300),
        lambda done, total, words: console.print(f"search: {done:.0f} of {total:.0f}  {words}"),
    )
    return found.params, found.rounds


def load(source: Path, home: Path, console: Console) -> Dataset:
    """Import, windows over history, training set: the product's path, in a home of its own."""
    mapping = load_mapping(PROJECT / "mappings" / "handbook.yaml")
    report = import_path(source, mapping, home)
    console.print(f"imported {report.accepted:,} transactions in {report.seconds:.0f} s")
    places = Places(home, MODULE.name, mapping.tenant)
    build_features(places, MODULE, HANDBOOK)
    built = training_set(places, MODULE, HANDBOOK)
    return Dataset(**read_training_set(built.path, MODULE, HANDBOOK))


def table(ours: dict[str, Figures]) -> Table:
    page = Table(title="Fraud Detection Handbook, published protocol")
    for column in ("chapter", "model", "ROC AUC", "AP", "CP@100"):
        page.add_column(column, justify="left" if column in ("chapter", "model") else "right", no_wrap=True)
    for chapter, name, *figures in BOOK:
        page.add_row(chapter, f"book: {name}", *(f"{figure:.3f}" for figure in figures))
    for chapter, found in ours.items():
        what = "its inputs, one week" if chapter == "ch3" else "our contract, all history"
        page.add_row(chapter, f"FRADECT: {what}", *(f"{figure:.3f}" for figure in found.values()), style="bold green")
    return page


def run(
    data: Annotated[Path, typer.Option(help="Folder with transactions.parquet.")] = PROJECT.parent
    / "shared/data/handbook",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Run both chapters and print our figures beside the book's."""
    console, progress = Console(), Console(stderr=True)
    source = data / "transactions.parquet"
    if not source.is_file():
        raise typer.BadParameter(f"{source} is not there: name the folder of the Handbook's data with --data")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(load(source, Path(home), progress), max(1, os.cpu_count() or 1))
    ours = {"ch3": chapter_3(bench), "ch5": chapter_5(bench, progress)}
    console.print(table(ours))
    console.print(f"{time.perf_counter() - started:.0f} s")
    if json_file is not None:
        json_file.write_text(json.dumps(ours, indent=1))
    missed = [
        f"{chapter} {name} {ours[chapter][name]:.3f} < {least}"
        for chapter, limits in LIMITS.items()
        for name, least in limits.items()
        if ours[chapter][name] < least
    ]
    if missed:
        sys.exit("must hold: " + ", ".join(missed))


if __name__ == "__main__":
    typer.run(run)
