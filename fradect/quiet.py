"""Switches off each package's telemetry, before any of them is imported: every package of ours imports `fradect` first."""

import os

from fradect.settings import SILENCE

os.environ.update(SILENCE)
