"""Allow and deny lists: what stands on one, for whom, and until when."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.lists import FOR_EVER, NOTHING_LISTED, Entry, ListName, Lists, canonical
from fradect.modules import module_of
from fradect.types import Event, Value
from tests.factories_decision import NOON, purchase

MODULE = module_of("ecommerce")


def entry(kind: str, value: str, name: ListName = ListName.DENY, until: int = FOR_EVER, tenant: str = "demo") -> Entry:
    return Entry(tenant, "ecommerce", name, kind, canonical(MODULE, kind, value), until)


def _true(lists: Lists, event: Event) -> set[str]:
    return {name for name, found in lists.of(event).items() if found}


def test_every_list_and_kind_that_the_event_has_a_value_of_is_answered() -> None:
    event = purchase(ip="192.0.2.1", email_domain=None)
    found = NOTHING_LISTED.of(event)
    assert set(found) == {f"{side}_{kind}" for kind in ("customer", "device", "card", "ip") for side in ListName}
    assert set(found) < set(MODULE.signals)
    assert not any(found.values())


@pytest.mark.parametrize(
    ("kind", "listed", "fields"),
    [
        ("customer", "c1", {}),
        ("device", "d1", {}),
        ("card", "k1", {}),
        ("ip", "192.0.2.0/24", {"ip": "192.0.2.255"}),
        ("ip", "2001:db8::/32", {"ip": "2001:db8:ffff::1"}),
        ("ip", "::ffff:192.0.2.7", {"ip": "192.0.2.7"}),
        ("email_domain", "Example.ORG", {"email_domain": "example.org"}),
        ("email_domain", "example.org", {"email_domain": "mail.example.org"}),
        ("email_domain", "bücher.example", {"email_domain": "xn--bcher-kva.example"}),
    ],
)
def test_a_value_on_a_list_is_a_signal_of_its_tenant_alone(kind: str, listed: str, fields: dict[str, Value]) -> None:
    lists = Lists([entry(kind, listed), entry(kind, listed, ListName.ALLOW, tenant="other")])
    assert _true(lists, purchase(**fields)) == {f"deny_{kind}"}
    assert _true(lists, purchase(tenant="other", **fields)) == {f"allow_{kind}"}
    assert not _true(lists, purchase(tenant="third", **fields))


@pytest.mark.parametrize(
    ("kind", "listed", "fields"),
    [
        ("customer", "c", {}),
        ("customer", "d1", {}),
        ("ip", "192.0.2.0/25", {"ip": "192.0.2.128"}),
        ("ip", "192.0.2.1", {"ip": "not an address"}),
        ("ip", "0.0.0.0/0", {"ip": "2001:db8::1"}),
        ("email_domain", "mail.example.org", {"email_domain": "example.org"}),
        ("email_domain", "example.org", {"email_domain": "badexample.org"}),
    ],
)
def test_what_only_resembles_it_is_not_on_it(kind: str, listed: str, fields: dict[str, Value]) -> None:
    assert not _true(Lists([entry(kind, listed)]), purchase(**fields))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=8), st.integers(0, 2**32 - 1))
def test_ranges_hold_what_the_standard_library_says(ranges: list[tuple[int, int]], number: int) -> None:
    networks = [ip_network((first, length), strict=False) for first, length in ranges]
    address = ip_address(number)
    lists = Lists(entry("ip", str(network)) for network in networks)
    assert ("deny_ip" in _true(lists, purchase(ip=str(address)))) is any(address in network for network in networks)


@pytest.mark.parametrize(("kind", "value"), [("device", "d1"), ("ip", "192.0.2.0/24"), ("email_domain", "example.org")])
def test_an_entry_counts_until_its_end_by_the_time_of_receipt(kind: str, value: str) -> None:
    fields: dict[str, Value] = {"ip": "192.0.2.1", "email_domain": "example.org"}
    assert _true(Lists([entry(kind, value, until=NOON + 1)]), purchase(**fields)) == {f"deny_{kind}"}
    assert not _true(Lists([entry(kind, value, until=NOON)]), purchase(**fields))
    both = Lists([entry(kind, value, until=NOON), entry(kind, value, until=NOON + 9)])
    assert _true(both, purchase(**fields)) == {f"deny_{kind}"}


def test_a_wider_range_that_has_ended_does_not_hide_a_narrower_one() -> None:
    lists = Lists([entry("ip", "192.0.2.0/24", until=NOON), entry("ip", "192.0.2.4/30")])
    assert _true(lists, purchase(ip="192.0.2.5")) == {"deny_ip"}
    assert not _true(lists, purchase(ip="192.0.2.9"))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("telephone", "1", "choose from customer, device, card, ip, email_domain"),
        ("card", "4111 1111 1111 1111", "^card: card number"),
        ("customer", "", "1 to 256"),
        ("device", "d" * 300, "1 to 256"),
        ("device", "a\nb", "control character"),
        ("ip", "192.0.2.1/24", "host bits"),
        ("ip", "example.org", "CIDR"),
        ("email_domain", "ada@example.org", "what stands after the @"),
        ("email_domain", "localhost", "not a domain"),
    ],
)
def test_a_value_that_cannot_be_on_a_list_is_refused_with_a_remedy(kind: str, value: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        canonical(MODULE, kind, value)
    assert "4111" not in str(refused.value)


@given(st.text(max_size=80))
def test_an_event_with_any_text_in_it_is_answered(text: str) -> None:
    lists = Lists([entry("ip", "192.0.2.0/24"), entry("email_domain", "example.org"), entry("customer", "c1")])
    event = purchase(ip=text, email_domain=text, customer_id=text)
    assert not _true(lists, event) or text in ("c1",) or text.endswith("example.org") or text.startswith("192.0.2.")
