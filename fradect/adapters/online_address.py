"""FRADECT_ONLINE_URL, taken apart: which online store, and how Feast wants to be told of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fradect.errors import InvalidInput

_FOLDER = "sqlite:///"
_WANTED = "give sqlite:///<folder> or redis[s]://[[user]:password@]host[:port][/number]"
SECRET = "FRADECT_ONLINE_PASSWORD"  # noqa: S105  the name of a variable, not what is in it


@dataclass(frozen=True, slots=True)
class FolderAddress:
    """A folder in which every project has an SQLite file."""

    folder: Path


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis. Nothing that is shown of it, or written to disk, holds the password."""

    host: str
    port: int
    number: int
    user: str | None
    password: str | None = field(repr=False)
    tls: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"redis{'' if self.tls is None else 's'}://{self.host}:{self.port}/{self.number}"

    @property
    def options(self) -> dict[str, Any]:
        """As the Redis client names them."""
        given = {"username": self.user, "password": self.password}
        tls = {} if self.tls is None else {"ssl": True, **self.tls}
        return {"host": self.host, "port": self.port, "db": self.number} | {k: v for k, v in given.items() if v} | tls

    def feast(self, *, secret: bool) -> str:
        """Feast's connection string; without the secret, it refers to the environment's FRADECT_ONLINE_PASSWORD."""
        options = {name: value for name, value in self.options.items() if name not in ("host", "port")}
        parts = [f"{name}={_plain(value)}" for name, value in options.items() if name != "password"]
        if self.password:
            parts.append(f"password={_plain(self.password) if secret else '${' + SECRET + '}'}")
        return ",".join([f"{self.host}:{self.port}", *parts])


def _plain(value: str | int | bool) -> str:
    """JSON, which Feast reads it as, with no comma, at which Feast would cut it."""
    return json.dumps(value).replace(",", "\\u002c")


def address_of(url: str) -> FolderAddress | RedisAddress:
    """InvalidInput, which does not repeat what may be a password, when it is neither."""
    folder = url.removeprefix(_FOLDER)
    if folder and folder != url:
        return FolderAddress(Path(folder))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"FRADECT_ONLINE_URL: {_WANTED}", field="FRADECT_ONLINE_URL") from error
    number = parts.path.strip("/") or "0"
    host = parts.hostname or ""
    if parts.scheme not in ("redis", "rediss") or not host or ":" in host or not number.isdecimal():
        raise InvalidInput(
            f"FRADECT_ONLINE_URL of {parts.scheme or 'no scheme'!r}: {_WANTED}", field="FRADECT_ONLINE_URL"
        )
    return RedisAddress(
        host=host,
        port=port or 6379,
        number=int(number),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=_tls(parts.query) if parts.scheme == "rediss" else None,
    )


def _tls(query: str) -> dict[str, str]:
    """What the URL says about certificates: ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_cert_reqs."""
    said = dict(parse_qsl(query))
    unknown = sorted(set(said) - {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"})
    if unknown:
        raise InvalidInput(f"FRADECT_ONLINE_URL: {', '.join(unknown)} is no setting of it", field="FRADECT_ONLINE_URL")
    return said
