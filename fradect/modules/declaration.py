"""What a module declares: its vocabulary, entities, contracts, costs and protected attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fradect.features.contract import Contract


class FieldType(StrEnum):
    ID = "id"  # text, kept as it is, never a number
    CATEGORY = "category"
    MONEY = "money"  # becomes int64 minor units
    CURRENCY = "currency"
    COUNTRY = "country"  # ISO 3166 alpha-2
    TIME = "time"
    NUMBER = "number"
    IP = "ip"
    PLACE = "place"  # a cell of the globe (fradect/features/globe.py), int64, null where unknown
    DOMAIN = "domain"  # of an e-mail address, in small letters
    PERSONAL = "personal"  # becomes <name>_token and <name>_cipher; the clear text is never stored


@dataclass(frozen=True, slots=True)
class Field:
    """One canonical field of an event.

    `protected` ones are audited for fairness and never a feature. `of`: a DOMAIN is taken from that personal field
    before it is sealed. Without a `required` one nothing is decided.
    """

    name: str
    type: FieldType
    meaning: str
    protected: bool = False
    of: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a decision costs, in shares of the event's amount and minor units of the base currency.

    `loss`: share of the amount lost when fraud is approved. `margin`: share lost when an honest event is
    declined (the insult), `insult_fixed` on top of it. `review_fixed`: an analyst's time. `review_catch`:
    share of fraud that a review stops; `review_insult`: share of honest events that a review loses.
    """

    loss: float
    margin: float
    insult_fixed: int
    review_fixed: int
    review_catch: float
    review_insult: float


@dataclass(frozen=True, slots=True)
class Module:
    """A kind of risk. `entities` maps an entity to the field that identifies it; `lists` what allow and deny lists can
    hold to the field that is looked for there."""

    name: str
    fields: tuple[Field, ...]
    entities: Mapping[str, str]
    contracts: tuple[Contract, ...]
    rulebook: str  # file name in rulebooks/
    costs: CostModel
    lists: Mapping[str, str] = field(default_factory=dict)
    subject: str = "transaction"  # what an event of this module is called where decisions are told

    @property
    def columns(self) -> dict[str, FieldType]:
        """Every column of a canonical event beside identity and times, with its type."""
        columns: dict[str, FieldType] = {}
        for one in self.fields:
            if one.type is FieldType.PERSONAL:
                columns[f"{one.name}_token"] = FieldType.ID
                columns[f"{one.name}_cipher"] = FieldType.ID
            else:
                columns[one.name] = one.type
        columns["amount_base"] = FieldType.MONEY
        return columns

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of what lists say of an event."""
        return tuple(f"{side}_{kind}" for kind in self.lists for side in ("allow", "deny"))

    @property
    def taken(self) -> tuple[tuple[str, str], ...]:
        """Fields that are taken from personal ones, each with that one."""
        return tuple((one.name, one.of) for one in self.fields if one.of is not None)

    @property
    def protected(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.fields if one.protected)

    def field(self, name: str) -> Field | None:
        return next((one for one in self.fields if one.name == name), None)
