"""Personal data opens in its place under its key, and nowhere else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.adapters.vault import HomeVault
from fradect.errors import Refused
from fradect.ports import Vault


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> HomeVault:
    return HomeVault(tmp_path_factory.mktemp("home"))


TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@given(TEXTS, TEXTS)
@settings(max_examples=50)
def test_what_is_sealed_opens_in_its_place(vault: HomeVault, row: str, text: str) -> None:
    cipher = vault.seal("shop", "email", row, text)
    assert vault.open("shop", "email", row, cipher) == text
    assert cipher.startswith("v1:")
    assert cipher.isascii()
    if len(text.encode()) > 3:
        assert text not in cipher


@pytest.mark.parametrize("place", [("other", "email", "r1"), ("shop", "phone", "r1"), ("shop", "email", "r2")])
def test_a_moved_ciphertext_does_not_open(vault: HomeVault, place: tuple[str, str, str]) -> None:
    cipher = vault.seal("shop", "email", "r1", "anna@mail.example")
    with pytest.raises(Refused, match="does not open"):
        vault.open(*place, cipher)


def test_neither_does_a_changed_one_nor_one_of_another_home(vault: HomeVault, tmp_path: Path) -> None:
    cipher = vault.seal("shop", "email", "r1", "anna@mail.example")
    changed = cipher[:-2] + ("A" if cipher[-2] != "A" else "B") + cipher[-1]
    for wrong in (changed, cipher[:20], "v1:", "v2" + cipher[2:], "no cipher", "v1:###"):
        with pytest.raises(Refused):
            vault.open("shop", "email", "r1", wrong)
    with pytest.raises(Refused):
        HomeVault(tmp_path).open("shop", "email", "r1", cipher)


def test_where_one_part_ends_and_the_next_begins_is_part_of_the_place(vault: HomeVault) -> None:
    assert vault.token("ab", "c", "x") != vault.token("a", "bc", "x")
    cipher = vault.seal("shop", "email", "r1", "x")
    with pytest.raises(Refused):
        vault.open("shop", "emailr", "1", cipher)


def test_sealing_again_gives_the_same_bytes_and_other_text_other_nonces(vault: HomeVault) -> None:
    first = vault.seal("shop", "email", "r1", "anna@mail.example")
    assert vault.seal("shop", "email", "r1", "anna@mail.example") == first
    nonces = {vault.seal("shop", "email", f"r{i}", f"{i % 2}")[3:19] for i in range(500)}
    assert len(nonces) == 500


def test_tokens_find_equals_within_a_tenant_and_a_field_only(vault: HomeVault, tmp_path: Path) -> None:
    token = vault.token("shop", "email", "Anna@Mail.example")
    assert token == vault.token("shop", "email", " anna@mail.EXAMPLE ")
    others = {
        vault.token("other", "email", "anna@mail.example"),
        vault.token("shop", "full_name", "anna@mail.example"),
        vault.token("shop", "email", "anne@mail.example"),
        HomeVault(tmp_path).token("shop", "email", "anna@mail.example"),
    }
    assert len(others | {token}) == 5
    assert vault.token("shop", "phone", "+7 912 345-67-89") == vault.token("shop", "phone", "+79123456789")


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    first, again = HomeVault(tmp_path), HomeVault(tmp_path)
    assert first.key_id == again.key_id
    assert again.open("t", "f", "r", first.seal("t", "f", "r", "x")) == "x"
    key = tmp_path / "keys" / "vault.json"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert os.listdir(key.parent) == ["vault.json"]


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    HomeVault(tmp_path)
    key = tmp_path / "keys" / "vault.json"
    key.chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        HomeVault(tmp_path)
    key.chmod(0o600)
    for damage in (b"{", b'{"version":1,"key":"AAAA"}'):
        key.write_bytes(damage)
        with pytest.raises(Refused, match="restore it from a backup"):
            HomeVault(tmp_path)


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    code = "import sys, pathlib; from fradect.adapters.vault import HomeVault; "
    code += "print(HomeVault(pathlib.Path(sys.argv[1])).key_id)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    printed = {process.communicate(timeout=60)[0] for process in started}
    assert len(printed) == 1
    assert all(process.returncode == 0 for process in started)


def test_it_is_the_vault_that_the_core_asks_for(vault: HomeVault) -> None:
    asked: Vault = vault
    assert asked.token("t", "f", "x").startswith("v1_")
