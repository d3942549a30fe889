"""The contenders of `benchmarks.decisions`: how each is started, and how each is asked."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import redis

from benchmarks.decision_ground import CONTRACT, MARK, MODULE, TENANT, Ground, Newest, newest, profile_home
from benchmarks.decision_servers import Program
from benchmarks.features import free_port
from benchmarks.load import Wire, templates
from benchmarks.peer_facts import VARIABLE, Facts, address_key
from benchmarks.peer_feast import Row, View, fill
from benchmarks.peer_mlflow import save
from flows.wiring import key_file
from fradect.adapters.vault import HomeVault
from fradect.features.contract import Kind
from fradect.settings import Settings
from serving import launch

FRADECT, PEERS = ("embedded", "production"), ("glue", "decent", "mlflow", "floor")
FACTORS, SHADOW = "+factors", "+shadow"
"""End the name of a contender that is asked for factors, or has a challenger in the shadow: the same server as
without."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the requests it is sent. `home`: a FRADECT's, where the API key lies that it wants, once it runs."""

    name: str
    program: Program
    path: str
    bodies: Sequence[bytes]
    home: Path | None = None

    def wire(self, bodies: Sequence[bytes]) -> Wire:
        headers = {} if self.home is None else {"X-API-Key": key_file(self.home, TENANT).read_text().strip()}
        return Wire("127.0.0.1", self.program.port, templates(self.path, headers, bodies), MARK.encode())


@dataclass(frozen=True, slots=True)
class Stores:
    """Where Redis and PostgreSQL are, as URLs; folder: for what contenders write."""

    redis: str
    dsn: str
    folder: Path


def contenders(names: Sequence[str], ground: Ground, stores: Stores) -> dict[str, Contender]:
    """Those asked for, their stores filled. A FRADECT stands for itself with and without factors."""
    found = {name: _fradect(name, ground, stores) for name in FRADECT if name in names}
    if any(name in names for name in PEERS):
        told = stores.folder / "peer.json"
        told.write_bytes(msgspec.json.encode(_filled(names, ground, stores)))
        found |= {name: _peer(name, ground, told) for name in ("glue", "decent", "floor") if name in names}
    if "mlflow" in names:
        found["mlflow"] = _mlflow(ground, stores.folder)
    return found


def profiled(contender: Contender, report: Path) -> Contender:
    """A FRADECT without BentoML and with a profiler."""
    told = contender.program
    command = [sys.executable, "-m", "benchmarks.profiled", str(report)]
    environment = {**told.environment, "FRADECT_PORT": str(told.port), "FRADECT_BUDGET_MS": "5000"}
    return replace(contender, program=replace(told, command=command, environment=environment))


def bodies(ground: Ground, *, factors: bool) -> list[bytes]:
    """The requests as FRADECT and the peers read them."""
    options = b',"options":{"include_factors":%s}}' % (b"true" if factors else b"false")
    return [text.encode()[:-1] + options for text in ground.texts]


def _fradect(name: str, ground: Ground, stores: Stores) -> Contender:
    folder = stores.folder / name
    folder.mkdir()
    production = name == "production"
    home = profile_home(ground, folder, stores.redis if production else None)
    port = free_port()
    settings = Settings(
        home=home,
        ledger_url=_sqlalchemy(stores.dsn) if production else f"sqlite:///{home}/ledger.db",
        state_url=stores.redis if production else f"sqlite:///{home}/state.db",
        online_url=stores.redis if production else f"sqlite:///{home}",
        budget_ms=300,
        host="127.0.0.1",
        port=port,
    )
    program = Program(launch.command(settings), launch.environment(settings), port)
    asked = bodies(ground, factors=False)
    return Contender(name, program, f"/api/v1/{MODULE.name}/score", asked, home)


