"""People over releases, through HTTP: who decides, the way back at once, and a second person's word."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fradect.adapters.mirror import Mirror
from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.releases_shared import SharedReleases
from fradect.moves import propose, standing
from fradect.permissions import ROLES
from fradect.ports import ReleaseStore
from fradect.rollout import WHOLE, Rollout, Step, promoted, rolled_back, shadowed, widened
from fradect.types import Verdict
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client, promote, settings_of

ANN = Step("tried", "ann", "a test", 1_000_000)
FIRST, SECOND = (toy_release("ecommerce/handbook", review) for review in (300, 301))
_numbers = itertools.count()
ROOT = "/api/v1/releases"
CAREFUL = frozenset(["careful-1", "careful-2"])


class Desk:
    """A service that follows its home when it is told to, and a tenant's administrator who asks it."""

    def __init__(self, service: Service, app: Any, home: Path, tenant: str) -> None:
        self.service, self.of = service, ("ecommerce", tenant)
        self.client = Client(app, self.key(tenant), service)
        self.store: ReleaseStore = ReleasesFolder(home)

    def key(self, tenant: str, role: str = "admin") -> str:
        return self.service._keys.issue(tenant, ROLES[role], 1)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.client.request("GET", f"{ROOT}/{path}", params=given, headers={"X-API-Key": self.client.key})

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.client.post(given, f"{ROOT}/{path}")

    def decider(self, transaction: str) -> str:
        """Who decides a purchase now."""
        named: str = self.client.post(body(transaction)).json()["release"]
        return named

    def move(self, step: Callable[[Rollout], Rollout]) -> Rollout:
        after = step(standing(self.store, *self.of))
        self.store.move(*self.of, after)
        self.service._follow()
        return after

    def tries(self, share: int = 0) -> None:
        self.store.save(SECOND)
        self.move(lambda now: shadowed(now, SECOND.id, ANN))
        if share:
            self.move(lambda now: widened(now, share, ANN))

    def asks_for_a_share(self, by: str = "cyd") -> str:
        """The digest of the card that waits then."""
        now = standing(self.store, *self.of)
        verdicts = [Verdict("declines", "pass", "41 against 39"), Verdict("cost", "not enough data", "12 of 1,000")]
        after = propose(self.store, *self.of, widened(now, 500, Step("canary 5 %", by, "it did well", 2_000)), verdicts)
        self.service._follow()
        assert after.proposed is not None
        return after.proposed.evidence


Served = tuple[Service, Any, Path]


def serve(home: Path, **changes: Any) -> Served:
    service = Service(settings_of(home, **changes))
    app = create(service.start())
    service._housekeeping.stop()
    return service, app, home


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    promote(home, tenant="careful-1")
    service, app, _ = serve(home, four_eyes=CAREFUL)
    yield service, app, home
    service.close()


def _desk(served: Served, tenant: str) -> Desk:
    service, app, home = served
    promote(home, tenant=tenant)
    service._follow()
    return Desk(service, app, home, tenant)


@pytest.fixture
def desk(served: Served) -> Desk:
    """Of a tenant of its own."""
    return _desk(served, f"tenant-{next(_numbers)}")


def test_who_decides_is_told_with_what_led_there(desk: Desk) -> None:
    told = desk.get("rollout").json()
    assert (told["release"], told["number"], told["challenger"], told["waits_for"]) == (FIRST.id, 1, None, None)
    assert (told["in_force"], told["four_eyes"], told["proposed"]) == (True, False, None)
    desk.tries(500)
    told = desk.get("rollout", module="ecommerce").json()
    assert (told["challenger"], told["stage"], told["share"], told["waits_for"]) == (
        SECOND.id,
        "canary",
        0.05,
        "evidence",
    )
    assert told["step"] == {"what": "tried", "by": "ann", "reason": "a test", "at": "1970-01-01T00:00:01Z"}
    assert (told["begun_by"], told["idle"]) == ("ann", None)


def test_a_rollout_that_is_not_in_force_here_says_so(desk: Desk) -> None:
    desk.store.save(SECOND)
    desk.store.move(*desk.of, shadowed(standing(desk.store, *desk.of), SECOND.id, ANN))
    assert desk.get("rollout").json()["in_force"] is False
    desk.service._follow()
    assert desk.get("rollout").json()["in_force"] is True


def test_a_challenger_is_withdrawn_at_once_by_name_and_with_a_reason(desk: Desk) -> None:
    desk.tries(WHOLE)
    assert desk.decider("tx1") == SECOND.id
    answer = desk.post("rollback", reason=" calls from customers ", release=SECOND.id)
    assert answer.status_code == 200, answer.text
    assert desk.decider("tx2") == FIRST.id, "before anybody looked at the home again"
    told = answer.json()
    assert (told["challenger"], told["share"], told["in_force"]) == (None, 0, True)
    assert (told["step"]["what"], told["step"]["reason"]) == ("withdrawn", "calls from customers")
    caller = desk.service._keys.find(desk.client.key)
    assert caller is not None
    assert told["step"]["by"] == caller.id
    assert told["step"]["at"].startswith("20")


