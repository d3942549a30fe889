"""API keys as a state machine: whatever the clock says, a key opens what it was issued for, until it ends."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from fradect.adapters.keys import ApiKeys, NewKey
from fradect.adapters.shared_sql import open_shared
from fradect.errors import NotFound
from fradect.permissions import ROLES

TENANTS = ("demo", "sandbox")  # the second has test keys
START = 1_000_000


@dataclass(frozen=True)
class Issued:
    """What must hold of a key."""

    tenant_id: str
    permissions: frozenset[str]
    expires_at: int | None
    revoked: bool = False

    def is_valid(self, now: int) -> bool:
        return not self.revoked and (self.expires_at is None or now < self.expires_at)


class Keys(RuleBasedStateMachine):
    """The command line changes keys; a service knows of them what it last read. `read`: what that was."""

    keys = Bundle("keys")

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        home = Path(self._folder.name)
        self.now = START
        self.engine = open_shared(f"sqlite:///{home}/ledger.db")
        self.issued: dict[str, Issued] = {}
        tests = frozenset(TENANTS[1:])
        self.office, self.service = (ApiKeys(self.engine, home / "keys", tests, lambda: self.now) for _ in range(2))
        self._read_by_office()
        self.read: dict[str, Issued] = {}
        self.used: dict[str, int] = {}
        self.waiting: set[str] = set()

    @rule(
        target=keys,
        tenant=st.sampled_from(TENANTS),
        role=st.sampled_from(sorted(ROLES)),
        lives=st.sampled_from([None, -5, 1, 1, 20, 60]),
    )
    def issue(self, tenant: str, role: str, lives: int | None) -> str:
        expires_at = None if lives is None else self.now + lives
        key = self.office.make(NewKey(tenant, ROLES[role], expires_at=expires_at), self.now)
        assert key.startswith("fdk_test_" if tenant == "sandbox" else "fdk_live_")
        assert key not in self.issued
        self.issued[key] = Issued(tenant, ROLES[role], expires_at)
        self._read_by_office()
        return key

    @rule(target=keys, key=keys, overlap=st.sampled_from([0, 1, 30, 500]))
    def rotate(self, key: str, overlap: int) -> str:
        old = self.issued[key]
        if not old.is_valid(self.now):
            with pytest.raises(NotFound):
                self.office.rotate(_id(key), overlap, "ada")
            return key
        new = self.office.rotate(_id(key), overlap, "ada")
        end = self.now + overlap
        self.issued[new] = old
        self.issued[key] = replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
        self._read_by_office()
        return new

    @rule(key=keys)
    def revoke(self, key: str) -> None:
        if not self.issued[key].is_valid(self.now):
            with pytest.raises(NotFound):
                self.office.revoke(_id(key), "ada")
            return
        self.office.revoke(_id(key), "ada")
        self.issued[key] = replace(self.issued[key], revoked=True)
        self._read_by_office()

    @rule(by=st.sampled_from([-30, -1, 1, 1, 20, 30, 60]))
    def clock(self, by: int) -> None:
        """Forwards, and backwards as clocks do when they are set."""
        self.now += by

    @rule()
    def follow(self) -> None:
        self.service.reload()
        self.read = self._valid()

    @rule(key=keys)
    def use(self, key: str) -> None:
        """The service knows whom it read of, and only until they end."""
        caller, known = self.service.find(key), self.read.get(key)
        if known is None or not known.is_valid(self.now):
            assert caller is None
            return
        assert caller is not None
        assert (caller.tenant_id, caller.permissions, caller.id) == (known.tenant_id, known.permissions, _id(key))
        self.waiting.add(key)

    @rule(key=keys, other=keys, at=st.integers(0, 64))
    def forge(self, key: str, other: str, at: int) -> None:
        """No mixture of keys is a key."""
        at %= len(key)
        letter = "A" if key[at] != "A" else "B"
        for forged in (key[:at] + letter + key[at + 1 :], key[:22] + other[22:], f"{key} ", key[:-1]):
            if forged not in self.issued:
                assert self.service.find(forged) is None
                assert self.office.find(forged) is None

    @rule()
    def note(self) -> None:
        assert self.service.note_uses() == len(self.waiting)
        self.used |= dict.fromkeys(self.waiting, self.now)
        self.waiting = set()

    @invariant()
    def what_was_changed_here_is_known_here(self) -> None:
        for key, issued in getattr(self, "issued", {}).items():
            caller = self.office.find(key)
            assert (caller is not None) == (key in self.office_read and issued.is_valid(self.now))

    @invariant()
    def the_list_says_what_holds(self) -> None:
        if not hasattr(self, "issued"):
            return
        shown = {one.id: one for one in self.office.shown()}
        assert shown.keys() == {_id(key) for key in self.issued}
        for key, issued in self.issued.items():
            one = shown[_id(key)]
            assert (one.state(self.now) == "valid") == issued.is_valid(self.now)
            assert (one.expires_at, one.revoked_at is not None) == (issued.expires_at, issued.revoked)
            assert one.last_used_at == self.used.get(key)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()
            self._folder.cleanup()

    def _valid(self) -> dict[str, Issued]:
        return {key: issued for key, issued in self.issued.items() if issued.is_valid(self.now)}

    def _read_by_office(self) -> None:
        """Each change is followed by a look: what had ended by then stays away, even if the clock goes back."""
        self.office_read = set(self._valid())


def _id(key: str) -> str:
    return key[9:21]


Keys.TestCase.settings = settings(phases=[Phase.generate], max_examples=40, stateful_step_count=30)
TestKeys: Any = Keys.TestCase
