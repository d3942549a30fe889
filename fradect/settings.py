"""Settings from the environment. Read by the composition roots only; everything below gets values."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fradect.errors import InvalidInput
from fradect.jobs import Allowed, Kept
from fradect.types import DAY, HOUR

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PROJECT = Path(__file__).resolve().parent.parent

# Every package that would phone home is silenced here; `fradect.quiet` applies it before any import.
SILENCE = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


_LENGTHS = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True, slots=True)
class Quota:
    """So many requests in so many seconds."""

    most: int
    seconds: int


GENEROUS = Quota(10_000, 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where state lives and which adapters serve it. One adapter exists per URL scheme."""

    home: Path
    ledger_url: str = field(repr=False)
    state_url: str = field(repr=False)
    budget_ms: int
    host: str
    port: int
    online_url: str = field(repr=False)
    store_url: str | None = None
    ip_ranges: Path | None = None
    workers: int = 1
    issuers: Path | None = None
    test_tenants: frozenset[str] = frozenset()
    four_eyes: frozenset[str] = frozenset()
    key_quota: Quota | None = GENEROUS
    tenant_quota: Quota | None = GENEROUS
    tenant_quotas: Mapping[str, Quota] = field(default_factory=dict)
    batches: Allowed = field(default_factory=Allowed)
    batches_kept: Kept = field(default_factory=Kept)

    @classmethod
    def from_env(cls) -> "Settings":
        home = Path(os.environ.get("FRADECT_HOME", ".fradect")).expanduser().resolve()
        return cls(
            home=home,
            ledger_url=os.environ.get("FRADECT_LEDGER_URL", f"sqlite:///{home}/ledger.db"),
            state_url=os.environ.get("FRADECT_STATE_URL", f"sqlite:///{home}/state.db"),
            budget_ms=_whole("FRADECT_BUDGET_MS", 300, 10, 60_000),
            host=os.environ.get("FRADECT_HOST", "127.0.0.1"),
            port=_whole("FRADECT_PORT", 8000, 1, 65_535),
            online_url=os.environ.get("FRADECT_ONLINE_URL") or _online_url(home),
            store_url=_store_url(),
            ip_ranges=_path("FRADECT_IP_RANGES"),
            workers=_whole("FRADECT_WORKERS", 1, 1, 64),
            issuers=_path("FRADECT_ISSUERS"),
            test_tenants=frozenset(_words("FRADECT_TEST_TENANTS")),
            four_eyes=frozenset(_words("FRADECT_FOUR_EYES")),
            key_quota=_quota("FRADECT_RATE_LIMIT_KEY"),
            tenant_quota=_quota("FRADECT_RATE_LIMIT_TENANT"),
            tenant_quotas=_quotas("FRADECT_RATE_LIMIT_TENANTS"),
            batches=_allowed(Allowed()),
            batches_kept=_kept(Kept()),
        )


def _online_url(home: Path) -> str:
    """Customer snapshots lie with the live state when that is a Redis, else in a file for each tenant's module."""
    state_url = os.environ.get("FRADECT_STATE_URL", "")
    return state_url if state_url.startswith(("redis://", "rediss://")) else f"sqlite:///{home}"


def _store_url() -> str | None:
    """A URL as it is; a path from the root on, since the service runs elsewhere."""
    text = os.environ.get("FRADECT_STORE_URL", "")
    if not text:
        return None
    return text if "://" in text else str(Path(text).expanduser().resolve())


