"""Settings from the environment. Read by the composition roots only; everything below gets values."""

import os
from dataclasses import dataclass
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
    ledger_url: str
    state_url: str
    budget_ms: int
    host: str
    port: int

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
        )


def _whole(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise InvalidInput(f"{name}={text!r}: give a whole number from {low} to {high}", field=name)
    return int(text)
