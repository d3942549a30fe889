"""Switches every telemetry off. Each package of ours imports `fradect`, and so this, before any other."""

import os

from fradect.settings import SILENCE

os.environ.update(SILENCE)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
