"""What is compared with a secret, or with what a secret makes, is compared in constant time: all are looked at.

The measurement is benchmarks/secret_timing.py; tests that are timed would say nothing on a busy machine.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("fradect", "serving", "flows", "clients/python/src")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]

_SECRET = re.compile(
    r"secret|signature|digest|hmac|\bmac\b|passw|pepper|api_?key|token|credential|\bsigned\b|\btheirs\b", re.I
)

# Digests of files, requests and layouts: whoever compares them could as well compare the contents.
OF_CONTENTS = {
    *("fradect/decide.py", "fradect/release.py", "fradect/features/live.py", "serving/champions.py"),
    *("fradect/adapters/batch_jobs.py", "fradect/adapters/folder_stream.py", "fradect/adapters/importing.py"),
    *("fradect/adapters/mirror.py", "fradect/adapters/releases_folder.py", "fradect/adapters/s3_supply.py"),
    *("fradect/adapters/state_file.py", "fradect/adapters/state_redis.py", "fradect/adapters/state_sqlite.py"),
    *("fradect/adapters/state_upkeep.py", "flows/wiring/live_state.py", "flows/wiring/one_customer.py"),
}
HARMLESS = {
    "(access.key_id is None) != (access.secret is None)": "whether there is one",
    "(self.api_key is None) == (self.token is None)": "whether there is one",
    "header[0] in _CREDENTIALS": "a header's name",
    "held.get(f'{name}_token') == token": "pseudonyms of one database, by the database's own erasure",
    "pair.ours.action == pair.theirs.action": "what two releases decide",
    "ours != theirs": "what two releases have the live state keep",
    "secret in event_id": "what an import hides from its own report",
    "event_id in secret": "the same",
}


def _words(node: ast.AST) -> str:
    """Every name within, with spaces between."""
    found = [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
    found += [one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)]
    return " ".join(found)


def _suspicious(source: str) -> Iterator[str]:
    """Comparisons by ==, != or in, a side of which is called like a secret; not with a constant or a length."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(sign, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for sign in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) or _is_length(side) for side in sides):
            continue
        if any(_SECRET.search(_words(side)) for side in sides):
            yield ast.unparse(node)


def _is_length(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


@pytest.mark.parametrize(
    "planted",
    [
        "entry.digest == self._digest(key_id, secret)",
        "if signature != ours: pass",
        "x = header in signatures",
        "any(mine == theirs for mine in ours for theirs in signed)",
        "api_key == request.headers['X-API-Key']",
        "hmac.new(key, body).hexdigest() == given",
    ],
)
def test_a_comparison_that_may_tell_is_found(planted: str) -> None:
    assert list(_suspicious(planted))


def test_nothing_that_a_secret_makes_is_compared_but_in_constant_time() -> None:
    found = {(str(path.relative_to(ROOT)), text) for path in SOURCES for text in _suspicious(path.read_text())}
    of_contents = {(file, text) for file, text in found if file in OF_CONTENTS and not _SECRET.search(_bare(text))}
    left = {(file, text) for file, text in found - of_contents if text not in HARMLESS}
    assert left == set()
    assert {file for file, _ in of_contents} == OF_CONTENTS, "a file is named here, and compares no digest any more"
    assert {text for _, text in found} >= set(HARMLESS), "named here, and not there any more"


def _bare(text: str) -> str:
    return re.sub("digests?", "", text)


def test_keys_and_signatures_are_compared_by_hmac_compare_digest() -> None:
    for name in ("fradect/adapters/keys.py", "fradect/webhooks.py", "clients/python/src/fradect_client/webhooks.py"):
        calls = [
            node
            for node in ast.walk(ast.parse((ROOT / name).read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest"
        ]
        assert len(calls) == 1, name
