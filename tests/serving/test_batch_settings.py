"""What an operator sets of batches is what holds."""

from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fradect.errors import InvalidInput
from fradect.jobs import Allowed, Kept
from fradect.settings import PROJECT, Settings
from fradect.types import DAY, HOUR
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body
from tests.serving.conftest import Client, promote, settings_of

SET = {
    "ROWS": "3",
    "UPLOAD_MIB": "1",
    "TENANT_MIB": "2",
    "UPLOADS": "5",
    "JOBS": "6",
    "WORKING": "7",
    "RESULT_DAYS": "8",
    "UPLOAD_HOURS": "9",
}


def test_every_bound_has_a_setting_and_the_page_names_it_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "docs" / "concepts" / "batch.md").read_text()
    usual = {"UPLOAD_MIB": 1024, "TENANT_MIB": 4096, "RESULT_DAYS": 30, "UPLOAD_HOURS": 24}
    usual |= {"ROWS": Allowed().rows, "UPLOADS": Allowed().receiving}
    usual |= {"JOBS": Allowed().unfinished, "WORKING": Allowed().working}
    assert len(SET) == len(fields(Allowed)) + len(fields(Kept))
    for name in SET:
        assert f"| `FRADECT_BATCH_{name}` | {usual[name]} |" in page
        monkeypatch.delenv(f"FRADECT_BATCH_{name}", raising=False)
    assert (Settings.from_env().batches, Settings.from_env().batches_kept) == (Allowed(), Kept())
    for name, text in SET.items():
        monkeypatch.setenv(f"FRADECT_BATCH_{name}", text)
    assert Settings.from_env().batches == Allowed(3, 1 << 20, 2 << 20, 5, 6, 7)
    assert Settings.from_env().batches_kept == Kept(8 * DAY, 9 * HOUR)
    monkeypatch.setenv("FRADECT_BATCH_ROWS", "0")
    with pytest.raises(InvalidInput, match="FRADECT_BATCH_ROWS"):
        Settings.from_env()


def test_they_hold(tmp_path: Path) -> None:
    promote(tmp_path)
    allowed = Allowed(rows=3, upload_bytes=1 << 20, unfinished=1)
    service = Service(settings_of(tmp_path, batches=allowed, batches_kept=Kept(unused_upload=2 * HOUR)))
    client = Client(create(service.start()), (tmp_path / "keys" / "api-key").read_text().strip(), service)
    kind = {"Content-Type": "application/x-ndjson"}
    sending: dict[str, Any] = {"path": "/api/v1/batch/uploads", "headers": kind}
    try:
        for content in (b"{}\n" * 4, b'{"a":"' + b"x" * (1 << 20)):
            assert client.post(content=content, **sending).status_code == 413
        sent = client.post(content=b"{}\n" * 3, **sending)
        assert (sent.status_code, sent.json()["rows"]) == (201, 3)
        made, ends = (datetime.fromisoformat(sent.json()[name]) for name in ("created_at", "expires_at"))
        assert ends - made == timedelta(hours=2)
        codes = [client.post({"items": [body(f"t{n}")]}, "/api/v1/batch/score").status_code for n in range(2)]
        assert codes == [202, 429]
    finally:
        service.close()
