"""Threads that work for the event loop do not take its place on the core."""

import asyncio
import os
import sys

import pytest

from fradect.turns import OwnThread


def _policy() -> int:
    return os.sched_getscheduler(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a policy")
def test_a_thread_of_its_own_gives_way_and_whoever_asks_it_does_not() -> None:
    thread = OwnThread("of its own")
    mine = _policy()
    try:
        assert asyncio.run(thread.call(1.0, _policy)) == os.SCHED_BATCH
        assert _policy() == mine != os.SCHED_BATCH
    finally:
        thread.close()


def test_where_it_may_not_give_way_it_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "sched_setscheduler", refused, raising=False)
    thread = OwnThread("of its own")
    try:
        assert asyncio.run(thread.call(1.0, lambda: 7)) == 7
    finally:
        thread.close()
