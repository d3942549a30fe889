"""A whole service in this process, over a home of its own, with a toy release as champion."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.settings import Settings
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import toy_release

SCORE = "/api/v1/ecommerce/score"


@dataclass
class Client:
    """Speaks HTTP to the application without a socket."""

    app: Any
    key: str
    service: Service

    def post(self, json: Any = None, path: str = SCORE, **request: Any) -> httpx.Response:
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"} | request.pop("headers", {})
        if json is not None:
            request["json"] = json
        return self.request("POST", path, headers=headers, **request)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())


def settings_of(home: Path, **changes: Any) -> Settings:
    held: dict[str, Any] = {
        "home": home,
        "ledger_url": f"sqlite:///{home}/ledger.db",
        "state_url": f"sqlite:///{home}/state.db",
        "online_url": f"sqlite:///{home}",
        "budget_ms": 5_000,
        "host": "127.0.0.1",
        "port": 8000,
    }
    return Settings(**(held | changes))


def promote(home: Path, contract: str = "ecommerce/handbook", tenant: str = "demo") -> str:
    release = toy_release(contract)
    store = ReleasesFolder(home)
    store.save(release)
    store.promote("ecommerce", tenant, release.id)
    return release.id


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[[], Client]]:
    """Starts the service over the test's home, which has a champion; stops what is still running at the end."""
    services: list[Service] = []

    def serve() -> Client:
        service = Service(settings_of(tmp_path))
        services.append(service)
        app = create(service.start())
        return Client(app, (tmp_path / "keys" / "api-key").read_text().strip(), service)

    promote(tmp_path)
    yield serve
    for service in services:
        service.close()


@pytest.fixture
def client(served: Callable[[], Client]) -> Client:
    return served()
