"""`fradect tour`: a champion decays, another proves itself and takes over, a sabotaged one is caught."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import JSON, SEED, TRIALS
from flows.monitor import drift
from flows.service import service
from flows.tour import (
    OF,
    TIMES,
    Sizes,
    decide,
    first_champion,
    live,
    night,
    proof,
    quality,
    retrained,
    simulated,
)
from flows.tour_home import move_in
from flows.tour_screen import Story, Toured, finish
from flows.tour_traffic import Tills
from flows.tour_trial import HURRIED_SHARE, sabotage, trial
from flows.wiring import key_file, workshop
from fradect import moves
from fradect.errors import InvalidInput
from fradect.settings import Settings
from training.dataset import TooShort
from training.stages import told

USUAL = Sizes()
HOME = typer.Option(help="Where it all lies: an empty folder, or that of a former tour; default: FRADECT_HOME/tour.")


def tour(  # noqa: PLR0913, PLR0917  one option each
    home: Annotated[Path | None, HOME] = None,
    events: Annotated[int, typer.Option(min=20_000, help="Simulated purchases.")] = USUAL.events,
    days: Annotated[int, typer.Option(min=140, help="Simulated days; on the 61st the trade drifts.")] = USUAL.days,
    shadow: Annotated[
        int, typer.Option(min=50, help="Purchases that both releases judge in the shadow.")
    ] = USUAL.shadow,
    least: Annotated[int, typer.Option(min=10, help="Decisions of the challenger's own at each share.")] = USUAL.least,
    fraud_rate: Annotated[float, typer.Option(min=0.01, max=0.1, help="Share of fraud.")] = USUAL.fraud_rate,
    trials: Annotated[int, TRIALS] = USUAL.trials,
    seed: Annotated[int, SEED] = USUAL.seed,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Drift, decay, alert, retraining, backtest, shadow, canary, champion; then a bad release, caught and taken back.

    Nothing is staged but the trade: a service of its own decides on a free port, every step is taken by the gates on
    what that service recorded. The terms of the trials are small, so that minutes do for weeks.
    """
    sizes = Sizes(events, days, fraud_rate, shadow=shadow, least=least, trials=trials, seed=seed)
    move_in(home or Settings.from_env().home / "tour")
    try:
        with ExitStack() as stack:
            toured = _told(sizes, stack)
    except TooShort as error:
        raise InvalidInput(f"{error.found}: give more --events, a higher --fraud-rate or another --seed") from error
    finish(toured, json)


def _told(sizes: Sizes, stack: ExitStack) -> Toured:
    """Chapter by chapter; what it starts ends with `stack`."""
    started, story = time.monotonic(), Story()
    with story.chapter(
        "A champion", f"{sizes.drift_day - sizes.calm} days of a trade in order, and a release of them."
    ):
        trade = simulated(sizes)
        first = first_champion(trade)
    shop = workshop(*OF)
    policy = shop.releases.load(first).policy
    calm_from, worse_to = sizes.drift_day - sizes.calm, sizes.drift_day + sizes.worse
    with story.chapter("It decides", "The next days come over HTTP, as they would; what they turned out to be, too."):
        url = stack.enter_context(service(shop.settings))
        key = key_file(shop.home, shop.tenant).read_text().strip()
        tills = stack.enter_context(Tills(url, key, sizes.tills))
        calm = decide(trade, tills, calm_from, sizes.drift_day)
        nothing = drift(*OF)
    with story.chapter("The trade drifts", "Dearer baskets, more from abroad, other fraud. Nobody tells the champion."):
        night(sizes.drift_day)
        worse = decide(trade, tills, sizes.drift_day, worse_to)
        alert = drift(*OF)
    before, after = quality(calm, policy, sizes.seed), quality(worse, policy, sizes.seed)
    story.decay(before, after, policy.base_currency)
    weeks = (sizes.days - sizes.live - worse_to) / 7
    with story.chapter("Another release", f"{weeks:.0f} weeks later labels are there: learnt anew, tried on the past."):
        challenger = retrained(trade)
    story.tried(challenger)
    coming = live(trade)
    story.head("Shadow, canary, champion", _terms(sizes))
    steps = story.follow(trial(OF, tills, coming, challenger.release_id))
    hurry = f"Thresholds of 1 and 2, put by hand on {told(HURRIED_SHARE)} of the customers: no gate, no shadow."
    with story.chapter("Somebody in a hurry", hurry):
        sabotaged = sabotage(OF, tills, coming)
    story.say(f"withdrawn: {sabotaged.reason}")
    with story.chapter("What is left of it", "Every answer against the ledger, the ledger against its chains."):
        proven = proof(tills)
    return Toured(
        home=shop.home,
        sizes=sizes,
        first=first,
        calm=nothing,
        alert=alert,
        before=before,
        after=after,
        retrained=challenger,
        steps=steps,
        sabotaged=sabotaged,
        champion=moves.standing(shop.releases, *OF).release,
        proof=proven,
        milliseconds=[made.milliseconds for made in tills.made],
        seconds=time.monotonic() - started,
    )


def _terms(sizes: Sizes) -> str:
    return (
        f"Judged beside the champion by what the service records. The terms are a tour's: {sizes.shadow} purchases in "
        f"the shadow, {sizes.least} decisions at each share, no hours to wait, and up to {TIMES} times the declines "
        "and reviews of a champion that has gone blind; in earnest it is thousands, days, and a few per cent."
    )
