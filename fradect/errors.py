"""Errors that carry what a person needs: what, where, what to do; and the HTTP status that fits them."""

from typing import ClassVar


class FradectError(Exception):
    """Base of every error that is meant for a person; the command line prints it as one line, exit code 2."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"


class InvalidInput(FradectError):
    """A field of somebody's input is wrong. The message names field, value and remedy."""

    status = 422
    type = "invalid-input"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Unauthorised(FradectError):
    """No caller could be established; the message never says why, an attacker would learn from it."""

    status = 401
    type = "unauthorised"


class NotFound(FradectError):
    """The thing named does not exist, or belongs to another tenant."""

    status = 404
    type = "not-found"


class Conflict(FradectError):
    """The request contradicts what is already stored under the same key."""

    status = 409
    type = "conflict"


class Unavailable(FradectError):
    """A part that a decision cannot be made without is gone; trying again later may succeed."""

    status = 503
    type = "unavailable"


class Uncertain(Unavailable):
    """It was asked for, and nobody can say whether it was done: ask again under the same id, which does it once."""


class Refused(FradectError):
    """A gate, a digest or a limit said no: nothing was changed."""

    status = 409
    type = "refused"
