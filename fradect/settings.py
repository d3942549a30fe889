"""Settings from the environment. Read by the composition roots only; everything below gets values."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from fradect.errors import InvalidInput

PROJECT = Path(__file__).resolve().parent.parent

# Every package that would phone home is silenced here; `fradect.quiet` applies it before any import.
SILENCE = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


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
