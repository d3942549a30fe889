"""What tests of the decision share."""

from collections.abc import Iterator

import pytest

from tests.factories_bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for thread in bench.threads:
        thread.close()
