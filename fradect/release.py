"""A release: contract, model, calibrator, rulebook and policy, immutable, named by the hash of its parts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fradect.canary import Canary
from fradect.errors import InvalidInput, Refused
from fradect.features.contract import Contract
from fradect.policy import Policy
from fradect.scoring import Calibrator

PARTS = ("contract.json", "model.json", "calibrator.json", "rulebook.json", "policy.json", "engines.json")
CANARY = "canary.json"  # older releases have none
TYPICAL = "typical.json"
ALL_PARTS = (*PARTS, CANARY, TYPICAL)


@dataclass(frozen=True, slots=True)
class Release:
    """Everything a decision depends on. `model`: XGBoost JSON; `rulebook`: GoRules JDM; `engines`: versions.

    `canary`: rows that the model must answer as it did when it was made. `typical`: what is usual for each feature.
    """

    module: str
    contract: Contract
    model: bytes
    calibrator: Calibrator
    rulebook: bytes
    policy: Policy
    engines: Mapping[str, str]
    canary: Canary | None = None
    typical: Mapping[str, float] | None = None

    def parts(self) -> dict[str, bytes]:
        """File name to bytes: what is stored, hashed and checked."""
        optional = {} if self.canary is None else {CANARY: self.canary.to_json()}
        if self.typical is not None:
            optional[TYPICAL] = msgspec.json.encode(dict(self.typical), order="deterministic")
        return {
            "contract.json": self.contract.to_json(),
            "model.json": self.model,
            "calibrator.json": self.calibrator.to_json(),
            "rulebook.json": self.rulebook,
            "policy.json": self.policy.to_json(),
            "engines.json": msgspec.json.encode(dict(self.engines), order="deterministic"),
            **optional,
        }

    @property
    def id(self) -> str:
        return name_of(digests(self.parts()))


def digests(parts: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in sorted(parts.items())}


def name_of(parts: Mapping[str, str]) -> str:
    """The release's id from the digests of its parts: `rel_` and 16 hex digits."""
    return "rel_" + hashlib.sha256(msgspec.json.encode(dict(parts), order="deterministic")).hexdigest()[:16]


def assemble(release_id: str, parts: Mapping[str, bytes]) -> Release:
    """Parse a stored release, after its digests add up to its name; anything else is Refused unparsed."""
    missing = sorted(set(PARTS) - set(parts))
    if missing:
        raise Refused(f"release {release_id}: {', '.join(missing)} missing; train again or restore the folder")
    if name_of(digests({name: raw for name, raw in parts.items() if name in ALL_PARTS})) != release_id:
        raise Refused(f"release {release_id}: its parts do not match its name; it was changed or is damaged")
    try:
        return _parsed(parts)
    except (msgspec.MsgspecError, InvalidInput) as error:
        raise Refused(
            f"release {release_id}: it is whole, and not what this version reads ({error}); train it again"
        ) from error


def _parsed(parts: Mapping[str, bytes]) -> Release:
    contract = Contract.from_json(parts["contract.json"])
    return Release(
        module=contract.module,
        contract=contract,
        model=parts["model.json"],
        calibrator=Calibrator.from_json(parts["calibrator.json"]),
        rulebook=parts["rulebook.json"],
        policy=Policy.from_json(parts["policy.json"]),
        engines=msgspec.json.decode(parts["engines.json"], type=dict[str, str]),
        canary=Canary.from_json(parts[CANARY]) if CANARY in parts else None,
        typical=msgspec.json.decode(parts[TYPICAL], type=dict[str, float]) if TYPICAL in parts else None,
    )
