"""`fradect ingest`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MAPPING
from flows.progress import shown
from flows.stream import WAIT
from flows.stream import stream as run_stream
from flows.wiring.streams import Asked, refused_at

STREAM = typer.Option(
    help="kafka://host:port[,host:port]/topic?group=G&outcomes=TOPIC&config=FILE, or a folder that is filled: a path "
    "or file:///path. config names a file of librdkafka settings, such as security.protocol and sasl.password."
)
OUTCOMES = typer.Option(help="The Kafka topic of outcomes; of a folder they lie in its sub folder outcomes/.")
ONCE = typer.Option(help="Stop when everything that is there has been taken, for schedules.")
PATIENCE = typer.Option(min=0, help="With --once: seconds to wait for a broker, database or live state that is away.")


def ingest(  # noqa: PLR0913, PLR0917  one option each
    stream: Annotated[str, STREAM],
    mapping: Annotated[str, MAPPING],
    outcomes: Annotated[str | None, OUTCOMES] = None,
    once: Annotated[bool, ONCE] = False,
    wait: Annotated[float, PATIENCE] = WAIT,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Take events and outcomes from a stream as they come, into log and live state.

    Events are JSON objects, one a message, or rows of Parquet, CSV and JSON-lines files.
    The mapping reads them as it reads files for `fradect import`.

    A message that cannot be taken is tried five times and then goes to the topic <topic>.dead.
    A row of a file goes to quarantine. Each has its reason with it, and nothing else waits.

    An outcome may come before its event:
    {"event_id": "t1", "kind": "fraud", "value": true, "known_at": "2026-01-31T12:00:00Z"}

    Where to go on is stored with the data: stopping, by Ctrl-C, SIGTERM or a crash, loses and doubles nothing.
    Several processes of one group share the partitions. More in docs/concepts/streams.md.

    [bold]fradect ingest --stream kafka://localhost:9092/purchases?outcomes=verdicts --mapping simulator[/bold]

    [bold]fradect ingest --stream inbox/ --mapping simulator --once[/bold]
    """
    with shown():
        done = run_stream(stream, mapping, outcomes, once, wait)
    rows = [(words, f"{getattr(done, name):,}") for name, words in _WORDS.items()]
    rows += [(f"refused: {reason}", f"{count:,}") for reason, count in sorted(done.reasons.items())]
    rows.append(("left behind", "not known" if done.behind is None else f"{done.behind:,}"))
    Console().print(screen.table("Taken", ("", "rows"), rows))
    if done.dead:
        where = refused_at(Asked(stream, mapping, outcomes))
        Console().print(f"What was refused, with its reason: {where}", soft_wrap=True)
    lag = {f"{topic}/{part}": lag for (topic, part), lag in done.lag.items()}
    counts = {name: getattr(done, name) for name in (*_WORDS, "reasons", "behind")}
    screen.leave_json(json, {**counts, "lag": lag})


_WORDS = {
    "events": "new events",
    "outcomes": "new outcomes",
    "repeated": "had come before",
    "waiting": "outcomes that wait for their event",
    "dead": "refused",
}
