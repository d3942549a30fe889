"""The tour: a trade drifts, its champion decays, another is made and proven on the way to deciding; then a bad one.

Everything runs as it does in earnest: a service of its own that decides over HTTP, the flows, the gates. Made up is the
trade alone, and `terms` are smaller than anybody should live with.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from flows.amend import Edit, amend
from flows.backtest import Asked, Backtested, backtest
from flows.evaluate import evaluate
from flows.fitting import counted
from flows.ingest import ingest
from flows.materialise import materialise
from flows.progress import advance, stage
from flows.rollout import Wish, go_on
from flows.tour_traffic import Made, Purchase, Tills, purchases, scored
from flows.tour_trial import Coming
from flows.train import train
from flows.validate import validate
from flows.wiring import Workshop, mapping_file, raw_folder, workshop
from flows.wiring.chains import check
from flows.wiring.traffic import decided_by
from fradect.errors import Refused, Unavailable
from fradect.mapping import load_mapping
from fradect.moves import Act
from fradect.policy import Policy
from fradect.simulate import Scenario, write
from training.bootstrap import Interval
from training.evaluate import evaluate as measure

OF = ("ecommerce", "demo")
MAPPING = "simulator"
START = date(2025, 1, 1)
DRIFT = 1.0
TIMES = 5  # as many declines, and reviews, as the champion's are tolerated
FOLLOWED = 21.0  # seconds: a service takes in what was imported every twenty
_TRIES, _PAUSE = 4, 2.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Purchases and days of the trade, and the day it drifts.

    `calm`, `worse` and `live`: days decided over HTTP, before the drift, after it, and at the end. `shadow`: pairs that
    a trial needs before the canary, `least`: the challenger's own decisions at each share.
    """

    events: int = 64_000
    days: int = 160
    fraud_rate: float = 0.03
    drift_day: int = 60
    calm: int = 3
    worse: int = 7
    live: int = 8
    shadow: int = 300
    least: int = 40
    trials: int = 2
    seed: int = 7
    tills: int = 4

    def terms(self) -> dict[str, object]:
        """Of every trial on the tour, as members of a policy: weeks become minutes. A champion that has gone blind
        declines and reviews too little, so a better one may do several times as much."""
        rails = {"declines_more": TIMES - 1.0, "reviews_more": TIMES - 1.0, "score_shift": 60.0, "disagreement": 0.25}
        rails |= {"least_decisions": self.least, "least_matured": 2 * self.least}
        stages = {"shadow_pairs": self.shadow, "canary_decisions": self.least, "hours": 0.0, "label_days": 0.0}
        return {"limits": {"replay_events": 500, "guardrails": rails, "stages": stages}}


@dataclass(frozen=True, slots=True)
class Trade:
    """Raw files by day, as a shop would export them, and how they are read."""

    sizes: Sizes
    folder: Path

    def between(self, first: int, last: int) -> list[Purchase]:
        """Of the days from `first` on, before `last`."""
        return purchases([self._file(day) for day in range(first, last)], load_mapping(mapping_file(MAPPING)))

    def export(self, first: int, last: int) -> Path:
        """A folder with the files of these days alone."""
        target = self.folder.with_name(f"days-{first}-to-{last}")
        target.mkdir()
        for path in (*self.folder.glob("_*"), *(self._file(day) for day in range(first, last))):
            shutil.copy2(path, target)
        return target

    def _file(self, day: int) -> Path:
        return self.folder / f"{START + timedelta(days=day)}.parquet"


@dataclass(frozen=True, slots=True)
class Quality:
    """Of decisions over HTTP on days of one kind, against what they turned out to be.

    `at_stake`: what the fraud among them would have cost, had all been approved, in minor units.
    """

    events: int
    frauds: int
    at_stake: float
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Proof:
    """What the ledger has of what was answered. `by_release` counts both; `broken`: None where its chains hold."""

    sent: int
    unanswered: int
    degraded: int
    by_release: Mapping[str, tuple[int, int]]
    stored: int
    broken: str | None

    @property
    def lost(self) -> int:
        """Answered, but not stored as answered; or not answered."""
        return self.unanswered + sum(abs(answered - stored) for answered, stored in self.by_release.values())


@dataclass(frozen=True, slots=True)
class Retrained:
    """A challenger, and what it would have done on days that no release had learnt from."""

    release_id: str
    tried: Backtested