def test_a_champion_gives_way_and_a_repeat_goes_no_further_back(desk: Desk) -> None:
    desk.tries()
    desk.move(lambda now: promoted(now, ANN))
    assert desk.decider("tx1") == SECOND.id
    assert desk.post("rollback", reason="it declines too much", release=SECOND.id).json()["release"] == FIRST.id
    assert desk.decider("tx2") == FIRST.id
    again = desk.post("rollback", reason="it declines too much", release=SECOND.id)
    assert (again.status_code, again.json()["type"]) == (409, "urn:fradect:problem:conflict")
    assert FIRST.id in again.json()["detail"]
    nothing = desk.post("rollback", reason="further")
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:fradect:problem:conflict")
    assert "no champion before" in nothing.json()["detail"]


async def _through_a_rollback(desk: Desk) -> tuple[list[tuple[bool, str]], httpx.Response]:
    """Every decision's release, and whether it was asked for when the rollback had been answered."""
    found: list[tuple[bool, str]] = []
    asked: list[httpx.Response] = []
    headers = {"X-API-Key": desk.client.key}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=desk.client.app), base_url="http://x") as http:

        async def decide(number: int) -> None:
            for i in range(40):
                is_after = bool(asked)
                bought = body(f"load-{number}-{i}", customer_id=f"c{i % 7}")
                answer = await http.post("/api/v1/ecommerce/score", json=bought, headers=headers)
                found.append((is_after, answer.json()["release"]))

        async def go_back() -> None:
            while len(found) < 40:
                await asyncio.sleep(0)
            given = {"reason": "under load", "release": SECOND.id}
            asked.append(await http.post(f"{ROOT}/rollback", json=given, headers=headers))

        await asyncio.gather(*(decide(number) for number in range(4)), go_back())
    return found, asked[0]


def test_under_load_nothing_is_lost_and_the_last_decision_comes_before_the_answer(desk: Desk) -> None:
    desk.tries(WHOLE)
    found, answer = asyncio.run(_through_a_rollback(desk))
    assert answer.json()["in_force"]
    assert len(found) == 160
    assert {release for is_after, release in found if is_after} == {FIRST.id}
    assert {release for _, release in found} == {FIRST.id, SECOND.id}


def test_history_is_told_page_by_page_the_newest_first(desk: Desk) -> None:
    desk.tries(500)
    desk.move(lambda now: widened(now, 2_500, ANN))
    desk.post("rollback", reason="enough")
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None}
    while not found or page["next"] is not None:
        before = {} if page["next"] is None else {"before": page["next"]}
        page = desk.get("history", limit=2, **before).json()
        assert len(page["history"]) <= 2
        found += page["history"]
    assert [one["number"] for one in found] == [5, 4, 3, 2, 1]
    assert [one["share"] for one in found] == [0, 0.25, 0.05, 0, 0]
    assert found[0]["step"]["reason"] == "enough"


def test_who_moved_meanwhile_goes_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tries()
    move = ReleasesFolder.move

    def overtaken(store: ReleasesFolder, module: str, tenant_id: str, after: Rollout) -> None:
        monkeypatch.setattr(ReleasesFolder, "move", move)
        move(store, *desk.of, widened(standing(store, *desk.of), 500, ANN))
        move(store, module, tenant_id, after)

    monkeypatch.setattr(ReleasesFolder, "move", overtaken)
    answer = desk.post("rollback", reason="too late")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:fradect:problem:conflict")
    assert "went on meanwhile" in answer.json()["detail"]
    assert desk.get("rollout").json()["share"] == 0.05


def test_a_second_person_sees_the_card_and_says_yes(served: Served) -> None:
    desk = _desk(served, "careful-1")
    desk.tries()
    evidence = desk.asks_for_a_share()
    told = desk.get("rollout").json()
    assert (told["waits_for"], told["four_eyes"], told["share"]) == ("a second person", True, 0)
    proposed = told["proposed"]
    assert (proposed["becomes"], proposed["share"], proposed["asked"]["by"]) == ("canary", 0.05, "cyd")
    assert [one["gate"] for one in proposed["card"]] == ["declines", "cost"]
    asked = {"release": SECOND.id, "reason": "the card is fine", "evidence": evidence}
    yes = desk.post("approval", **asked)
    assert yes.status_code == 200, yes.text
    assert yes.json()["proposed"]["approved"]["reason"] == "the card is fine"
    assert (yes.json()["share"], yes.json()["waits_for"], yes.json()["in_force"]) == (0, "evidence", True)
    assert desk.post("approval", **asked).status_code == 409


