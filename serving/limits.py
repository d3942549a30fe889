"""Rate limits by key and by tenant, counted in this process; what other workers counted comes in the background.

Windows follow the clock. Of the window before, as much counts as still lies within a window's length of now. A request
waits for two sums and nothing else; `share` tells the other workers, and hears of them, twice a second.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fradect.errors import FradectError, Unavailable
from fradect.ports import Caller
from fradect.settings import Quota

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
STALE_SECONDS = 3.0
_FAIR_SECONDS = 0.1


class RateLimited(FradectError):
    """This key, or its tenant, asked for more than it may."""

    status = 429
    type = "rate-limited"

    def __init__(self, message: str, seconds: int, headers: Headers) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.headers = headers


class Counted(NamedTuple):
    """What this process counted since it told last: whose and when, and for how many seconds that matters."""

    name: str
    more: int
    seconds: int


class Counts(Protocol):
    """What all workers counted together."""

    def add(self, counted: Sequence[Counted]) -> Sequence[int]:
        """The sums, these added. Unavailable when they cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a key and what a tenant may ask; None is without limit. `tenants`: those with a quota of their own."""

    key: Quota | None = None
    tenant: Quota | None = None
    tenants: Mapping[str, Quota] = field(default_factory=dict)


class _Window:
    """One subject's window. `own` is written by `admit` alone, `told` and `others` by `share` alone."""

    __slots__ = ("before", "end", "most", "others", "own", "policy", "previous", "quota", "start", "told")

    def __init__(self, quota: Quota, policy: tuple[bytes, bytes], most: int, now: float) -> None:
        self.quota, self.policy, self.most = quota, policy, most
        self.start = now - now % quota.seconds
        self.end = self.start + quota.seconds
        self.own = self.told = self.others = self.before = 0
        self.previous: _Window | None = None

    def follow(self, last: "_Window") -> None:
        """What was asked in the window right before this one counts as well."""
        if last.end == self.start:
            last.previous = None
            self.previous, self.before = last, last.own + last.others

    def left(self, now: float) -> int:
        return int(self.most - self.own - self.others - self.before * (self.end - now) / self.quota.seconds)

    def wait(self, now: float) -> int:
        """Seconds until one more fits, if nothing else comes."""
        used, length, rest = self.own + self.others, self.quota.seconds, self.end - now
        if used < self.most and self.before:
            return max(1, math.ceil(rest - length * (self.most - used - 1) / self.before))
        return max(1, math.ceil(rest + length * (1 - (self.most - 1) / max(used, 1))))


