"""What must hold after every fault: nothing acknowledged is lost, nothing is there twice, chain and outbox agree."""

import os
from collections.abc import Mapping

import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.ledger_verify import verify
from fradect.adapters.tables import events, idempotency_keys, outbox, risk_decisions, transactions

ROUNDS = int(os.environ.get("FRADECT_FAULT_ROUNDS", "2"))
"""Rounds of each fault; `make faults` runs 300."""


def check(url: str, acked: Mapping[str, bytes]) -> int:
    """`acked`: answers by event id, as callers got them. How many decisions there are."""
    engine = open_database(url, kept=False)
    with engine.connect() as connection:
        stored = connection.execute(sa.select(risk_decisions.c.entity_id, risk_decisions.c.answer)).all()
        ids = connection.execute(sa.select(risk_decisions.c.id)).scalars().all()
        told = connection.execute(sa.select(outbox.c.decision_id)).scalars().all()
        decided = connection.execute(sa.select(events.c.event_id)).scalars().all()
        bought = connection.execute(sa.select(transactions.c.id)).scalars().all()
        keys = connection.execute(sa.select(idempotency_keys.c.entity_id)).scalars().all()
    engine.dispose()
    answers = {row.entity_id: bytes(row.answer) for row in stored}
    lost = {event_id: answer for event_id, answer in acked.items() if answers.get(event_id) != answer}
    assert not lost, "acknowledged, and not in the ledger as it was answered"
    assert len(answers) == len(stored), "an event was decided twice"
    assert sorted(told) == sorted(ids), "the outbox and the ledger tell different stories"
    assert sorted(decided) == sorted(bought) == sorted(answers), "half a decision was stored"
    assert sorted(keys) == sorted(set(keys)), "a key stands for two events"
    assert set(keys) <= set(answers), "a key stands for an event that nobody decided"
    checked = verify(url)
    assert checked.broken is None, checked.broken
    return len(stored)
