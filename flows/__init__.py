"""The batch: one file a stage, pipeline.py first. The only door to Prefect.

Prefect reads its settings when it is imported, so what it has to know is said here, before any flow imports it.
"""

import os

from fradect.settings import Settings

_home = Settings.from_env().home / "prefect"
_home.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("PREFECT_HOME", str(_home))
# Its first start migrates a database, which takes longer than the 20 s it allows itself on a busy machine.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
