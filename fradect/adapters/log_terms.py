"""What rows are judged by beside their mapping, and whether they may join the log: the same for imports and streams."""

from pathlib import Path

from fradect.adapters.data_keys import KeyStore
from fradect.adapters.event_log import Facts
from fradect.adapters.places import Places, publishing
from fradect.adapters.vault import HomeVault
from fradect.errors import Conflict, InvalidInput, Refused
from fradect.intake import Terms, fillers
from fradect.mapping import Mapping
from fradect.modules.declaration import FieldType


def vault_for(mapping: Mapping, home: Path, keys: KeyStore | None = None) -> HomeVault | None:
    """None where nothing personal is mapped."""
    return HomeVault(home, keys) if is_personal(mapping) else None


def is_personal(mapping: Mapping) -> bool:
    return any(f.type is FieldType.PERSONAL and f.name in mapping.fields for f in mapping.module.fields)


def key_id(mapping: Mapping, home: Path) -> str | None:
    """What names the key that this mapping's personal fields are sealed under."""
    vault = vault_for(mapping, home)
    return None if vault is None else vault.key_id


def check_log(facts: Facts | None, mapping: Mapping, vault: HomeVault | None) -> None:
    """Conflict for a log of another contract or currency, Refused for one sealed under another key."""
    if facts is None:
        return
    if (facts.contract, facts.base_currency) != (mapping.contract.name, mapping.base_currency):
        raise Conflict(
            f"the log of tenant {mapping.tenant!r} holds {facts.contract} in {facts.base_currency}, mapping "
            f"{mapping.name} feeds {mapping.contract.name} in {mapping.base_currency}: name another tenant"
        )
    if vault is not None:
        check_key(facts, mapping.tenant, vault.key_id)


def check_key(facts: Facts, tenant_id: str, key_id: str) -> None:
    """Refused for a log sealed under another key than this home's, in which its customers have other names too."""
    if facts.key_id not in (None, key_id):
        raise Refused(
            f"personal fields of tenant {tenant_id!r} are sealed under another key than this home's: restore "
            "keys/vault.json"
        )


def keep_table(table: Path | None, home: Path, mapping: Mapping) -> None:
    """A service that fills the same fields must read the same table, wherever the one that was imported goes."""
    kept = _kept(home, mapping)
    if table is None or table == kept:
        return
    raw = table.read_bytes()
    if not kept.is_file() or kept.read_bytes() != raw:
        with publishing(kept) as staging:
            staging.write_bytes(raw)


def stream_terms(
    facts: Facts | None, mapping: Mapping, home: Path, folder: Path | None, keys: KeyStore | None = None
) -> Terms:
    """For a stream from a folder, or from elsewhere. Its table of ranges lies in that folder, or at the absolute path
    that the mapping names, or is the one that the last import kept."""
    vault = vault_for(mapping, home, keys)
    check_log(facts, mapping, vault)
    table = None if not mapping.lookups else _table(mapping, home, folder)
    terms = Terms(0, None, vault, fillers(mapping, table))
    keep_table(table, home, mapping)
    return terms


def _table(mapping: Mapping, home: Path, folder: Path | None) -> Path:
    named = [mapping.range_table(folder)] if folder is not None else [mapping.lookups[0].table]
    for path in (*named, _kept(home, mapping)):
        if path is not None and path.is_absolute() and path.is_file():
            return Path(path)
    raise InvalidInput(
        f"mapping {mapping.name} looks fields up in {mapping.lookups[0].table}, which is nowhere to be found: import a "
        "folder that holds it, or name it by an absolute path"
    )


def _kept(home: Path, mapping: Mapping) -> Path:
    return Places(home, mapping.module.name, mapping.tenant).ip_ranges
