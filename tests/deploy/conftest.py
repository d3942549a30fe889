"""A real nginx, where there is one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories_nginx import Nginx, program


@pytest.fixture(scope="session")
def nginx_is_here() -> None:
    """Skips where it is absent; fails where CI=true."""
    if program() is None:
        missing = "nginx is not here (Debian, Ubuntu: apt install nginx)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def nginx(nginx_is_here: None, tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Starts it over ports; stops what is still running at the end."""
    started: list[Nginx] = []

    def start(*ports: int, **options: Any) -> Nginx:
        started.append(Nginx(tmp_path / f"nginx{len(started)}", ports, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
