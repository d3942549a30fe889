"""Measurements of what runs: the only door to Evidently."""

import fradect as fradect
