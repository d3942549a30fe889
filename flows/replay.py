"""Replay: history through the live path, event by event, and every feature of every event compared."""

import time
from dataclasses import dataclass

from flows.moments import moment
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import workshop
from flows.wiring.derived import derive
from flows.wiring.replaying import Between, Play, check_scratch, chosen, play
from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.features.replay import ReplayReport
from fradect.features.replay_inputs import Inputs
from fradect.features.replay_inputs import moment as told
from fradect.modules import contract_of
from monitoring.replay_page import Played, replay_page


@dataclass(frozen=True, slots=True)
class Asked:
    """What to replay: moments as text, a state's URL, a contract's name. None: the default of each."""

    since: str | None = None
    until: str | None = None
    state: str | None = None
    contract: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """A report with both sides of its examples, and what was played."""

    report: ReplayReport
    inputs: list[Inputs]
    played: Played
    contract: Contract

    def page(self) -> bytes:
        return replay_page(self.report, self.played, self.contract, self.inputs)


@stage()
def replay(module: str, tenant: str, asked: Asked) -> Replayed:
    """Brings features up to date, rebuilds a state as of before the first event, plays to the last."""
    shop = workshop(module, tenant)
    contract = shop.contract if asked.contract is None else contract_of(asked.contract)
    if contract.module != module:
        raise InvalidInput(f"contract {contract.name} is not one of {module}", field="contract")
    between = chosen(shop, contract, moment("from", asked.since), moment("to", asked.until))
    check_scratch(asked.state)
    with announced("features") as result:
        result.words = f"{derive(shop, contract):,} events, {len(contract.names)} features of {contract.name}"
    with announced("replay") as result:
        started = time.monotonic()
        pace = _Pace(between.events)
        found = play(shop, Play(contract, between, asked.state), pace.notice)
        seconds = time.monotonic() - started
        played = Played(module, tenant, contract.name, _choice(between, asked), found.state, seconds)
        result.words = f"{found.report.events:,} events, {found.report.mismatches:,} mismatches"
    return Replayed(found.report, found.inputs, played, contract)


def _choice(between: Between, asked: Asked) -> str:
    words = f"numbers {between.first:,} to {between.last:,}, {told(between.since)} to {told(between.until - 1)}"
    if asked.since is not None or asked.until is not None:
        return words
    earlier = between.first - 1
    why = "all of the log" if not earlier else f"all of the log but the {earlier:,} that the first windows look back on"
    return f"{words} ({why})"


class _Pace:
    """Tells people how far and how fast; the rebuild before the first events does not count."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._first: tuple[float, int] | None = None

    def notice(self, played: int) -> None:
        now = time.monotonic()
        started, before = self._first = self._first or (now, played)
        rate = (played - before) / (now - started) if now > started else 0.0
        advance(played, self._events, f"{played:,} of {self._events:,} events, {rate:,.0f} a second")
