"""A card number in any text of a request is refused at the door: the field is named, the value is not."""

import typing
from collections.abc import Iterator

import msgspec
import pytest

from serving.schemas import PurchaseRequest
from tests.factories_decision import body
from tests.serving.conftest import Client

PAN = "4111 1111-1111 1111"


def _texts(kind: type[msgspec.Struct], above: str = "") -> Iterator[str]:
    """Paths of every text that a caller can send: a new one is tried without being named here."""
    for field, hint in zip(msgspec.structs.fields(kind), typing.get_type_hints(kind).values(), strict=True):
        path = f"{above}{field.encode_name}"
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _texts(hint, f"{path}.")
        elif hint is str or str in typing.get_args(hint):
            yield path


TEXTS = tuple(_texts(PurchaseRequest))


def _with(path: str, value: str) -> dict[str, typing.Any]:
    whole: dict[str, typing.Any] = body()
    *folders, name = path.split(".")
    holder = whole
    for folder in folders:
        holder = holder.setdefault(folder, {})
    holder[name] = value
    return whole


def test_every_text_of_a_request_is_tried() -> None:
    assert len(TEXTS) >= 18
    assert {"transaction.transaction_id", "transaction.customer.phone", "context.channel"} <= set(TEXTS)


def test_a_card_number_among_other_words_is_refused_in_every_field(client: Client) -> None:
    for path in TEXTS:
        answer = client.post(json=_with(path, f"order {PAN} of Ann"))
        assert (answer.status_code, answer.json()["field"]) == (422, path), path
        assert "1111" not in answer.text, path


@pytest.mark.parametrize("own", ["1792837465019283741", "1111111111111117", "0192f1a0-4111-7111-8111-111111111111"])
def test_a_callers_own_long_numbers_are_taken(client: Client, own: str) -> None:
    ids = {"customer_id": own, "merchant_id": own, "device": {"id": own}}
    assert client.post(json=body(own, **ids)).status_code == 200
