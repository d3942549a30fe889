"""Where the tour takes place: nowhere that anybody works in."""

import os
import shutil
import socket
from pathlib import Path

from fradect.errors import Refused

MARK = ".tour"


def move_in(home: Path) -> None:
    """A fresh home and a free port for this process and those it starts, and nothing of how the machine's own
    installation is set up. What a former tour left there goes; Refused for any other folder that holds something."""
    home = home.expanduser().resolve()
    is_ours = (home / MARK).is_file()
    if home.exists() and not is_ours and (not home.is_dir() or any(home.iterdir())):
        raise Refused(f"{home} is no home of a former tour: name an empty folder with --home")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).write_text("A tour's home: the next tour begins by removing it.\n")
    for name in [name for name in os.environ if name.startswith("FRADECT_")]:
        del os.environ[name]
    with socket.create_server(("127.0.0.1", 0)) as free:
        os.environ |= {"FRADECT_HOME": str(home), "FRADECT_PORT": str(free.getsockname()[1])}
