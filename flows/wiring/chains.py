"""The ledger's chains, verified where the settings say the ledger is."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from fradect.adapters.ledger_verify import Checked, End
from fradect.adapters.ledger_verify import verify as verified
from fradect.errors import InvalidInput
from fradect.settings import Settings

__all__ = ["Checked", "End", "check"]


class _Kept(msgspec.Struct):
    ends: tuple[End, ...]


def check(url: str | None, kept: Path | None, tell: Callable[[int, int], None]) -> Checked:
    """Of the ledger at a URL, or the installation's; InvalidInput when `kept` is not what `--json` wrote."""
    return verified(url or Settings.from_env().ledger_url, () if kept is None else _ends(kept), tell)


def _ends(kept: Path) -> tuple[End, ...]:
    try:
        ends = msgspec.json.decode(kept.read_bytes(), type=_Kept).ends
        for end in ends:
            bytes.fromhex(end.row_hash)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--kept {kept}: give a file that an earlier --json wrote ({error})", "kept") from error
    return ends
