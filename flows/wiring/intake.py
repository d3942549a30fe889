"""How files get into the log."""

from pathlib import Path

from flows.progress import advance
from flows.wiring import mapping_file
from fradect.adapters.importing import ImportOptions, ImportReport, import_path
from fradect.mapping import load_mapping
from fradect.settings import Settings

__all__ = ["ImportReport", "bring_in"]


def bring_in(source: str, mapping: str, until: int | None, max_rejected: float) -> ImportReport:
    """Import a file or folder by a mapping's path or name, under FRADECT_HOME."""
    options = ImportOptions(until=until, max_rejected=max_rejected, progress=advance)
    return import_path(Path(source), load_mapping(mapping_file(mapping)), Settings.from_env().home, options)
