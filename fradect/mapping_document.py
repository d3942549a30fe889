"""What a mapping's YAML may say: its keys and their types. Whether it makes sense, `fradect.mapping` checks."""

import hashlib
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import yaml

from fradect.errors import InvalidInput


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the source and how it writes its values.

    `unit`: of amounts `major` (default) or `minor`; of bare numbers that are times s, ms, us or ns. `format`: of
    times a strptime format; of IP addresses `number`. `values` translates single values.
    """

    column: str
    unit: str | None = None
    format: str | None = None
    time_zone: str | None = None
    values: dict[str | int, str] = {}


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that says how it turned out, and when that was known: a column, a delay, or both (the delay where
    the column is empty). Without either value a label is not yet known."""

    column: str
    known_after: str | None = None
    known_at: str | Column | None = None


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A field read from a table of IP ranges by another field. `table` is a path that starts from the mapping's
    folder, or from the folder of what is imported."""

    table: str
    key: str = msgspec.field(name="from")
    beside: Literal["mapping", "source"] = "mapping"


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How CSV files are written."""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Minor = Annotated[int, msgspec.Meta(ge=0)]


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What this tenant's decisions cost, where the module's own figures do not fit: see CostModel."""

    loss: Share | None = None
    margin: Share | None = None
    insult_fixed: Minor | None = None
    review_fixed: Minor | None = None
    review_catch: Share | None = None
    review_insult: Share | None = None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    contract: str
    tenant: str
    base_currency: str
    event_id: str | Column
    event_time: str | Column
    fields: dict[str, str | Column]
    name: str = ""
    time_zone: str = "UTC"
    observed_at: str | Column | None = None
    constants: dict[str, str] = {}
    outcomes: dict[str, Label] = {}
    lookups: dict[str, Lookup] = {}
    rates: dict[str, list[tuple[date, str | float | int]]] = {}
    ignore: tuple[str, ...] = ()
    numeric_ids: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    csv: Dialect = Dialect()
    costs: Costs = Costs()


class _Loader(yaml.SafeLoader):
    """Refuses a key written twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_document(text: str, name: str) -> Document:
    try:
        return msgspec.convert(yaml.load(text, _Loader), Document)  # noqa: S506  a SafeLoader, only stricter
    except yaml.YAMLError as error:
        raise InvalidInput(f"mapping {name} is not YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(f"mapping {name}: {error} (see docs/concepts/import.md)") from error


def hash_document(document: Document) -> str:
    """Of what the document says, not of how it is laid out."""
    plain = msgspec.to_builtins(document, str_keys=True)
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()
