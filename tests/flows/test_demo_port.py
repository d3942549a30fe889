"""The demo does not talk to somebody else's service."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def test_a_taken_port_is_told_before_any_work_is_done(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        env = {**os.environ, "FRADECT_HOME": str(tmp_path / "home"), "FRADECT_PORT": str(port)}
        fradect = str(Path(sys.executable).parent / "fradect")
        ran = subprocess.run([fradect, "demo"], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken: set FRADECT_PORT to another" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home" / "raw").exists()
