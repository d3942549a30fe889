"""The order of things for one delivery: judged, taken in and numbered by the live state, stored. Every step may be the
last one before a crash: what was stored is not delivered again, what was not is, and each step allows repetition.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fradect.errors import Conflict, Unavailable
from fradect.faults import Reason
from fradect.intake import Reject, Terms
from fradect.mapping import Mapping as Rules
from fradect.stream.judging import judge, message_of
from fradect.stream.patience import GivenUp, Patience, Stopped, complain
from fradect.stream.ports import (
    DeadLetters,
    Delivery,
    Fenced,
    Heard,
    Known,
    Learnt,
    Letter,
    Place,
    Saying,
    Settled,
    Source,
    State,
    Store,
)
from fradect.stream.progress import USUAL, Options, Progress
from fradect.stream.settling import News, as_message, contradiction, news_of

log = logging.getLogger(__name__)

MOST_WAITING = 500  # outcomes without their event that are looked at in one go
_PAGES = 4
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Tools:
    """What an ingestion works with. `confirm` tells the live state which arrivals are stored; `tell` hears of
    progress; `at` is told the name of each step, for tests that die there."""

    source: Source
    store: Store
    state: State
    dead: DeadLetters
    confirm: Callable[[], None] = lambda: None
    tell: Callable[[Progress], None] = lambda _progress: None
    at: Callable[[str], None] = lambda _step: None


class Ingest:
    """One stream into one tenant's log and state, until told to stop or, with `once`, until it is caught up."""

    def __init__(self, mapping: Rules, terms: Terms, tools: Tools, options: Options = USUAL) -> None:
        self._mapping = mapping
        self._terms = terms
        self._tools = tools
        self._options = options
        self._counts = dict.fromkeys(("events", "outcomes", "repeated", "dead", "waiting"), 0)
        self._reasons = Counter[str]()
        self._began = time.monotonic()
        self._told = (self._began, 0)
        self._revisited = float("-inf")
        self._after = ""
        self._buried: set[Place] = set()
        self._stop: Callable[[], bool] = lambda: False
        self._patiently = self._patience(tools.source.rest)
        self._idly = self._patience(self._rest_idly)

    def run(self, once: bool = False, stop: Callable[[], bool] = lambda: False) -> Progress:
        """Stops after the delivery in hand. Trouble with database, broker or state is waited out: for ever, or, with
        `Options.wait`, until it is Unavailable."""
        self._stop, trouble = stop, ""
        try:
            self._go(once)
        except GivenUp as given_up:
            raise Unavailable(f"{given_up}; given up after {self._options.wait} s, see --wait") from given_up
        except Stopped as stopped:
            trouble = str(stopped)
            log.warning("stopped while waiting")
        return self._report(at_once=True, trouble=trouble)

    def _go(self, once: bool) -> None:
        while not self._stop():
            delivery = self._idly(lambda: self._tools.source.poll(_POLL))
            if delivery is not None:
                self._hold(delivery)
            self._tidy()
            self._report()
            if once and delivery is None and self._tools.source.is_caught_up:
                break
        self._patiently(self._tools.confirm)
        self._patiently(self._count_waiting)

    def _patience(self, rest: Callable[[float], None]) -> Patience:
        return Patience(rest, self._is_stopped, self._trouble, self._options.wait)

    def _is_stopped(self) -> bool:
        return self._stop()

    def _rest_idly(self, seconds: float) -> None:
        """With nothing in hand, nothing is lost with it."""
        try:
            self._tools.source.rest(seconds)
        except Fenced:
            self._tools.source.recover()

    def _hold(self, delivery: Delivery) -> None:
        self._buried.clear()
        try:
            self._take(delivery)
        except Fenced as fenced:
            log.warning("%s", fenced)
            self._patiently(self._tools.source.recover)

    def _tidy(self) -> None:
        try:
            self._patiently(self._revisit)
        except Fenced as fenced:
            log.warning("%s", fenced)
            self._patiently(self._tools.source.recover)

    def _take(self, delivery: Delivery) -> None:
        """Store a delivery; where the code breaks, its halves, down to the one row that breaks it."""
        while not self._stop():
            try:
                news = self._patiently(partial(self._judged, delivery))
                learnt = self._patiently(partial(self._stored, news, delivery))
                self._tell_stored(learnt)
                self._tools.at("marked")
            except (Fenced, Stopped):
                raise
            except Exception as error:  # neither away nor unfit, so a bug: it costs one row, never the stream
                if delivery.size > 1:
                    for half in delivery.halves():
                        self._take(half)
                    return
                if delivery.size == 0:
                    raise
                if self._patiently(partial(self._failed, delivery, error)):
                    return
            else:
                return

    def _stored(self, news: News, delivery: Delivery) -> list[Learnt]:
        """The outcomes of which the live state has still to hear that they are stored."""
        tools = self._tools
        numbers = tools.state.apply_many([event for event, _ in news.events])
        tools.at("applied")
        settled = self._settled(news, numbers, delivery)
        tools.at("numbered")
        tools.store.save(settled)
        tools.at("saved")
        self._counts["events"] += len(news.events)
        self._counts["outcomes"] += len(news.sayings)
        self._counts["repeated"] += news.repeated
        return [learnt for learnt, _ in settled.learnt]

    def _judged(self, delivery: Delivery) -> News:
        """What is news in a delivery. What was refused is tried again, and buried once it has had its tries."""
        left: dict[Place, tuple[int, int]] = {}
        while True:
            judged = judge(delivery, self._mapping, replace(self._terms, now=_now()))
            news = news_of(judged, self._tools.store)
            refused = [(refusal.place, refusal.reject) for refusal in judged.refused] + news.refused
            rejects = [(place, reject) for place, reject in refused if place not in self._buried]
            self._tools.at("judged")
            if not rejects:
                return news
            places = [place for place, _ in rejects]
            left = self._tried(places)
            if all(attempts >= self._options.tries for attempts, _ in left.values()):
                self._bury(delivery, rejects, left)
                return news

    def _tried(self, places: Sequence[Place]) -> dict[Place, tuple[int, int]]:
        if self._options.tries == 1:
            return dict.fromkeys(places, (1, _now()))
        return self._tools.store.tried(list(dict.fromkeys(places)), _now())

    def _bury(
        self, delivery: Delivery, rejects: Iterable[tuple[Place, Reject]], tried: Mapping[Place, tuple[int, int]]
    ) -> None:
        letters = [Letter(place, reject, message_of(delivery, place), *tried[place]) for place, reject in rejects]
        self._patiently(lambda: self._tools.dead.bury(letters))
        self._buried.update(letter.place for letter in letters)
        self._count_dead(letters)
        self._tools.at("buried")

    def _count_dead(self, letters: Sequence[Letter]) -> None:
        self._counts["dead"] += len(letters)
        self._reasons.update(str(letter.reject.reason) for letter in letters)

    def _count_waiting(self) -> None:
        self._counts["waiting"] = self._tools.store.count_waiting()

    def _settled(self, news: News, numbers: Sequence[int], delivery: Delivery) -> Settled:
        events = [(seq, event, str(place)) for seq, (event, place) in zip(numbers, news.events, strict=True)]
        known = news.known | {event.event_id: Known(seq, event, True) for seq, event, _ in events}
        fresh = [event.event_id for _, event, _ in events]
        waited = self._tools.store.waiting(fresh) if fresh else []
        ready = [saying for saying in news.sayings if saying.event_id in known]
        waiting = [saying for saying in news.sayings if saying.event_id not in known]
        learnt = self._numbered([*self._standing(waited, known), *ready], known)
        return Settled(events, learnt, waiting, delivery.starts, delivery.ends)

    def _standing(self, waited: Sequence[Saying], known: Mapping[str, Known]) -> list[Saying]:
        """Those that waited and fit their event; what the log says otherwise by now, or earlier, is let go."""
        if not waited:
            return []
        said = self._tools.store.said([saying.event_id for saying in waited])
        heard = {saying: said.get((saying.event_id, saying.kind)) for saying in waited}
        rejects = {s: contradiction(s, heard[s], known[s.event_id].event.event_time) for s in waited}
        stale = [s for s in waited if rejects[s] is not None or _stands_already(heard[s])]
        self._let_go(stale, {s: reject for s, reject in rejects.items() if reject is not None})
        return [saying for saying in waited if saying not in stale]

    def _let_go(self, stale: Sequence[Saying], rejects: Mapping[Saying, Reject]) -> None:
        if rejects:
            letters = [
                Letter(_place(saying), reject, as_message(saying), 1, _now()) for saying, reject in rejects.items()
            ]
            self._tools.dead.bury(letters)
            self._count_dead(letters)
        if stale:
            self._tools.store.drop_waiting(stale)

    def _numbered(self, sayings: Sequence[Saying], known: Mapping[str, Known]) -> list[tuple[Learnt, str]]:
        """The live state learns them in the step that numbers them: who comes after sees them, here and in history."""
        if not sayings:
            return []
        about = [known[saying.event_id] for saying in sayings]
        told = [Learnt(a.event, a.seq, s.kind, s.value, s.known_at) for a, s in zip(about, sayings, strict=True)]
        numbers = self._tools.state.learn(told)
        numbered = [replace(one, number=number) for one, number in zip(told, numbers, strict=True)]
        return [(one, saying.origin) for one, saying in zip(numbered, sayings, strict=True)]

    def _tell_stored(self, outcomes: Sequence[Learnt]) -> None:
        """Tell the live state what is stored: it was perhaps made anew in between, or has given up waiting. This is
        true whatever happens here, so it is tried on its own and never undoes a delivery."""
        if not outcomes:
            return
        try:
            self._patiently(lambda: self._tools.state.learn(outcomes))
        except (Fenced, Stopped):
            raise
        except Exception as error:  # noqa: BLE001  to `_take` it would be a failure of rows that are stored; these stay marked as not learnt, and are told again
            complain("outcomes could not be learnt", error)
            return
        self._tools.at("told")
        self._patiently(lambda: self._tools.store.mark_learnt(outcomes))

    def _revisit(self) -> None:
        """Outcomes that wait for an event which came another way: by the service, or by an import."""
        if time.monotonic() - self._revisited < self._options.revisit:
            return
        self._tell_stored(self._tools.store.unlearnt())  # after a crash
        for _ in range(_PAGES):
            some = self._tools.store.any_waiting(self._after, MOST_WAITING)
            self._settle_waiting(some)
            self._after = some[-1].event_id if some else ""
            if not some:
                break
        self._count_waiting()
        self._tools.confirm()
        self._revisited = time.monotonic()

    def _settle_waiting(self, some: Sequence[Saying]) -> None:
        known = self._tools.store.known(sorted({saying.event_id for saying in some})) if some else {}
        found = self._standing([saying for saying in some if saying.event_id in known], known)
        try:
            learnt = self._numbered(found, known)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001  no delivery is in hand that a bug could cost: it would end the stream; they stay waiting, and are tried again
            complain("outcomes that wait could not be learnt", error)
            return
        if learnt:
            self._tools.store.save(Settled(learnt=learnt))
            self._tell_stored([outcome for outcome, _ in learnt])

    def _failed(self, delivery: Delivery, error: Exception) -> bool:
        """Count a row's failure; True once it has had its tries and is buried."""
        place = next(place for portion in delivery.portions for place in portion.places)
        attempts, first_seen = self._tools.store.tried([place], _now())[place]
        complain(f"{place} failed, attempt {attempts}", error)
        if attempts < self._options.bug_tries:
            return False
        reason = Reason.DUPLICATE if isinstance(error, Conflict) else Reason.FAILED
        self._bury(
            delivery, [(place, Reject(0, None, "", reason, type(error).__name__))], {place: (attempts, first_seen)}
        )
        if not isinstance(error, Conflict):  # then the arrival is somebody else's
            self._withdraw(delivery)
        self._tools.store.save(Settled(starts=delivery.starts, ends=delivery.ends))
        return True

    def _withdraw(self, delivery: Delivery) -> None:
        """The live state must not keep an arrival that will never be stored."""
        try:
            judged = judge(delivery, self._mapping, self._terms)
        except Exception as error:  # noqa: BLE001  the bug that is being counted may be in judging itself, and what breaks judging never arrived
            complain("nothing to withdraw", error)
            return
        scope = (self._mapping.tenant, self._mapping.module.name)
        known = self._tools.store.known([event.event_id for event, _ in judged.events])
        for event, _ in judged.events:
            if event.event_id not in known:
                self._tools.state.withdraw_id(*scope, event.event_id)
        said = self._tools.store.said([saying.event_id for saying, _ in judged.sayings])
        for saying, _ in judged.sayings:
            if (saying.event_id, saying.kind) not in said:
                self._tools.state.withdraw_id(*scope, saying.event_id, str(saying.kind))

    def _trouble(self, what: str) -> None:
        self._report(trouble=what)

    def _report(self, at_once: bool = False, trouble: str = "") -> Progress:
        now, (then, before) = time.monotonic(), (self._began, 0) if at_once else self._told
        rate = (self._counts["events"] - before) / max(now - then, 1e-9)
        lag, reasons = self._tools.source.lag(), dict(self._reasons)
        progress = Progress(**self._counts, rate=rate, lag=lag, trouble=trouble, reasons=reasons)
        if at_once or now - then >= self._options.every:
            self._told = (now, self._counts["events"])
            self._tools.tell(progress)
        return progress


def _stands_already(heard: Heard | None) -> bool:
    return heard is not None and not heard.waits


def _place(saying: Saying) -> Place:
    topic, partition, offset = saying.origin.rsplit("/", 2)
    return Place(topic, int(partition), int(offset))


def _now() -> int:
    return time.time_ns() // 1000
