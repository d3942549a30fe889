"""Imports that are killed, starved of memory, or handed what must never be written down."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fradect.adapters.event_log import EventLog
from fradect.adapters.importing import ImportOptions, import_path
from fradect.adapters.vault import HomeVault
from tests.adapters.factories_import import MAPPING, row, rows, rules, shop_log, snapshot, write_csv, write_parquet

NOW = 1_709_337_600_000_000

IMPORT = """
import json, os, resource, signal, sys
from pathlib import Path
from fradect.adapters.importing import ImportOptions, import_path
from fradect.mapping import load_mapping

replace = Path.replace

def dying(count):
    left = [count]
    def replace_or_die(self, target):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return replace(self, target)
    return replace_or_die

for source, home, die_at, memory_mb in json.loads(sys.argv[2]):
    child = os.fork()
    if not child:
        Path.replace = dying(die_at)
        options = ImportOptions(max_rejected=0.5, now=1709337600000000, memory_mb=memory_mb)
        try:
            import_path(Path(source), load_mapping(Path(sys.argv[1])), Path(home), options)
            os._exit(0)
        finally:
            os._exit(1)
    _, status, usage = os.wait4(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024]))
"""


def children(tmp_path: Path, *imports: tuple[Path, Path, int, int]) -> list[tuple[int, int]]:
    """Imports (source, home, die_at, memory_mb) in processes of their own, each of which kills itself before its
    `die_at`-th renaming (-1: never). Their exit codes and peaks of memory in megabytes."""
    (tmp_path / "shop.yaml").write_text(MAPPING)
    jobs = json.dumps([[str(source), str(home), die_at, memory] for source, home, die_at, memory in imports])
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "shop.yaml"), jobs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(code in (0, -signal.SIGKILL) for code, _ in said), done.stderr
    return [(code, peak) for code, peak in said]


def visible(home: Path) -> int:
    """How many events anybody sees who only looks for files."""
    return sum(pq.read_metadata(path).num_rows for path in (shop_log(home).folder / "events").glob("*.parquet"))


def test_a_killed_import_leaves_the_old_log_or_the_new_one(tmp_path: Path) -> None:
    lines = [*rows(*range(40)), row(1), row(50, amount="-1")]
    sources = [write_csv(tmp_path / "a.csv", rows(100, 101)), write_csv(tmp_path / "b.csv", lines)]
    homes = [tmp_path / f"home{i}" for i in range(7)]
    for home in homes:
        HomeVault(home)
        (home / "keys" / "vault.json").write_bytes((homes[0] / "keys" / "vault.json").read_bytes())
        import_path(sources[0], rules(), home, ImportOptions(now=NOW))
    before = snapshot(homes[0])
    import_path(sources[1], rules(), homes[0], ImportOptions(max_rejected=0.5, now=NOW))
    after = snapshot(homes[0])
    seen = []
    ended = children(tmp_path, *((sources[1], home, die_at, 512) for die_at, home in enumerate(homes[1:])))
    for (code, _), home in zip(ended, homes[1:], strict=True):
        assert visible(home) in (2, 42)
        facts = shop_log(home).facts()
        assert facts is not None
        assert facts.highest_seq == visible(home)
        assert snapshot(home) == (after if facts.highest_seq == 42 else before)
        import_path(sources[1], rules(), home, ImportOptions(max_rejected=0.5, now=NOW))
        assert snapshot(home) == after
        seen.append((code, facts.highest_seq))
    killed = -signal.SIGKILL
    # Quarantine, outcomes, origins, events, log.json: only then is it finished without being killed.
    assert seen == [(killed, 2), (killed, 2), (killed, 2), (killed, 2), (killed, 42), (0, 42)]


def test_what_a_killed_import_staged_is_cleaned_by_the_next_reader(tmp_path: Path) -> None:
    home = tmp_path / "home"
    children(tmp_path, (write_csv(tmp_path / "a.csv", rows(*range(5))), home, 0, 512))
    assert (shop_log(home).folder / "staging").exists()
    assert shop_log(home).facts() is None
    assert sorted(os.listdir(shop_log(home).folder)) == [".lock", "events", "origins", "outcomes"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Eight times the rows, every id different and the times out of order, and no more than the allocator's noise."""
    sources = [many_rows(tmp_path / f"{count}.csv", count) for count in (150_000, 1_200_000)]
    homes = [tmp_path / source.stem for source in sources]
    (_, small), (_, large) = children(tmp_path, *((s, h, -1, 64) for s, h in zip(sources, homes, strict=True)))
    assert [shop_log(home).count() for home in homes] == [150_000, 1_200_000]
    assert large - small < 150, (small, large)  # held whole, a million rows more would be 200 MB and up


