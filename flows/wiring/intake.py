"""How files get into the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flows.progress import advance
from flows.wiring import mapping_file
from flows.wiring.compacting import beside_sql
from flows.wiring.storage import working
from fradect.adapters.importing import ImportOptions, ImportReport, import_from
from fradect.adapters.s3_supply import spooled
from fradect.adapters.supply import FolderSupply, Supply
from fradect.errors import InvalidInput
from fradect.mapping import Mapping, load_mapping
from fradect.objects import SCHEME, shown
from fradect.settings import S3Access, Settings

__all__ = ["ImportReport", "bring_in"]


def bring_in(source: str, mapping: str, until: int | None, max_rejected: float) -> ImportReport:
    """Import a file, a folder or what an s3:// URL names by a mapping's path or name, under FRADECT_HOME."""
    loaded = load_mapping(mapping_file(mapping))
    home = Settings.from_env().home
    asked = ImportOptions(until=until, max_rejected=max_rejected, progress=advance)
    with (
        working(loaded.module.name, loaded.tenant),
        beside_sql(loaded, asked) as options,
        _supply(source, loaded, home) as supply,
    ):
        return import_from(supply, loaded, home, options)


@contextmanager
def _supply(source: str, mapping: Mapping, home: Path) -> Iterator[Supply]:
    if source.startswith(SCHEME):
        tables = [str(lookup.table) for lookup in mapping.lookups[:1] if not lookup.table.is_absolute()]
        with spooled(source, S3Access.from_env(), home, tables) as supply:
            yield supply
        return
    scheme, _, rest = source.partition("://")
    if rest and scheme != "file":
        raise InvalidInput(f"{shown(source)!r}: give a path, file:///path or s3://bucket/path")
    yield FolderSupply(Path(unquote(urlsplit(source).path)) if rest else Path(source))
