"""An import while a service runs: numbers of the live state, and what it brought in is seen soon."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from flows.ingest import ingest
from flows.wiring import workshop
from flows.wiring.online import caught_up
from fradect.adapters.database import open_database
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.state_sources import Rebuilder
from fradect.adapters.state_upkeep import Upkeep
from fradect.adapters.states import open_state
from fradect.features.layout import layout_of
from fradect.simulate import write
from tests.factories_decision import purchase
from tests.flows.conftest import SMALL


def test_what_is_imported_meanwhile_comes_in_and_what_arrived_meanwhile_stays(filled_home: Path) -> None:
    shop = workshop("ecommerce", "demo")
    layout = layout_of(shop.module, shop.contract)
    open_database(shop.settings.ledger_url).dispose()
    shared = open_shared(shop.settings.ledger_url)
    state = open_state(shop.settings.state_url)
    stored = SqlEvents(shop.settings.ledger_url, shared)
    rebuild = Rebuilder(state, filled_home, shared, stored).rebuild
    upkeep = Upkeep(state, filled_home, stored, rebuild, alone=True)
    try:
        upkeep.prepare("demo", layout)
        before = shop.facts.imported_seq
        assert upkeep.catch_up("demo", layout) is None, "nothing was imported"
        arrived = state.arrive(purchase("live", at=shop.facts.last_time))
        write(replace(SMALL, seed=4, start=date(2025, 3, 12), days=3, events=500), filled_home / "raw" / "more")
        ingest(str(filled_home / "raw" / "more"), "simulator")
        facts = workshop("ecommerce", "demo").facts
        assert facts.batches[-1].first_seq > arrived.seq, "a number is never given twice"
        rebuilt = upkeep.catch_up("demo", layout)
        assert rebuilt is not None
        assert rebuilt.last_seq >= facts.highest_seq
        assert upkeep.catch_up("demo", layout) is None
        assert [upto for _, upto in caught_up(workshop("ecommerce", "demo"))] == [before, facts.imported_seq]
        assert state.arrive(purchase("next", at=facts.last_time)).seq > facts.highest_seq
    finally:
        state.close()
        shared.dispose()
