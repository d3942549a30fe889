"""Events and outcomes from a stream into log and live state: at least once, in effect exactly once."""

from fradect.stream.ingest import Ingest, Tools
from fradect.stream.ports import (
    DeadLetters,
    Delivery,
    Fenced,
    Kind,
    Known,
    Learnt,
    Letter,
    Message,
    Part,
    Place,
    Portion,
    Saying,
    Settled,
    Source,
    State,
    Store,
)
from fradect.stream.progress import Options, Progress

__all__ = [
    "DeadLetters",
    "Delivery",
    "Fenced",
    "Ingest",
    "Kind",
    "Known",
    "Learnt",
    "Letter",
    "Message",
    "Options",
    "Part",
    "Place",
    "Portion",
    "Progress",
    "Saying",
    "Settled",
    "Source",
    "State",
    "Store",
    "Tools",
]
