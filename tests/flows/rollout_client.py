"""A look at a challenger in a process that dies on the way."""

import os

from flows import promote, rollout
from fradect.crash import armed


def look_and_die(home: str, release_id: str, point: str) -> None:
    os.environ["FRADECT_HOME"] = home
    for module in (rollout, promote):
        vars(module)["crash_point"] = armed(point)
    rollout.look("ecommerce", "demo", release_id)