@dataclass(frozen=True, slots=True)
class S3Access:
    """How S3 is reached: by the environment alone, no file and no metadata service is asked.

    Without `endpoint` it is Amazon's of the region; without `key_id` requests are not signed (public buckets).
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None

    @classmethod
    def from_env(cls) -> "S3Access":
        return cls(
            endpoint=_first("FRADECT_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            region=_first("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
            key_id=_first("AWS_ACCESS_KEY_ID"),
            secret=_first("AWS_SECRET_ACCESS_KEY"),
            token=_first("AWS_SESSION_TOKEN"),
            ca_bundle=_first("AWS_CA_BUNDLE"),
        )


VAULT_KEY = "FRADECT_VAULT_KEY"


def vault_key() -> str | None:
    """The key-encryption key in base64: of the environment, or of the file that `..._FILE` names; None: the home's own.

    Asked for by the vault itself, so that the key is in no settings object, and no place that makes a vault forgets it.
    """
    named = os.environ.get(f"{VAULT_KEY}_FILE", "").strip()
    if not named:
        return _first(VAULT_KEY)
    try:
        return Path(named).expanduser().read_text().strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{VAULT_KEY}_FILE={named!r} cannot be read: name a file of text", VAULT_KEY) from error


@dataclass(frozen=True, slots=True)
class Outward:
    """What may be reached over HTTP at addresses that others name: public ones, by https, on the usual ports.

    `networks`: private ones that are reached all the same; `http`: unencrypted too.
    """

    networks: tuple[Network, ...] = ()
    http: bool = False
    ports: tuple[range, ...] = (range(443, 444), range(8443, 8444))

    @classmethod
    def from_env(cls) -> "Outward":
        names = _list("FRADECT_OUTWARD_NETWORKS", "")
        ports = _list("FRADECT_OUTWARD_PORTS", "443,8443")
        http = os.environ.get("FRADECT_OUTWARD_HTTP", "false")
        if http not in ("true", "false"):
            raise InvalidInput(f"FRADECT_OUTWARD_HTTP={http!r}: give true or false", field="FRADECT_OUTWARD_HTTP")
        return cls(tuple(map(_network, names)), http == "true", tuple(map(_ports, ports)))


def _list(name: str, default: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        remedy = "give networks like 10.1.0.0/16, separated by commas"
        raise InvalidInput(f"FRADECT_OUTWARD_NETWORKS: {error}: {remedy}", field="FRADECT_OUTWARD_NETWORKS") from error


def _ports(text: str) -> range:
    low, _, high = text.partition("-")
    high = high or low
    if not (low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) <= 65_535):
        remedy = "give ports like 443,8000-8999"
        raise InvalidInput(f"FRADECT_OUTWARD_PORTS: {text!r}: {remedy}", field="FRADECT_OUTWARD_PORTS")
    return range(int(low), int(high) + 1)


def _path(name: str) -> Path | None:
    text = os.environ.get(name)
    return Path(text).expanduser().resolve() if text else None


def _first(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def _whole(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise InvalidInput(f"{name}={text!r}: give a whole number from {low} to {high}", field=name)
    return int(text)


def _allowed(usual: Allowed) -> Allowed:
    return Allowed(
        rows=_whole("FRADECT_BATCH_ROWS", usual.rows, 1, 100_000_000),
        upload_bytes=_whole("FRADECT_BATCH_UPLOAD_MIB", usual.upload_bytes >> 20, 1, 1 << 20) << 20,
        tenant_bytes=_whole("FRADECT_BATCH_TENANT_MIB", usual.tenant_bytes >> 20, 1, 1 << 24) << 20,
        receiving=_whole("FRADECT_BATCH_UPLOADS", usual.receiving, 1, 1_000),
        unfinished=_whole("FRADECT_BATCH_JOBS", usual.unfinished, 1, 1_000_000),
        working=_whole("FRADECT_BATCH_WORKING", usual.working, 1, 1_000),
    )


def _kept(usual: Kept) -> Kept:
    return Kept(
        result=_whole("FRADECT_BATCH_RESULT_DAYS", usual.result // DAY, 1, 3_650) * DAY,
        unused_upload=_whole("FRADECT_BATCH_UPLOAD_HOURS", usual.unused_upload // HOUR, 1, 8_760) * HOUR,
    )


def _words(name: str) -> list[str]:
    return [word for part in os.environ.get(name, "").split(",") if (word := part.strip())]


def _quota(name: str) -> Quota | None:
    """Such as 600/minute; `off` for none."""
    text = os.environ.get(name, "").strip()
    return GENEROUS if not text else None if text == "off" else _written_quota(name, text)


def _quotas(name: str) -> dict[str, Quota]:
    """Such as acme=600/minute,beta=20/second."""
    quotas = {}
    for word in _words(name):
        tenant, _, text = word.rpartition("=")
        if not tenant.strip():
            raise InvalidInput(f"{name}={word!r}: give pairs such as acme=600/minute,beta=20/second", field=name)
        quotas[tenant.strip()] = _written_quota(name, text.strip())
    return quotas


def _written_quota(name: str, text: str) -> Quota:
    match = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
    if match is None:
        raise InvalidInput(f"{name}={text!r}: give a quota such as 600/minute, 20/second or 5000/hour", field=name)
    return Quota(int(match[1]), _LENGTHS[match[2]])