def simulated(sizes: Sizes) -> Trade:
    """The same days up to the drift as without it."""
    folder = raw_folder("days")
    with stage("simulate") as result:
        scenario = Scenario(
            seed=sizes.seed,
            start=START,
            days=sizes.days,
            events=sizes.events,
            customers=max(200, sizes.events // 24),
            fraud_rate=sizes.fraud_rate,
            drift_at=START + timedelta(days=sizes.drift_day),
            drift=DRIFT,
        )
        made = write(scenario, folder, lambda done, total: advance(done, total, f"day {done} of {total}"))
        result.words = f"{made.events:,} purchases in {sizes.days} days, {made.fraud:,} of them fraud"
    return Trade(sizes, folder)


def first_champion(trade: Trade) -> str:
    """Of the days before anything drifts, with the tour's terms. Refused where its gates on history say no."""
    sizes, last = trade.sizes, trade.sizes.drift_day - trade.sizes.calm
    ingest(str(trade.export(0, last)), MAPPING)
    validate(*OF)
    materialise(*OF, _midnight(last))
    trained = train(*OF, sizes.trials, sizes.seed)
    terms = raw_folder("terms.json")
    terms.write_text(json.dumps(sizes.terms()))
    release_id = amend(*OF, Edit(policy=terms), trained).release_id
    moved = go_on(*OF, release_id, Wish(Act("tour", ""), at_once=True))
    if moved.move != "promote":
        raise Refused(f"{release_id} was to be the first champion: {moved.reason}")
    return release_id


def night(day: int) -> None:
    """What is done every night: snapshots of the customers as of this day, from what was decided meanwhile."""
    _beside_service(lambda: materialise(*OF, _midnight(day)))


def _beside_service(do: Callable[[], object]) -> None:
    """Again, where the service wrote meanwhile: of those who write to a file of SQLite, one waits two seconds."""
    for _ in range(_TRIES):
        try:
            do()
        except Unavailable:
            time.sleep(_PAUSE)
        else:
            return
    do()


def decide(trade: Trade, tills: Tills, first: int, last: int) -> list[Made]:
    """The purchases of these days over HTTP, and then their outcomes."""
    coming = trade.between(first, last)
    made: list[Made] = []
    with stage("purchases") as result:
        for start in range(0, len(coming), tills.at_once):
            made += tills.pay(coming[start : start + tills.at_once])
            advance(len(made), len(coming), f"{len(made):,} of {len(coming):,} decided")
        result.words = f"{len(made):,} over HTTP, days {first + 1} to {last}"
    with stage("labels") as result:
        advance(0, 0, "telling the service")
        told = tills.tell(made, fraud_alone=False)
        result.words = f"{told:,} outcomes told, of all that were not declined"
    return made


def quality(made: Sequence[Made], policy: Policy, seed: int) -> Quality:
    """With 95 % intervals over customers. The truth is the simulator's: of what was declined no shop would know it."""
    decided = scored(made)
    found = measure(decided, policy, seed)
    at_stake = policy.costs.loss * float(decided.amount[decided.label].sum())
    return Quality(found.events, found.frauds, at_stake, found.metrics)


def retrained(trade: Trade) -> Retrained:
    """On the log as it is with the weeks since, and tried on the past beside the champion."""
    sizes = trade.sizes
    since, last = sizes.drift_day + sizes.worse, sizes.days - sizes.live
    folder = trade.export(since, last)
    _beside_service(lambda: ingest(str(folder), MAPPING))
    imported = time.monotonic()
    night(last)
    release_id = train(*OF, sizes.trials, sizes.seed)
    evaluate(*OF, release_id, sizes.seed)
    tried = backtest(*OF, release_id, Asked(seed=sizes.seed, stored=False))
    _follow(imported)
    return Retrained(release_id, tried)


def _follow(imported: float) -> None:
    """Until the service has seen the import, so that its first decisions know the weeks between."""
    left = FOLLOWED - (time.monotonic() - imported)
    if left > 0:
        with stage("follow") as result:
            time.sleep(left)
            result.words = "the service has taken in what was imported"


def live(trade: Trade) -> Coming:
    """The last days, which no release has seen."""
    return Coming(trade.between(trade.sizes.days - trade.sizes.live, trade.sizes.days))


def proof(tills: Tills) -> Proof:
    """Every answer against the ledger, and the ledger against its chains."""
    shop = workshop(*OF)
    with stage("verify") as result:
        answered: dict[str, int] = {}
        for made in tills.made:
            if made.action is not None:
                answered[made.release] = answered.get(made.release, 0) + 1
        by_release = {release: (count, _stored(shop, release)) for release, count in answered.items()}
        checked = check(None, None, lambda done, total: advance(done, total, f"{done:,} of {total:,} decisions"))
        result.words = f"{counted(checked.decisions, 'decision')} in {counted(len(checked.ends), 'chain')}"
    return Proof(
        sent=len(tills.made),
        unanswered=sum(made.action is None for made in tills.made),
        degraded=sum(made.degraded for made in tills.made),
        by_release=by_release,
        stored=checked.decisions,
        broken=None if checked.broken is None else checked.broken.what,
    )


def _stored(shop: Workshop, release_id: str) -> int:
    contract = shop.releases.load(release_id).contract
    return int(decided_by(shop, contract, release_id).decided_at.size)


def _midnight(day: int) -> str:
    return f"{START + timedelta(days=day)}"
