"""Mappings: what they say is understood, what they get wrong is refused before a row is read."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import fields

from fradect.errors import InvalidInput
from fradect.faults import Reason
from fradect.mapping import load_mapping, parse_mapping
from fradect.mapping_document import Column, Document
from fradect.types import DAY, OutcomeKind
from tests.adapters.factories_import import MAPPING

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "mappings").glob("*.yaml"))


def refusal(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(text, "test", Path())
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_mapping_that_ships_is_sound(path: Path) -> None:
    mapping = load_mapping(path)
    assert mapping.name == path.stem
    assert set(mapping.contract.requires) <= mapping.supplied


def test_no_shipped_mapping_reads_what_caused_the_label() -> None:
    leaks = {"handbook": "TX_FRAUD_SCENARIO", "simulator": "fraud_pattern"}
    for path in SHIPPED:
        mapping = load_mapping(path)
        assert leaks.get(path.stem, "") not in mapping.columns
    assert {path.stem for path in SHIPPED} >= {"handbook", "simulator", "ecommerce_extract"}


def test_a_mapping_says_what_it_reads() -> None:
    mapping = parse_mapping(MAPPING, "test", Path())
    assert mapping.columns == {"id", "at", "amount", "currency", "customer", "email", "phone", "fraud", "note"}
    assert mapping.supplied >= {"amount", "merchant_id", "device_id"}
    assert mapping.fields["amount"] == Column("amount")
    assert [(label.kind, label.known_after) for label in mapping.outcomes] == [(OutcomeKind.FRAUD, 7 * DAY)]
    assert mapping.rates["USD"].days == (date(2024, 1, 1), date(2024, 2, 1))
    assert mapping.rates["USD"].values == (Decimal("90.12"), Decimal("91.5"))


def test_the_hash_covers_what_is_said_not_how_it_is_laid_out() -> None:
    mapping = parse_mapping(MAPPING, "a", Path())
    assert parse_mapping("# a comment\n" + MAPPING, "b", Path()).hash == mapping.hash
    assert parse_mapping(MAPPING.replace("7d", "8d"), "a", Path()).hash != mapping.hash


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("contract: ecommerce/standard", "contract: ecommerce/other", "contract 'ecommerce/other' is unknown"),
        ("tenant: shop", "tenant: ../shop", "lower-case letters"),
        ("base_currency: RUB", "base_currency: RUR", "ISO 4217"),
        ("time_zone: UTC", "time_zone: Mars/Base", "time zone 'Mars/Base' is unknown"),
        ("  customer_id: customer", "  customer: customer", "field 'customer' is unknown"),
        ("  customer_id: customer", "  browser: customer", "requires customer_id"),
        ("merchant_id: m1", "card_token: m1", "requires merchant_id"),
        ("merchant_id: m1", "customer_id: m1", "given twice"),
        ("merchant_id: m1", "merchant_id: m1\n  email: x@y.z", "cannot be a constant"),
        ("merchant_id: m1", "merchant_id: '4111111111111111'", "card number"),
        ("merchant_id: m1", "merchant_id: no", "constants"),
        ("known_after: 7d", "known_after: a week", "no duration"),
        (", known_after: 7d", "", "say when it is known"),
        ("fraud: {column", "theft: {column", "outcome 'theft' is unknown"),
        ("ignore: [junk]", "ignore: [junk, amount]", "both mapped and ignored"),
        ("ignore: [junk]", "ignored: [junk]", "unknown field `ignored`"),
        ("ignore: [junk]", "ignore: [junk]\nignore: [id]", "written twice"),
        ("ignore: [junk]", "numeric_ids: [junk]", "not mapped"),
        ("  amount: amount", "  amount: {column: amount, unit: cents}", "choose from major, minor"),
        ("customer_id: customer", "customer_id: email", "stored in clear"),
        ("event_id: id", "event_id: phone", "stored in clear"),
        ("event_time: at", "event_time: {column: at, unit: days}", "choose from ms, ns, s, us"),
        ("  customer_id: customer", "  customer_id: {column: customer, unit: s}", "leave it out"),
        ('"90.12"', '"-1"', "above zero"),
        ('"90.12"', '"much"', "not a number"),
        ("USD:", "USX:", "ISO 4217"),
        ("time_zone: UTC", "csv: {encoding: klingon}", "encoding 'klingon' is unknown"),
        ("time_zone: UTC", "csv: {delimiter: ab}", "one sign"),
        ("time_zone: UTC", "lookups: {ip_country: {table: t.csv, from: ip}}", "from an IP field that is mapped"),
        ("  amount: amount", "  amount: amount\n  ip_place: at", "name it under lookups"),
        ("time_zone: UTC", "lookups: {ip_place: {table: t.csv, from: ip, beside: me}}", "Invalid enum value 'me'"),
        ("time_zone: UTC", "time_zone: [", "not YAML"),
    ],
)
def test_what_a_mapping_gets_wrong_is_named(old: str, new: str, words: str) -> None:
    assert old in MAPPING
    assert words in refusal(MAPPING.replace(old, new))


def test_a_mapping_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.yaml cannot be read"):
        load_mapping(tmp_path / "absent.yaml")


def test_tables_lie_beside_the_mapping_or_where_the_caller_says(tmp_path: Path) -> None:
    text = MAPPING.replace("time_zone: UTC", "lookups: {ip_country: {table: t.csv, from: ip}}")
    text = text.replace("  customer_id: customer", "  customer_id: customer\n  ip: address")
    (tmp_path / "m.yaml").write_text(text)
    assert load_mapping(tmp_path / "m.yaml").lookups[0].table == tmp_path / "t.csv"
    moved = load_mapping(tmp_path / "m.yaml", {"ip_country": Path("/elsewhere")})
    assert moved.lookups[0].table == Path("/elsewhere")
    assert moved.hash == load_mapping(tmp_path / "m.yaml").hash


def looked_up(lookups: str) -> str:
    text = MAPPING.replace("time_zone: UTC", f"lookups: {lookups}")
    return text.replace("  customer_id: customer", "  customer_id: customer\n  ip: address")


def test_a_table_may_lie_beside_what_is_imported(tmp_path: Path) -> None:
    mapping = parse_mapping(looked_up("{ip_place: {table: t.csv, from: ip, beside: source}}"), "m", tmp_path / "rules")
    assert mapping.range_table(tmp_path) == mapping.range_table(tmp_path / "rows.csv") == tmp_path / "t.csv"
    beside = parse_mapping(looked_up("{ip_place: {table: t.csv, from: ip}}"), "m", tmp_path / "rules")
    assert beside.range_table(tmp_path) == tmp_path / "rules" / "t.csv"
    assert parse_mapping(MAPPING, "m", tmp_path).range_table(tmp_path) is None


def test_country_and_place_come_from_one_table() -> None:
    both = "{{ip_country: {{table: t.csv, from: ip}}, ip_place: {{table: {}, from: ip}}}}"
    assert len(parse_mapping(looked_up(both.format("t.csv")), "m", Path()).lookups) == 2
    assert "from one table" in refusal(looked_up(both.format("other.csv")))
    assert "only a country or a place" in refusal(looked_up("{browser: {table: t.csv, from: ip}}"))
    assert "only a country or a place" in refusal(looked_up("{ip_place: {table: t.csv, from: customer_id}}"))


def test_the_documentation_names_every_key_and_every_reason() -> None:
    page = (SHIPPED[0].parents[1] / "docs" / "concepts" / "import.md").read_text()
    keys = {field.encode_name for field in fields(Document)}
    assert not [key for key in keys - {"name"} if f"`{key}`" not in page]
    assert not [reason for reason in Reason if reason.value not in page]


def test_a_tenant_says_what_its_decisions_cost_and_keeps_the_module_s_other_figures() -> None:
    own = parse_mapping(MAPPING + "\ncosts: {review_fixed: 200, margin: 0.1}\n", "own", Path())
    assert own.costs == replace(own.module.costs, review_fixed=200, margin=0.1)


@pytest.mark.parametrize("costs", ["{review_fixed: -1}", "{margin: 1.5}", "{coffee: 3}"])
def test_costs_that_cannot_be_are_refused(costs: str) -> None:
    with pytest.raises(InvalidInput, match="costs"):
        parse_mapping(f"{MAPPING}\ncosts: {costs}\n", "own", Path())
