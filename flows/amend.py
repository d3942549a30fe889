"""A release with an edited rulebook, thresholds or policy: another release's parts otherwise, and no training."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from flows.evidence import Candidate, leave, recall
from flows.stage import stage
from flows.wiring import Workshop, workshop
from fradect import rules
from fradect.errors import InvalidInput, NotFound
from fradect.judgement import load
from fradect.modules.declaration import Module
from fradect.policy import Policy
from fradect.release import Release
from fradect.rulebook.examples import read_examples, try_examples

_SHOWN = 3  # of what is wrong with a rulebook, told on the one line there is


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be another. `examples`: of the rulebook, by default those beside it."""

    rulebook: Path | None = None
    examples: Path | None = None
    thresholds: tuple[int, int] | None = None
    policy: Path | None = None


@dataclass(frozen=True, slots=True)
class Amended:
    """A release made out of another."""

    release_id: str
    made_from: str
    bands: int


@stage()
def amend(module: str, tenant: str, edit: Edit, source: str | None = None) -> Amended:
    """Save the edited release; `source`: the release whose parts it takes, by default the champion.

    InvalidInput where the edit is not sound, or changes nothing.
    """
    shop = workshop(module, tenant)
    source = source or _champion(shop)
    made_from = shop.releases.load(source)
    origin = _origin(shop, source)
    edited = _edited(made_from, edit, shop.module)
    if edited.parts() == made_from.parts():
        raise InvalidInput(f"that is {source} as it is: edit the file, or give other thresholds")
    release = replace(edited, engines={name: version(name) for name in made_from.engines})
    load(release)
    shop.releases.save(release)
    now = time.time_ns() // 1000
    leave(shop.evidence(release.id), replace(origin, release_id=release.id, trained_at=now, made_from=source))
    return Amended(release.id, source, len(release.policy.bands))


def _champion(shop: Workshop) -> str:
    champion = shop.releases.champion(shop.module.name, shop.tenant)
    if champion is None:
        raise NotFound(f"tenant {shop.tenant!r} has no champion of {shop.module.name}: name a release with --from")
    return champion


def _origin(shop: Workshop, source: str) -> Candidate:
    origin = recall(shop.evidence(source), Candidate)
    if (origin.module, origin.tenant) != (shop.module.name, shop.tenant):
        raise InvalidInput(
            f"release {source} was made for {origin.tenant} ({origin.module}), not {shop.tenant}", "from"
        )
    return origin


def _edited(release: Release, edit: Edit, module: Module) -> Release:
    if edit.rulebook is None and edit.thresholds is None and edit.policy is None:
        raise InvalidInput("nothing to change: give --rulebook FILE, --thresholds REVIEW DECLINE or --policy FILE")
    policy = release.policy if edit.policy is None else _policy(release.policy, edit.policy)
    if edit.thresholds is not None:
        policy = replace(policy, review=edit.thresholds[0], decline=edit.thresholds[1])
    rulebook = release.rulebook if edit.rulebook is None else _rulebook(edit.rulebook, edit.examples, module)
    return replace(release, policy=policy, rulebook=rulebook)


def _rulebook(path: Path, examples: Path | None, module: Module) -> bytes:
    """Sound, and finding in its examples what it should."""
    raw = _read(path, "rulebook")
    _refuse(f"{path.name} is not sound", [str(problem) for problem in rules.check(raw, module)], "rules check")
    beside = examples or path.with_name(f"{path.stem}.examples.yaml")
    tried = try_examples(raw, read_examples(_read(beside, "examples")), module)
    untried = [f"no example hits {one.rule}" if not one.hit else f"no example misses {one.rule}"
               for one in tried.coverage if not one.enough]  # fmt: skip
    _refuse(f"{path.name} does not do as {beside.name} says", [*tried.failed, *untried], "rules test")
    return raw


def _refuse(what: str, wrong: Sequence[str], command: str) -> None:
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise InvalidInput(f"{what}: {'; '.join(wrong[:_SHOWN])}{more} (see `fradect {command}`)", "rulebook")


def _policy(known: Policy, path: Path) -> Policy:
    """The release's policy with the members that the file has; InvalidInput for one that there is none of."""
    plain: dict[str, Any] = msgspec.to_builtins(known)
    try:
        edits = msgspec.json.decode(_read(path, "policy"), type=dict[str, Any])
        changed = msgspec.convert(_merged(plain, edits, path.name), Policy)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name}: {error}; write it as policy.json of a release is", "policy") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{path.name}: {error}", "policy") from error
    if changed.base_currency != known.base_currency:
        raise InvalidInput(
            f"{path.name}: base_currency is {changed.base_currency}, the log's is {known.base_currency}", "policy"
        )
    return changed


def _merged(plain: Mapping[str, Any], edits: Mapping[str, Any], file: str) -> dict[str, Any]:
    unknown = sorted(edits.keys() - plain.keys())
    if unknown:
        raise InvalidInput(f"{file}: a policy has no {unknown[0]!r}; it has {', '.join(plain)}", "policy")
    return {
        name: _merged(value, edits[name], file)
        if isinstance(value, dict) and isinstance(edits.get(name), dict)
        else edits.get(name, value)
        for name, value in plain.items()
    }


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}): name a file with --{option}", option) from error
