"""Promote: a candidate becomes champion when every gate passes; the reason is kept either way."""

from flows.evaluate import evaluate
from flows.evidence import Candidate, Measured, Verdicts, leave, recall
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import Workshop, workshop
from flows.wiring.derived import derive
from flows.wiring.registry import name_champion
from flows.wiring.replaying import Play, play, stretch_of
from fradect import rules
from fradect.errors import InvalidInput, NotFound
from fradect.types import Verdict
from training.gate import conclude
from training.gate import replay as replay_gate


@stage()
def promote(module: str, tenant: str, release_id: str) -> tuple[bool, str]:
    """Whether the release is champion now, and why, or why not."""
    shop = workshop(module, tenant)
    stored = shop.releases.load(release_id)  # an id that is none, or damaged parts, are told as such
    rules.load(stored.rulebook, shop.module)
    candidate = recall(shop.evidence(release_id), Candidate)
    if (candidate.module, candidate.tenant) != (module, tenant):
        raise InvalidInput(
            f"release {release_id} was made for {candidate.tenant} ({candidate.module}): promote it there",
            field="tenant",
        )
    if _is_out_of_date(shop, release_id):
        evaluate(module, tenant, release_id)
    with announced("promote") as result:
        advance(0.2, 1, "live equals history?")
        measured = _without_replay(shop, release_id)
        verdicts = [*measured, _replayed(shop, candidate)]
        leave(shop.evidence(release_id), Verdicts(release_id, verdicts))
        outcome = conclude(verdicts)
        if outcome.passed:
            advance(0.8, 1, "champion")
            shop.releases.promote(module, tenant, release_id)
            version = recall(shop.evidence(release_id), Measured).mlflow_version
            if version is not None:
                name_champion(shop, version, outcome.reason)
        result.words = f"{release_id} {'is champion' if outcome.passed else 'stays a candidate'}: {outcome.reason}"
    return outcome.passed, outcome.reason


def _is_out_of_date(shop: Workshop, release_id: str) -> bool:
    """It was never measured, or against a champion that is none any more."""
    try:
        measured = recall(shop.evidence(release_id), Measured)
    except NotFound:
        return True
    champion = shop.releases.champion(shop.module.name, shop.tenant)
    return champion not in (measured.champion, release_id)


def _without_replay(shop: Workshop, release_id: str) -> list[Verdict]:
    return [v for v in recall(shop.evidence(release_id), Verdicts).verdicts if v.gate != "replay"]


def _replayed(shop: Workshop, candidate: Candidate) -> Verdict:
    """Some of its test events in a row, through the live path after a rebuild, against history as it is now."""
    release = shop.releases.load(candidate.release_id)
    derive(shop, release.contract)
    tested, many = candidate.training.boundaries.chosen_at, release.policy.limits.replay_events
    between = stretch_of(shop, release.contract, tested, many, candidate.training.seed)
    report = play(shop, Play(release.contract, between)).report
    found = [f"{example} ({report.by_feature[example.feature]:,} such events)" for example in report.examples]
    return replay_gate([*found, *report.unmatched], report.events, report.differing + report.missing + report.extra)
