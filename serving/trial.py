"""A release tried in a process of its own: what breaks there, hangs or lies never gets near the service."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from fradect.errors import FradectError, Refused, Unavailable
from fradect.judgement import load
from fradect.release import Release, assemble
from fradect.trial import examine
from serving.child import bound, started

SECONDS = 30.0
AGAIN_SECONDS = 60.0  # until a release that broke its process is tried once more: the machine may have been at fault
_MEMORY = 512 << 20
_MEMORY_PER_BYTE = 40  # of the release: XGBoost's JSON takes some 20 as it is parsed
# XGBoost would import scikit-learn and pandas, which are two thirds of a second and of no use here.
_BOOT = """
import sys
sys.modules.update(sklearn=None, pandas=None)
from serving.trial import main
main()
"""

Trial = Callable[[Release], tuple[float, ...]]


class _Asked(msgspec.Struct, frozen=True):
    release_id: str
    parts: dict[str, bytes]


class _Said(msgspec.Struct, frozen=True):
    """Either the probabilities of the canary rows or why there are none."""

    probabilities: tuple[float, ...] = ()
    refused: str = ""


def in_child(release: Release, seconds: float = SECONDS) -> tuple[float, ...]:
    """The probabilities of its canary rows (see fradect.trial), as another process computed them.

    Refused when the release does not do; Unavailable when the process did not come to an end that says so.
    """
    asked = msgspec.msgpack.encode(_Asked(release.id, release.parts()))
    try:
        ended = subprocess.run(**started(_BOOT), input=asked, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"its trial did not end within {seconds:g} s") from error
    return _understood(ended)


def _understood(ended: "subprocess.CompletedProcess[bytes]") -> tuple[float, ...]:
    try:
        said = msgspec.msgpack.decode(ended.stdout, type=_Said)
    except msgspec.DecodeError as error:
        raise Unavailable(f"its trial ended with code {ended.returncode} and no verdict") from error
    if said.refused or ended.returncode:
        raise Refused(said.refused or f"its trial ended with code {ended.returncode}")
    return said.probabilities


def in_this_process(release: Release) -> tuple[float, ...]:
    """The same without the shelter."""
    return examine(load(release), release.canary)


def main() -> None:
    """The child: a release on standard input, the verdict on standard output."""
    raw = sys.stdin.buffer.read()
    bound(_MEMORY + _MEMORY_PER_BYTE * len(raw))
    asked = msgspec.msgpack.decode(raw, type=_Asked)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_verdict(asked)))


def _verdict(asked: _Asked) -> _Said:
    try:
        return _Said(in_this_process(assemble(asked.release_id, asked.parts)))
    except FradectError as error:
        return _Said(refused=str(error))
    except Exception as error:  # noqa: BLE001  whatever a damaged part makes its parser raise, it is the verdict
        return _Said(refused=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}")


@dataclass(frozen=True, slots=True)
class _Verdict:
    probabilities: tuple[float, ...] | None
    reason: str
    until: float


class Trials:
    """Each release is tried once: its bytes are its name, so the verdict stands; a broken trial is repeated later."""

    def __init__(self, trial: Trial = in_child) -> None:
        self._trial = trial
        self._verdicts: dict[str, _Verdict] = {}

    def of(self, release: Release) -> tuple[float, ...]:
        """The probabilities of its canary rows. Refused with what the trial said against it."""
        verdict = self._verdicts.get(release.id)
        if verdict is None or verdict.until < time.monotonic():
            verdict = self._verdicts[release.id] = self._tried(release)
        if verdict.probabilities is None:
            raise Refused(verdict.reason)
        return verdict.probabilities

    def _tried(self, release: Release) -> _Verdict:
        try:
            return _Verdict(self._trial(release), "", float("inf"))
        except Unavailable as error:
            return _Verdict(None, str(error), time.monotonic() + AGAIN_SECONDS)
        except FradectError as error:
            return _Verdict(None, str(error), float("inf"))
