"""Imported first by every process: switches off each package's telemetry before that package is imported."""

import os

from fradect.settings import SILENCE

os.environ.update(SILENCE)