def test_whoever_asked_is_no_second_person(served: Served) -> None:
    desk = _desk(served, "careful-2")
    desk.tries()
    me = desk.service._keys.find(desk.client.key)
    assert me is not None
    desk.asks_for_a_share(by=me.id)
    answer = desk.post("approval", release=SECOND.id, reason="I asked, and I agree")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:fradect:problem:conflict")
    assert "second person" in answer.json()["detail"]
    desk.client.key = desk.key("careful-2")
    assert desk.post("approval", release=SECOND.id, reason="I looked at it").status_code == 200


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"release": FIRST.id}, "does not wait"), ({"evidence": "0" * 64}, "another one now")],
)
def test_nobody_agrees_to_what_they_have_not_seen(desk: Desk, changes: dict[str, str], why: str) -> None:
    desk.tries()
    nothing = desk.post("approval", release=SECOND.id, reason="yes")
    assert (nothing.status_code, "nothing waits" in nothing.json()["detail"]) == (409, True)
    desk.asks_for_a_share()
    answer = desk.post("approval", **{"release": SECOND.id, "reason": "yes", **changes})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:fradect:problem:conflict")
    assert why in answer.json()["detail"]


def test_a_no_withdraws_the_challenger(desk: Desk) -> None:
    desk.tries()
    desk.asks_for_a_share()
    told = desk.post("approval", release=SECOND.id, reason="not before Christmas", word="refuse").json()
    assert (told["challenger"], told["proposed"], told["step"]["what"]) == (None, None, "refused")
    assert told["in_force"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "4111 1111 1111 1111 was declined"}, "reason"),
        ({"reason": "a\nb"}, "reason"),
        ({"reason": "why", "module": "lending"}, "module"),
        ({"reason": "why", "release": "rel_1"}, "release"),
        ({"reason": "why", "number": 1}, "number"),
    ],
)
def test_what_is_wrong_is_named(desk: Desk, asked: dict[str, Any], field: str | None) -> None:
    answer = desk.post("rollback", **asked)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:fradect:problem:invalid-input")
    assert answer.json().get("field") == field


@pytest.mark.parametrize("path", ["rollout", "history"])
@pytest.mark.parametrize("given", [{"module": "lending"}, {"modul": "ecommerce"}])
def test_parameters_are_known_ones(desk: Desk, path: str, given: dict[str, str]) -> None:
    answer = desk.get(path, **given)
    assert (answer.status_code, answer.json()["field"]) == (422, next(iter(given)))


def test_a_tenant_moves_its_own_and_sees_no_others(desk: Desk) -> None:
    desk.tries(500)
    desk.client.key = desk.key("nobody")
    assert desk.get("rollout").status_code == 404
    assert desk.get("history").json() == {"history": [], "next": None}
    assert desk.post("rollback", reason="not mine").status_code == 404
    assert standing(desk.store, *desk.of).challenger == SECOND.id


OF = ("ecommerce", "demo")


def test_with_a_store_that_machines_share_the_step_is_made_there_and_in_force_here(
    tmp_path: Path,
) -> None:
    elsewhere = SharedReleases(Mirror(tmp_path / "elsewhere", FolderObjects(tmp_path / "store")))
    for release in (FIRST, SECOND):
        elsewhere.save(release)
    elsewhere.promote(*OF, FIRST.id)
    elsewhere.move(*OF, shadowed(standing(elsewhere, *OF), SECOND.id, ANN))
    elsewhere.move(*OF, widened(standing(elsewhere, *OF), WHOLE, ANN))
    served = serve(tmp_path / "home", store_url=str(tmp_path / "store"))
    desk = Desk(*served, OF[1])
    assert desk.decider("tx1") == SECOND.id
    answer = desk.post("rollback", reason="a bad day", release=SECOND.id)
    assert answer.status_code == 200, answer.text
    assert answer.json()["in_force"]
    assert desk.decider("tx2") == FIRST.id
    assert standing(elsewhere, *OF).challenger is None
    desk.service._share()
    desk.service._follow()
    assert desk.decider("tx3") == FIRST.id
    desk.service.close()


def test_the_reason_of_a_person_is_kept_as_it_was_said(desk: Desk) -> None:
    desk.tries()
    desk.post("rollback", reason="звонки клиентов")
    step = desk.store.history(*desk.of)[-1].step
    assert step is not None
    assert step.reason == "звонки клиентов"


def test_a_step_back_on_another_machine_is_followed_in_seconds(tmp_path: Path) -> None:
    elsewhere = SharedReleases(Mirror(tmp_path / "elsewhere", FolderObjects(tmp_path / "store")))
    for release in (FIRST, SECOND):
        elsewhere.save(release)
    elsewhere.promote(*OF, FIRST.id)
    elsewhere.move(*OF, shadowed(standing(elsewhere, *OF), SECOND.id, ANN))
    elsewhere.move(*OF, widened(standing(elsewhere, *OF), WHOLE, ANN))
    desk = Desk(*serve(tmp_path / "home", store_url=str(tmp_path / "store")), OF[1])
    assert desk.decider("tx1") == SECOND.id
    elsewhere.move(*OF, rolled_back(standing(elsewhere, *OF), ANN))
    until = time.monotonic() + 30
    while standing(desk.store, *OF).challenger is not None:
        assert time.monotonic() < until
        time.sleep(0.02)
    desk.service._follow()
    assert desk.decider("tx2") == FIRST.id
    desk.service.close()
