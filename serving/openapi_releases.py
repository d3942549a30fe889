"""Releases described for machines."""

from typing import Any

from fradect.modules import MODULES
from serving.openapi_parts import BODY_PROBLEMS, answers, json_of
from serving.release_schemas import ApprovalRequest, RollbackRequest, RolloutOut, RolloutsOut
from serving.releases import HIGHEST, MOST, USUAL

RELEASE_TYPES = (RollbackRequest, ApprovalRequest, RolloutOut, RolloutsOut)

_AWAY = {503: "The store of releases does not answer; look at the rollout, then try again"}
_NOBODY = {404: "No release decides for the tenant yet"}
_READ_PROBLEMS = {**_AWAY, 422: "A parameter is not valid, or unknown"}
_MOVE_PROBLEMS = {**BODY_PROBLEMS, **_AWAY, **_NOBODY, 422: "A value is not valid"}
_MODULE = {
    "name": "module",
    "in": "query",
    "description": "The kind of risk",
    "schema": {"type": "string", "enum": list(MODULES), "default": next(iter(MODULES))},
}
_PAGES = (
    {
        "name": "limit",
        "in": "query",
        "description": "At most so many",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    },
    {
        "name": "before",
        "in": "query",
        "description": "Only those with a lower number: the `next` of the page before",
        "schema": {"type": "integer", "minimum": 1, "maximum": HIGHEST},
    },
)


def release_paths() -> dict[str, Any]:
    root = "/api/v1/releases"
    return {
        f"{root}/rollout": {"get": _rollout()},
        f"{root}/history": {"get": _history()},
        f"{root}/rollback": {"post": _roll_back()},
        f"{root}/approval": {"post": _approval()},
    }


def _rollout() -> dict[str, Any]:
    return {
        "operationId": "showRollout",
        "summary": "Who decides, who is tried beside it and on what share, since when, and what waits for whom.",
        "parameters": [_MODULE],
        "responses": answers("The rollout", "RolloutOut", {**_READ_PROBLEMS, **_NOBODY}),
    }


def _history() -> dict[str, Any]:
    return {
        "operationId": "listRollouts",
        "summary": "Every step of the tenant's releases, the newest first: what, by whom, why.",
        "parameters": [_MODULE, *_PAGES],
        "responses": answers("A page of it", "RolloutsOut", _READ_PROBLEMS),
    }


def _roll_back() -> dict[str, Any]:
    conflict = "There is nothing to go back to, `release` is not the one to give way, or somebody moved it meanwhile"
    return {
        "operationId": "rollBack",
        "summary": "Withdraw the challenger; where none is tried, make the champion before champion again.",
        "description": (
            "One person is enough. It is in force in the process that answers, and within half a second in all others "
            "of the home; no decision is lost. Name `release`, so that asking again after a lost answer goes no "
            "further back."
        ),
        "requestBody": {"required": True, "content": json_of("RollbackRequest")},
        "responses": answers("Who decides now", "RolloutOut", {**_MOVE_PROBLEMS, 409: conflict}),
    }


def _approval() -> dict[str, Any]:
    conflict = (
        "That release does not wait for a second person, you asked for the step yourself, or it went on meanwhile"
    )
    return {
        "operationId": "sayToProposal",
        "summary": "Approve the step that waits for a second person, or refuse it.",
        "description": (
            "Read the card first: `proposed.card` of the rollout. Who asked for the step, or began the trial, cannot "
            "approve it. An approved step is taken at the next look at its evidence, as long as its gates still pass; "
            "a refused one withdraws the challenger at once."
        ),
        "requestBody": {"required": True, "content": json_of("ApprovalRequest")},
        "responses": answers("How it stands now", "RolloutOut", {**_MOVE_PROBLEMS, 409: conflict}),
    }