def _sqlalchemy(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://", 1)


def _peer(name: str, ground: Ground, told: Path) -> Contender:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.peer_{name}:app", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    environment = {VARIABLE: str(told), "FEAST_USAGE": "False"}
    return Contender(name, Program(command, environment, port), "/score", [text.encode() for text in ground.texts])


def _mlflow(ground: Ground, folder: Path) -> Contender:
    """It is sent vectors: finding them is not its business. Missing values go as 0: JSON has no NaN, and to take
    nulls it would need a signature, whose checks cost it more than the model does."""
    saved = save(ground.release.model, folder / "mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    names = list(CONTRACT.names)
    rows = newest(ground.places)["customer"].matrix
    asked = [
        msgspec.json.encode({"dataframe_split": {"columns": names, "data": [row]}})
        for row in np.nan_to_num(rows).tolist()
    ]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))  # it looks for uvicorn there
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    return Contender("mlflow", Program(command, environment, port, "/ping"), "/invocations", asked)


def _filled(names: Sequence[str], ground: Ground, stores: Stores) -> Facts:
    """Feast and the floor's Redis hold, for every key that a request names, what the newest event had."""
    rows = _of_requests(ground)
    if "floor" in names:
        client = redis.Redis.from_url(stores.redis)
        client.mset({f"floor:{key}": row.tobytes() for key, row in rows["customer"].items()})
    references: list[str] = []
    if {"glue", "decent"} & set(names):
        references = fill(stores.redis, stores.folder / "feast", _views(rows))
    release = stores.folder / "model.json"
    release.write_bytes(ground.release.model)
    rulebook = stores.folder / "rulebook.json"
    rulebook.write_bytes(ground.release.rulebook)
    return Facts(
        redis=stores.redis,
        dsn=stores.dsn,
        model=str(release),
        rulebook=str(rulebook),
        folder=str(stores.folder / "feast"),
        names=CONTRACT.names,
        categories={f.name: f.categories for f in CONTRACT if f.categories},
        references=tuple(references),
    )


def _views(rows: Mapping[str, Mapping[str, Row]]) -> list[View]:
    found = []
    for entity, held in rows.items():
        windows = [f.name for f, window in CONTRACT.windows if window.entity == entity]
        found.append(View(f"{entity}_windows", MODULE.entities[entity], windows, _columns(held, windows)))
    batch = [f.name for f in CONTRACT.of_kind(Kind.BATCH)]
    snapshots = _columns(rows["customer"], batch)
    return [*found, View("customer_snapshots", MODULE.entities["customer"], batch, snapshots)]


def _columns(held: Mapping[str, Row], names: Sequence[str]) -> dict[str, Row]:
    which = [CONTRACT.names.index(name) for name in names]
    return {key: row[which] for key, row in held.items()}


def _of_requests(ground: Ground) -> dict[str, dict[str, Row]]:
    """By entity and key, for keys of the requests; an address's key is what a peer can make of its text."""
    asked: list[dict[str, Any]] = [msgspec.json.decode(text)["transaction"] for text in ground.texts]
    vault = HomeVault(ground.home)
    texts = {text for one in asked if (text := (one.get("shipping_address") or {}).get("text"))}
    wanted: dict[str, Mapping[str, str]] = {
        "customer": _same(one["customer_id"] for one in asked),
        "merchant": _same(one.get("merchant_id") for one in asked),
        "device": _same((one.get("device") or {}).get("id") for one in asked),
        "card": _same((one.get("card") or {}).get("token") for one in asked),
        "ip": _same((one.get("device") or {}).get("ip") for one in asked),
        "address": {vault.token(TENANT, "shipping_address", text): address_key(text) for text in texts},
    }
    return {entity: _only(held, wanted[entity]) for entity, held in newest(ground.places).items()}


def _same(keys: Any) -> dict[str, str]:
    return {key: key for key in keys if key}


def _only(held: Newest, wanted: Mapping[str, str]) -> dict[str, Row]:
    return {wanted[key]: row for key, row in zip(held.keys, held.matrix, strict=True) if key in wanted}
