"""A key set that is fetched: outside of requests, seldom, and the last good one stays for a day."""

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from fradect.adapters.key_sets import Algorithm, KeySet, read_jwks
from fradect.adapters.outward import Guard, OutOfReach, guarded_client, target_of
from fradect.errors import FradectError, Unavailable
from fradect.settings import Outward

log = logging.getLogger(__name__)

MOST_BYTES = 128 * 1024
SECONDS = 3.0
FRESH_SECONDS = 300.0
AGAIN_SECONDS = 30.0
KEPT_SECONDS = 86_400.0


class JwksUrl:
    """The keys at a URL. `keys` and `miss` are for requests and cost nothing; `refresh` is for one thread beside."""

    def __init__(
        self, url: str, algorithm: Algorithm, folder: Path, outward: Outward, now: Callable[[], float] = time.time
    ) -> None:
        """`outward`: where the host may be."""
        self._url, self._algorithm, self._outward, self._now = url, algorithm, outward, now
        self._file = folder / f"jwks-{hashlib.sha256(f'{algorithm} {url}'.encode()).hexdigest()[:16]}.json"
        self._tried = self._fetched = 0.0
        self._is_missed = False
        self.keys: KeySet = {}
        self._recall()

    def is_for(self, url: str, algorithm: Algorithm, outward: Outward) -> bool:
        return (url, algorithm, outward) == (self._url, self._algorithm, self._outward)

    def miss(self) -> None:
        """A token named a key that is not here: look again soon."""
        self._is_missed = True

    def refresh(self) -> bool:
        """Fetch when it is time; whether the keys are others than before. What goes wrong is logged."""
        now = self._now()
        if not self._is_due(now):
            return False
        before, self._tried, self._is_missed = self.keys, now, False
        try:
            raw = fetch(self._url, self._outward)
            self.keys = read_jwks(raw, self._algorithm)
            self._fetched = now
            self._keep(raw)
        except FradectError as error:
            log.warning("keys of tokens at %s: %s", self._url, error)
            if now - self._fetched > KEPT_SECONDS and self.keys:
                log.error("keys of tokens at %s are a day old and count no more", self._url)
                self.keys = {}
        return not _same(before, self.keys)

    def _is_due(self, now: float) -> bool:
        """Clocks that were set back make it due."""
        age, since = now - self._fetched, now - self._tried
        return not 0 <= since < AGAIN_SECONDS and (self._is_missed or not 0 <= age < FRESH_SECONDS)

    def _recall(self) -> None:
        """What was fetched before this process began."""
        try:
            fetched, raw = self._file.stat().st_mtime, self._file.read_bytes()
            if 0 <= self._now() - fetched < KEPT_SECONDS:
                self.keys, self._fetched = read_jwks(raw, self._algorithm), fetched
        except FileNotFoundError:
            pass
        except (OSError, FradectError) as error:
            log.warning("%s: %s", self._file, error)

    def _keep(self, raw: bytes) -> None:
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside.write_bytes(raw)
            os.utime(aside, (self._fetched, self._fetched))
            aside.replace(self._file)
        except OSError as error:
            log.warning("%s: %s", self._file, error)


def fetch(url: str, outward: Outward) -> bytes:
    """The body of a plain 200, whole, within three seconds and 128 KiB; Unavailable otherwise. Follows nothing, and
    goes nowhere but where `outward` lets it."""
    guard = Guard(outward)
    try:
        return _body(str(target_of(url, outward)), guard)
    except OutOfReach as error:
        remedy = "a private network is named in `networks` of its issuer"
        raise Unavailable(f"the host has no address, or one that is not public; {remedy}") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Unavailable(f"no answer ({type(error).__name__})") from error
    finally:
        guard.close()


def _body(url: str, guard: Guard) -> bytes:
    with (
        guarded_client(guard, SECONDS) as client,
        client.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as answer,
    ):
        if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
            raise Unavailable(f"the answer was {answer.status_code}, not an uncompressed 200")
        raw = bytearray()
        for chunk in answer.iter_raw():
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise Unavailable(f"more than {MOST_BYTES} bytes")
        return bytes(raw)


def _same(one: KeySet, other: KeySet) -> bool:
    return one.keys() == other.keys() and all(other[name] == key for name, key in one.items())
