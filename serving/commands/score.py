"""`fradect score`."""

from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from fradect.errors import InvalidInput, Unavailable
from fradect.settings import Settings

_COLOUR = {"APPROVE": "green", "REVIEW": "yellow", "DECLINE": "red"}


def score(
    file: Annotated[Path, typer.Argument(help="A request in JSON, as POST /api/v1/ecommerce/score takes it.")],
    tenant: Annotated[str, typer.Option(help="Whose key to use, of those under FRADECT_HOME/keys.")] = "demo",
    url: Annotated[str | None, typer.Option(help="The service; default: FRADECT_HOST and FRADECT_PORT.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the answer to this file as well.")] = None,
) -> None:
    """Send one purchase to the running service and show its decision and factors."""
    settings = Settings.from_env()
    where = url or f"http://{settings.host}:{settings.port}"
    headers = {"X-API-Key": _key(settings.home / "keys", tenant), "Content-Type": "application/json"}
    try:
        answer = httpx.post(
            f"{where}/api/v1/ecommerce/score", content=_body(file), headers=headers, timeout=10, trust_env=False
        )
    except httpx.TransportError as error:
        raise Unavailable(f"no service answers at {where}: start it with `fradect serve`") from error
    if answer.status_code != 200:
        problem = answer.json()
        raise InvalidInput(f"{answer.status_code} {problem['title']}: {problem.get('detail', '')}")
    if json is not None:
        json.write_bytes(answer.content)
    _show(answer.json())


def _key(folder: Path, tenant: str) -> str:
    for name in (f"api-key-{tenant}", "api-key"):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    raise InvalidInput(f"no API key under {folder}: `fradect serve` makes one once a release is champion")


def _body(file: Path) -> bytes:
    try:
        raw = file.read_bytes()
        msgspec.json.decode(raw)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}): give a file with a request in JSON") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{file} is not JSON ({error}): see README.md for a request") from error
    return raw


def _show(answer: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("points", "why", "from"):
        table.add_column(column, justify="right" if column == "points" else "left")
    for factor in answer["factors"]:
        table.add_row(f"{factor['points']:+d}", factor["text"], factor["source"])
    colour = _COLOUR[answer["decision"]]
    title = f"[{colour} bold]{answer['decision']}[/] score {answer['score']} in {answer['processing_time_ms']} ms"
    console = Console()
    console.print(Panel(table, title=title, title_align="left", expand=False))
    console.print(f"decision {answer['decision_id']}, release {answer['release']}", style="dim")
    if answer["degraded"]:
        console.print(f"made without: {', '.join(answer['degraded'])}", style="yellow")
