"""Lists as they stood at any time say of a past event what lists in memory would have said then."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.lists import FOR_EVER, Entry, ListName, Lists, ListsThen, Spell
from fradect.types import Event
from tests.factories_decision import MODULE

VALUES = {
    "customer": ("c1", "c2"),
    "ip": ("192.0.2.0/24", "192.0.2.7", "2001:db8::/32"),
    "email_domain": ("example.org", "mail.example.org"),
}
FIELDS = {
    "customer_id": ("c1", "c2", "c3", "", None),
    "ip": ("192.0.2.7", "192.0.2.8", "2001:db8::1", "no address", None),
    "email_domain": ("mail.example.org", "example.org", "org", None),
}


@st.composite
def spells(draw: st.DrawFn) -> Spell:
    kind = draw(st.sampled_from(sorted(VALUES)))
    until = draw(st.sampled_from([5, 15, FOR_EVER]))
    entry = Entry(
        "demo", "ecommerce", draw(st.sampled_from(ListName)), kind, draw(st.sampled_from(VALUES[kind])), until
    )
    return Spell(entry, draw(st.integers(0, 12)), min(until, draw(st.sampled_from([8, 14, FOR_EVER]))))


events = st.fixed_dictionaries(
    {"observed_at": st.integers(0, 20), **{name: st.sampled_from(values) for name, values in FIELDS.items()}}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(spells(), max_size=6), st.lists(events, min_size=1, max_size=8))
def test_columns_say_what_the_lists_in_force_then_said(
    given: list[Spell], past: list[dict[str, int | str | None]]
) -> None:
    types = {"observed_at": pa.int64(), **dict.fromkeys(FIELDS, pa.string())}
    table = pa.table({name: pa.array([one[name] for one in past], kind) for name, kind in types.items()})
    found = ListsThen(MODULE, given).columns(table)
    for i, one in enumerate(past):
        at = one["observed_at"]
        assert isinstance(at, int)
        in_force = [spell.entry for spell in given if spell.since <= at < spell.until]
        event = Event("e", "demo", "ecommerce", at, at, one)
        said = {name: column[i].as_py() for name, column in found.items()}
        assert {name: flag for name, flag in said.items() if flag is not None} == Lists(in_force).of(event)
