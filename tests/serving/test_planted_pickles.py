"""A pickle where a release's part should be: refused, and never run."""

import os
import pickle  # noqa: TID251  to plant one
from dataclasses import replace
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Refused
from fradect.release import ALL_PARTS
from serving.trial import in_child
from tests.factories_decision import body, toy_release
from tests.factories_pickles import pickles_in
from tests.serving.conftest import Client


class _Bomb:
    """Whoever unpickles it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._mark),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_v1_5_2_a_pickle_in_place_of_a_model_is_refused_and_never_run(
    client: Client, tmp_path: Path, protocol: int
) -> None:
    """As a changed file of the champion's, and under a name of its own that fits its bytes."""
    mark, champion = tmp_path / "exploded", client.post(body("tx")).json()["release"]
    bomb = pickle.dumps(_Bomb(mark), protocol=protocol)
    assert pickles_in(bomb), "it is one"
    store, planted = ReleasesFolder(tmp_path), toy_release("ecommerce/handbook", 301)
    for part in ALL_PARTS:
        store.save(planted)  # whole again
        store.promote("ecommerce", "demo", planted.id)
        (tmp_path / "releases" / planted.id / part).write_bytes(bomb)
        client.service._follow()
        with pytest.raises(Refused, match="do not match its name"):
            store.load(planted.id)
        assert client.post(body(f"tx_{part}")).json()["release"] == champion
    own = replace(planted, model=bomb)
    with pytest.raises(Refused):
        in_child(own)
    store.save(own)
    store.promote("ecommerce", "demo", own.id)
    client.service._follow()
    assert client.post(body("after")).json()["release"] == champion
    assert not mark.exists()
    pickle.loads(bomb)  # noqa: S301  our own
    assert mark.exists(), "it would have"
