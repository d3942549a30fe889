"""Settles what packages read as they are imported. Each package of ours imports `fradect`, and so this, first.

Telemetry is switched off. OpenMP's threads sleep while they wait: by default they spin, and where others use the
cores too XGBoost then takes six times as long.
"""

import os

from fradect.settings import SILENCE

os.environ.update(SILENCE)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
