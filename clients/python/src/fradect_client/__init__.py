"""FRADECT's HTTP interface, typed: `Client` and `AsyncClient` over one core, and `webhooks` for receivers."""

from fradect_client.aio import AsyncClient
from fradect_client.calls import Filter
from fradect_client.client import Client
from fradect_client.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    FradectError,
    InvalidArgument,
    InvalidInput,
    NotFound,
    NotGenuine,
    Problem,
    ProblemError,
    RateLimited,
    StillProcessing,
    TooLarge,
    Unauthorised,
    Unavailable,
    UnexpectedAnswer,
)
from fradect_client.retries import NO_RETRY, Retry
from fradect_client.types import Address, Answer, Card, Customer, Decision, Device, Job, RowResult, Transaction, Webhook
from fradect_client.webhooks import Message, receive, verify

__all__ = [
    "NO_RETRY",
    "Address",
    "Answer",
    "AsyncClient",
    "BadRequest",
    "Card",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Customer",
    "Decision",
    "Device",
    "Filter",
    "Forbidden",
    "FradectError",
    "InvalidArgument",
    "InvalidInput",
    "Job",
    "Message",
    "NotFound",
    "NotGenuine",
    "Problem",
    "ProblemError",
    "RateLimited",
    "Retry",
    "RowResult",
    "StillProcessing",
    "TooLarge",
    "Transaction",
    "Unauthorised",
    "Unavailable",
    "UnexpectedAnswer",
    "Webhook",
    "receive",
    "verify",
]
