"""Two releases laid side by side: what a person has to know before one takes the other's place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fradect import rules
from fradect.modules import module_of
from fradect.release import Release, digests
from fradect.rulebook import Rule
from fradect.rulebook.document import Content, content_of, decode


@dataclass(frozen=True, slots=True)
class Apart:
    """One difference: of which part, of what in it, and both sides in words ("" where one has none)."""

    part: str
    what: str
    was: str
    now: str


def apart(was: Release, now: Release) -> tuple[Apart, ...]:
    """Everything in which the second differs from the first; nothing at all for two of one name."""
    return (
        *_contracts(was, now),
        *_digests(was, now),
        *_rulebooks(was, now),
        *_values("policy", _plain(was.policy.to_json()), _plain(now.policy.to_json())),
        *_values("engines", dict(was.engines), dict(now.engines)),
    )


def _contracts(was: Release, now: Release) -> Iterator[Apart]:
    if was.contract == now.contract:
        return
    yield Apart("contract", "name", was.contract.name, now.contract.name)
    before, after = ({feature.name: feature for feature in one.contract} for one in (was, now))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            sides = ("" if name not in one else one[name].meaning for one in (before, after))
            yield Apart("contract", f"feature {name}", *sides)


def _digests(was: Release, now: Release) -> Iterator[Apart]:
    before, after = digests(was.parts()), digests(now.parts())
    for part, file in (("model", "model.json"), ("calibrator", "calibrator.json")):
        if before[file] != after[file]:
            yield Apart(part, "SHA-256", before[file][:16], after[file][:16])
    if was.calibrator != now.calibrator:
        yield from _values("calibrator", _plain(was.calibrator.to_json()), _plain(now.calibrator.to_json()))


def _rulebooks(was: Release, now: Release) -> Iterator[Apart]:
    if was.rulebook == now.rulebook:
        return
    before, after = _rows(was), _rows(now)
    for rule_id in dict.fromkeys([*before, *after]):
        if before.get(rule_id) != after.get(rule_id):
            yield Apart("rulebook", rule_id, before.get(rule_id, ""), after.get(rule_id, ""))


def _rows(release: Release) -> dict[str, str]:
    """Every rule in words: table, conditions as written, what it asks for."""
    book = rules.load(release.rulebook, module_of(release.module))
    cells = _cells(release.rulebook)
    return {rule.id: _said(rule, cells.get(rule.id, "always")) for rule in book.rules}


def _said(rule: Rule, conditions: str) -> str:
    asks = [f"+{rule.points} points"] if rule.points else []
    asks += [f"at least {rule.floor.name}"] if rule.floor else []
    asks += ["allows"] if rule.allow else []
    asks += [f"{rule.cautious.name} if a value is missing"] if rule.cautious else []
    return f"{rule.table}: {conditions}: {', '.join(asks) or 'asks for nothing'}; “{rule.text}”"


def _cells(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in decode(raw).tables:
        found |= _of_table(content_of(node))
    return found


def _of_table(content: Content) -> dict[str, str]:
    name = next(column.id for column in content.outputs if column.field == "id")
    return {
        row[name].strip().strip("'\""): " and ".join(
            f"{column.field} {row[column.id].strip()}" for column in content.inputs if row.get(column.id, "").strip()
        )
        for row in content.rules
    }


def _values(part: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Apart]:
    """Leaf by leaf."""
    before, after = dict(_leaves("", was)), dict(_leaves("", now))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Apart(part, name, before.get(name, ""), after.get(name, ""))


def _leaves(prefix: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from _leaves(f"{prefix}{name}.", one)
        elif name == "bands":
            for band in one:
                yield from _leaves(f"{prefix}band {band['name']}.", {k: v for k, v in band.items() if k != "name"})
        else:
            yield f"{prefix}{name}", msgspec.json.encode(one).decode() if isinstance(one, list) else str(one)


def _plain(raw: bytes) -> Mapping[str, Any]:
    return dict(msgspec.json.decode(raw))
