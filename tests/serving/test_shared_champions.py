"""A service that follows a shared store: it takes over what was promoted elsewhere, and outlives the store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fradect.adapters.importing import import_path
from fradect.adapters.mirror import Mirror
from fradect.adapters.releases_shared import SharedReleases
from fradect.adapters.shared_home import SharedHome
from serving.app import create
from serving.wiring import Service
from tests.adapters.factories_import import rows, rules, write_csv
from tests.factories_decision import body, toy_release
from tests.factories_s3 import S3Server
from tests.serving.conftest import Client, settings_of

FIRST, SECOND = toy_release("ecommerce/handbook"), toy_release("ecommerce/handbook", 301)


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def elsewhere(s3: S3Server, bucket: str, tmp_path: Path) -> SharedReleases:
    """Another machine, where releases are made."""
    releases = SharedReleases(Mirror(tmp_path / "elsewhere", s3.store(bucket)))
    for release in (FIRST, SECOND):
        releases.save(release)
    releases.promote("ecommerce", "demo", FIRST.id)
    return releases


@pytest.fixture
def start(bucket: str, tmp_path: Path) -> Iterator[Callable[[], Client]]:
    services: list[Service] = []
    home = tmp_path / "serving"

    def serve() -> Client:
        service = Service(settings_of(home, store_url=f"s3://{bucket}/shared"))
        services.append(service)
        app = create(service.start())
        key = home / "keys" / "api-key"
        return Client(app, key.read_text().strip() if key.is_file() else "", service)

    yield serve
    for service in services:
        service.close()


def test_an_empty_home_serves_what_was_promoted_elsewhere_and_follows(
    elsewhere: SharedReleases, start: Callable[[], Client]
) -> None:
    client = start()
    assert client.post(body("tx1")).json()["release"] == FIRST.id
    elsewhere.promote("ecommerce", "demo", SECOND.id)
    client.service._share()
    client.service._follow()
    assert client.post(body("tx2")).json()["release"] == SECOND.id


def test_while_the_store_is_away_the_last_champion_decides_also_after_a_restart(
    s3: S3Server, elsewhere: SharedReleases, start: Callable[[], Client]
) -> None:
    client = start()
    s3.fuse = 0
    client.service._share()
    client.service._follow()
    assert client.post(body("tx1")).json()["release"] == FIRST.id
    assert client.get("/ready").status_code == 200
    client.service.close()
    again = start()
    assert again.post(body("tx2")).json()["release"] == FIRST.id
    s3.mend()
    elsewhere.promote("ecommerce", "demo", SECOND.id)
    again.service._share()
    again.service._follow()
    assert again.post(body("tx3")).json()["release"] == SECOND.id


def test_a_pull_that_breaks_anywhere_leaves_the_champion_before_in_charge(
    s3: S3Server, elsewhere: SharedReleases, start: Callable[[], Client]
) -> None:
    client = start()
    elsewhere.promote("ecommerce", "demo", SECOND.id)
    for answered in range(60):
        s3.fuse = answered
        client.service._share()
        client.service._follow()
        decided = client.post(body(f"tx{answered}")).json()["release"]
        s3.mend()
        if decided == SECOND.id:
            break
        assert decided == FIRST.id
    assert 8 < answered < 59


def test_an_empty_home_without_its_store_says_why_it_is_not_ready(s3: S3Server, start: Callable[[], Client]) -> None:
    s3.fuse = 0
    answer = start().get("/ready")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.json()["reasons"][0]


def test_a_home_without_the_key_of_the_log_does_not_decide(
    s3: S3Server, bucket: str, start: Callable[[], Client], tmp_path: Path
) -> None:
    """Its tokens would name other customers than the log's."""
    elsewhere = SharedHome(tmp_path / "elsewhere", s3.store(bucket))
    with elsewhere.working("ecommerce", "shop"):
        import_path(write_csv(tmp_path / "a.csv", rows(1, 2)), rules(), tmp_path / "elsewhere")
    release = toy_release()
    elsewhere.releases.save(release)
    elsewhere.releases.promote("ecommerce", "shop", release.id)
    reasons = start().get("/ready").json()["reasons"]
    assert "keys/vault.json" in reasons[0]