def many_rows(path: Path, count: int) -> Path:
    with path.open("w") as file:
        file.write(",".join(row(0)) + "\n")
        for i in range(count):
            day, minute = i * 7919 % 28 + 1, i * 104_729 % 1440
            at = f"2024-02-{day:02}T{minute // 60:02}:{minute % 60:02}:{i % 60:02}"
            file.write(f"t{i * 2_654_435_761 % 2**32:08x}z{i},{at},{i % 900}.50,RUB,c{i % 5000},,,0,some source\n")
    return path


SECRETS = {
    "email": "canary.email@secret.example",
    "phone": "+79990001122",
    "customer": "c1",
    "note": "ads",
}
CARD = "5555 5555 5555 4444"


def test_no_personal_value_and_no_card_number_is_in_any_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    lines = [
        row(1, **SECRETS),
        row(2, **SECRETS),
        row(2, **SECRETS),
        row(3, **SECRETS | {"note": CARD}),
        row(4, **SECRETS | {"email": CARD}),
        row(5, **SECRETS | {"amount": SECRETS["email"]}),
        row(6, **SECRETS | {"id": SECRETS["email"], "amount": "-1"}),
        row(7, **SECRETS | {"currency": SECRETS["phone"]}),
        row(8, **SECRETS | {"at": CARD}),
    ]
    write_csv(tmp_path / "in" / "a.csv", lines)
    write_parquet(tmp_path / "in" / "b.parquet", [row(9, **SECRETS)])
    broken = write_csv(tmp_path / "in" / "c.csv", [row(10, **SECRETS)])
    broken.write_text(broken.read_text().replace("customer", "email"))
    import_path(tmp_path / "in", rules(), home, ImportOptions(max_rejected=1.0, now=NOW))
    kept = b"".join(_clear(path) for path in home.rglob("*") if path.is_file())
    said = "".join(capfd.readouterr()).encode()
    for secret in ("canary", "9990001122", "5555 5555", "5555555555554444"):
        assert secret.encode() not in kept + said, secret
    stored = pq.read_table(shop_log(home).folder / "events").to_pylist()
    assert len(stored) == 3
    assert {row["email_domain"] for row in stored} == {"secret.example"}  # of an address the domain alone is kept
    vault = HomeVault(home)
    assert {vault.open("shop", "email", e["event_id"], e["email_cipher"]) for e in stored} == {SECRETS["email"]}
    assert {e["phone_token"] for e in stored} == {vault.token("shop", "phone", SECRETS["phone"])}


def _clear(path: Path) -> bytes:
    """A file's bytes, and those of the values that Parquet compresses."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    return path.read_bytes() + json.dumps(pq.read_table(path).to_pylist(), default=str).encode()


def test_a_log_is_read_while_an_import_is_under_way(tmp_path: Path) -> None:
    home = tmp_path / "home"
    import_path(write_csv(tmp_path / "a.csv", rows(1)), rules(), home, ImportOptions(now=NOW))
    with shop_log(home).importing() as staging:
        facts = EventLog(home, "ecommerce", "shop").facts()
        assert facts is not None
        assert facts.highest_seq == 1
        assert staging.exists()
