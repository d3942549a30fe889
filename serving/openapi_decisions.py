"""The list of decisions described for machines."""

from typing import Any

from fradect.types import Action
from serving.decision_list import MOST, OUTCOMES, USUAL, DecisionsOut
from serving.openapi_parts import answers
from serving.schemas import DAY, PRINTED, TIME

LIST_TYPES = (DecisionsOut,)

_TEXT = {"type": "string", "minLength": 1, "maxLength": 256, **PRINTED}
_TIME = {"type": "string", "anyOf": [TIME, DAY]}
_SCORE = {"type": "integer", "minimum": 0, "maximum": 1000}
_FILTERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("module", _TEXT, "Only of this kind of risk"),
    ("decision", {"type": "string", "enum": list(Action.__members__)}, "Only with this decision"),
    ("from", _TIME, "Only made at this time or later; a bare day is its midnight in UTC; not later than `to`"),
    ("to", _TIME, "Only made before this time; a bare day is its midnight in UTC"),
    ("outcome", {"type": "string", "enum": list(OUTCOMES)}, "Only with this outcome; `none`: nothing was told yet"),
    ("min_score", _SCORE, "Only of this score or more; not above `max_score`"),
    ("max_score", _SCORE, "Only of this score or less"),
    ("customer_id", _TEXT, "Only about purchases of this customer"),
    ("release", _TEXT, "Only made by this release"),
    ("degraded", {"type": "boolean"}, "Only made without some part, or only whole ones"),
    ("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}, "At most so many"),
    ("cursor", _TEXT, "The `next` of the page before, with the same filters"),
)


def list_decisions() -> dict[str, Any]:
    problems = {422: "A parameter is not valid, or unknown", 503: "The ledger does not answer; try again"}
    return {
        "operationId": "listDecisions",
        "summary": "Decisions, the newest first, a page at a time.",
        "description": (
            "What is decided while you read comes before the first page and moves none. Go on until `next` is null: "
            "a page looks at 20,000 decisions at most and may have fewer than `limit`, or none."
        ),
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
            for name, schema, text in _FILTERS
        ],
        "responses": answers("A page", "DecisionsOut", problems),
    }
