"""The scoring service: the only door to BentoML."""

import os

import fradect as fradect

if os.environ.get("FRADECT_WORKERS", "") in ("", "1"):
    # BentoML has every worker count in files that others can read; one that is alone counts at a fifth of the cost.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
