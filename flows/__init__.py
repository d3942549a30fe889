"""The batch: one file a stage, pipeline.py first. The only door to Prefect."""

import fradect as fradect