class _Subjects:
    """The windows of all keys, or of all tenants. `beside`: the policy that is told of with theirs."""

    def __init__(self, kind: str, quota: Quota | None, quotas: Mapping[str, Quota], beside: bytes = b"") -> None:
        self.kind = kind
        self._beside = beside
        self.windows: dict[str, _Window] = {}
        self.workers = 1
        self._quota, self._quotas = quota, quotas

    def at(self, subject: str, now: float) -> _Window | None:
        """The current window; None for who has no limit."""
        window = self.windows.get(subject)
        if window is not None and window.start <= now < window.end:
            return window
        quota = self._quotas.get(subject, self._quota)
        if quota is None:
            return None
        policy = (b"ratelimit-policy", self._beside + _policy(self.kind, quota))
        current = _Window(quota, policy, max(1, quota.most // self.workers), now)
        if window is not None:
            current.follow(window)
        self.windows[subject] = current
        return current

    def divide(self, workers: int) -> None:
        """So many go by a share each from now on, and by what they count themselves."""
        self.workers = workers
        for window in list(self.windows.values()):
            window.most = max(1, window.quota.most // workers)
            window.others = 0 if workers > 1 else window.others

    def forget(self, now: float) -> None:
        """Windows that nothing is left of."""
        for subject, window in list(self.windows.items()):
            if now >= window.end + window.quota.seconds or now < window.start - window.quota.seconds:
                self.windows.pop(subject, None)


class Limits:
    """What is asked by key and tenant. `admit` and `crowds` are the event loop's; `share` a thread's beside it.

    `counts`: where `workers` processes count together. Without an answer from there for three seconds each of them
    gives an equal share of every quota.
    """

    def __init__(
        self,
        quotas: Quotas,
        counts: Counts | None = None,
        workers: int = 1,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = _Subjects("key", quotas.key, {})
        beside = b"" if quotas.key is None else _policy("key", quotas.key) + b", "
        self._tenants = _Subjects("tenant", quotas.tenant, quotas.tenants, beside)
        self._counts, self._workers, self._now = counts, workers, now
        self._heard = now()
        self._fair, self._fair_until = math.inf, 0.0

    def admit(self, caller: Caller) -> Headers:
        """Count a request; the headers that say what is left. RateLimited when nothing was left for it."""
        now = self._now()
        key, tenant = self._keys.at(caller.id, now), self._tenants.at(caller.tenant_id, now)
        if key is None:
            return [] if tenant is None else self._one("tenant", tenant, now)
        if tenant is None:
            return self._one("key", key, now)
        of_key, of_tenant = key.left(now), tenant.left(now)
        kind, window, left = ("key", key, of_key) if of_key <= of_tenant else ("tenant", tenant, of_tenant)
        if left < 1:
            raise _limited(kind, window, now, tenant.policy)
        key.own += 1
        tenant.own += 1
        return [tenant.policy, _rest(kind, left - 1, window, now)]

    def crowds(self, tenant_id: str) -> bool:
        """Whether the tenant asks for more than its equal share while others ask too."""
        now = self._now()
        if not now < self._fair_until <= now + _FAIR_SECONDS:
            asked = [w.own + w.before for w in self._tenants.windows.values() if now < w.end + w.quota.seconds]
            self._fair = sum(asked) / len(asked) if len(asked) > 1 else math.inf
            self._fair_until = now + _FAIR_SECONDS
        window = self._tenants.windows.get(tenant_id)
        return window is not None and window.own + window.before > self._fair

    def share(self) -> None:
        """Tell what was counted here and hear what was counted elsewhere; forget who has not asked for long."""
        now = self._now()
        if self._counts is not None:
            try:
                self._exchange(self._counts, now)
            except Unavailable as error:
                self._go_alone(error, now)
        for subjects in (self._keys, self._tenants):
            subjects.forget(now)

    def _exchange(self, counts: Counts, now: float) -> None:
        current = [
            (f"{subjects.kind}:{subject}", window)
            for subjects in (self._keys, self._tenants)
            for subject, newest in list(subjects.windows.items())
            for window in (newest, newest.previous)
            if window is not None and (window is newest or window.own > window.told)
        ]
        told = [window.own for _, window in current]
        counted = [
            Counted(f"{name}:{window.quota.seconds}:{int(window.start)}", own - window.told, 2 * window.quota.seconds)
            for (name, window), own in zip(current, told, strict=True)
        ]
        sums = counts.add(counted) if counted else []
        if self._keys.workers > 1:
            log.info("rate limits are counted together again")
            self._divide(1)
        self._heard = now
        for (_, window), own, everybody in zip(current, told, sums, strict=True):
            window.told, window.others = own, max(0, everybody - own)

    def _go_alone(self, error: Unavailable, now: float) -> None:
        if self._workers > 1 and self._keys.workers == 1 and now - self._heard > STALE_SECONDS:
            log.warning("%s: each of %s workers gives its share of every quota", error, self._workers)
            self._divide(self._workers)

    def _divide(self, workers: int) -> None:
        for subjects in (self._keys, self._tenants):
            subjects.divide(workers)

    @staticmethod
    def _one(kind: str, window: _Window, now: float) -> Headers:
        left = window.left(now)
        if left < 1:
            raise _limited(kind, window, now, window.policy)
        window.own += 1
        return [window.policy, _rest(kind, left - 1, window, now)]


def _policy(kind: str, quota: Quota) -> bytes:
    return b'"%b";q=%d;w=%d' % (kind.encode(), quota.most, quota.seconds)


def _rest(kind: str, left: int, window: _Window, now: float) -> tuple[bytes, bytes]:
    return b"ratelimit", b'"%b";r=%d;t=%d' % (kind.encode(), left, math.ceil(window.end - now))


def _limited(kind: str, window: _Window, now: float, policy: tuple[bytes, bytes]) -> RateLimited:
    quota, seconds = window.quota, window.wait(now)
    message = f"{quota.most} requests in {quota.seconds} s is what this {kind} may ask: ask again in {seconds} s"
    return RateLimited(message, seconds, [policy, _rest(kind, 0, window, now)])
