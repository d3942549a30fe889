"""A release's name is the hash of its parts: any other part is another release, any damage is refused."""

from dataclasses import replace

import pytest

from fradect.errors import Refused
from fradect.modules import contract_of
from fradect.policy import Policy
from fradect.release import PARTS, assemble, digests, name_of
from fradect.scoring import Calibrator
from tests.factories_decision import toy_release

RELEASE = toy_release()


def test_parts_come_back_as_the_same_release() -> None:
    assert assemble(RELEASE.id, RELEASE.parts()) == RELEASE
    assert set(RELEASE.parts()) == set(PARTS)


@pytest.mark.parametrize(
    "other",
    [
        replace(RELEASE, model=RELEASE.model + b" "),
        replace(RELEASE, calibrator=Calibrator(1.0, 1e-300)),
        replace(RELEASE, rulebook=RELEASE.rulebook + b"\n"),
        replace(RELEASE, policy=Policy(301, 700, "RUB", RELEASE.policy.costs)),
        replace(RELEASE, engines={"xgboost": "other"}),
        replace(RELEASE, contract=contract_of("ecommerce/handbook")),
    ],
)
def test_any_other_part_is_another_release(other: object) -> None:
    assert getattr(other, "id") != RELEASE.id  # noqa: B009  the parameters are of one type, told apart by a part


def test_the_order_of_engines_makes_no_difference() -> None:
    one, two = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert replace(RELEASE, engines=one).id == replace(RELEASE, engines=two).id


def test_a_missing_part_is_named() -> None:
    parts = RELEASE.parts()
    del parts["policy.json"], parts["model.json"]
    with pytest.raises(Refused, match=r"model\.json, policy\.json missing"):
        assemble(RELEASE.id, parts)


def test_parts_of_another_release_are_refused_unparsed() -> None:
    parts = RELEASE.parts() | {"calibrator.json": b"not even JSON"}
    with pytest.raises(Refused, match="do not match its name"):
        assemble(RELEASE.id, parts)


def test_the_name_is_sixteen_hex_digits_of_the_parts() -> None:
    assert RELEASE.id == name_of(digests(RELEASE.parts()))
    assert len(RELEASE.id) == 20


@pytest.mark.parametrize(("part", "raw"), [("contract.json", b'{"name":1}'), ("policy.json", b'{"review":900}')])
def test_one_that_this_version_does_not_read_is_told_as_such(part: str, raw: bytes) -> None:
    parts = {**RELEASE.parts(), part: raw}
    with pytest.raises(Refused, match="not what this version reads"):
        assemble(name_of(digests(parts)), parts)
