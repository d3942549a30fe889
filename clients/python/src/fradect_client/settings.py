"""What both clients are made with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from fradect_client.errors import InvalidArgument
from fradect_client.retries import Retry

Token = str | Callable[[], str]
"""A signed token, or what gives the one that is valid now."""

try:
    _VERSION = version("fradect-client")
except PackageNotFoundError:  # run from its sources
    _VERSION = "0"


@dataclass(frozen=True, slots=True)
class Access:
    """Who calls: an API key or a token. Neither shows in a repr."""

    api_key: str | None
    token: Token | None

    def __post_init__(self) -> None:
        if (self.api_key is None) == (self.token is None):
            raise InvalidArgument("give api_key or token, one of the two")

    def __repr__(self) -> str:
        return "Access(api_key='fdk_...')" if self.token is None else "Access(token='...')"

    def headers(self) -> Mapping[str, str]:
        """For one request, so that a token that ends can be replaced."""
        if self.api_key is not None:
            return {"X-API-Key": self.api_key}
        token = self.token() if callable(self.token) else self.token
        return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """`timeout`: seconds to connect, and between two pieces of an answer; `retry`: of a whole call."""

    timeout: float
    retry: Retry


USER_AGENT = {"User-Agent": f"fradect-client-python/{_VERSION}"}
USUAL_TIMEOUT = 10.0
BATCH_PAUSES = (0.2, 5.0)
"""Seconds between two looks at a batch, at first and in the end."""
CHUNK = 1 << 18
