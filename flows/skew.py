"""Skew: vectors that decisions were made with, recomputed from the log every day."""

import time
from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from flows.fitting import counted
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import leave_bytes, workshop
from flows.wiring.compacting import compacted
from flows.wiring.derived import derive
from flows.wiring.skewing import expected, leave, sampled
from fradect.errors import NotFound
from fradect.types import DAY
from monitoring.skew import SkewReport
from monitoring.skew import skew as compare
from monitoring.skew_page import skew_page

SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class SkewFound:
    """The report, how many decisions there were to draw from, and where it lies."""

    report: SkewReport
    decisions: int
    page: Path
    file: Path


@stage()
def skew(module: str, tenant: str, sample: int = SAMPLE) -> SkewFound:
    """Decisions of the last day by releases of the champion's contract; a page, JSON and measurements are left."""
    with announced("skew") as result:
        compacted(module, tenant)
        shop = workshop(module, tenant)
        champion = shop.releases.champion(module, tenant)
        if champion is None:
            raise NotFound(f"{tenant!r} has no champion of {module}: `fradect promote` a release first")
        contract = shop.releases.load(champion).contract
        derive(shop, contract)
        advance(0.8, 1, "logged vectors")
        drawn = sampled(shop, time.time_ns() // 1000 - DAY, sample)
        same = [release for release in drawn.by_release if shop.releases.load(release).contract.hash == contract.hash]
        logged = [one for release in same for one in drawn.by_release[release]]
        history, not_compared = expected(shop, contract, logged)
        report = compare(contract, logged, history, not_compared)
        leave(shop, report.figures)
        page, file = shop.reports / "skew.html", shop.reports / "skew.json"
        what = (
            f"{len(logged):,} of the {drawn.decisions:,} decisions of {tenant} in the last 24 hours, {contract.name}."
        )
        leave_bytes(page, skew_page(report, what))
        leave_bytes(file, report.to_json())
        result.words = f"{counted(report.decisions, 'decision')}: " + ", ".join(
            f"{n} {v:,}" for n, v in report.figures.items()
        )
    return SkewFound(report, drawn.decisions, page, file)


skew_flow = flow(name="skew", log_prints=True)(skew)
