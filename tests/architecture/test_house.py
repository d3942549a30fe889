"""House rules that matter, as checks."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fradect", "flows", "training", "serving", "monitoring", "expectations", "feature_repo", "benchmarks")
PACKAGES += ("clients/python/src/fradect_client",)
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if "__pycache__" not in p.parts)

# Vendor -> the only files that may import it. A second door needs a reason here.
DOORS = {
    # Benchmarks have them as peers.
    "feast": {
        "fradect/adapters/feast_store.py",
        "feature_repo/definitions.py",
        "benchmarks/feature_peers.py",
        "benchmarks/peer_feast.py",
    },
    "mlflow": {"fradect/adapters/mlflow_registry.py", "benchmarks/peer_mlflow.py"},
    "great_expectations": {"expectations/check.py"},
    "fairlearn": {"training/fairness.py"},
    "zen": {"fradect/rules.py", "benchmarks/peer_floor.py"},
    "bentoml": {"serving/service.py"},
    "optuna": {"training/tune.py"},
    "evidently": {"monitoring/drift.py"},
    "jwt": {"fradect/adapters/tokens.py", "fradect/adapters/key_sets.py"},
    "limits": {"fradect/adapters/rate_counts.py"},
    "boto3": {"fradect/adapters/objects_s3.py"},
    "botocore": {"fradect/adapters/objects_s3.py"},
    # The stores name its types; the benchmark has it as a peer.
    "duckdb": {
        "fradect/adapters/duck.py",
        "fradect/adapters/history_store.py",
        "fradect/adapters/snapshot_store.py",
        "benchmarks/windows.py",
    },
}

AMAZON = {"boto3", "botocore"}


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_files_have_one_reason_to_change() -> None:
    assert not [str(p) for p in SOURCES if len(p.read_text().splitlines()) > 350]


def test_functions_are_small() -> None:
    lengths = dict(pair for path in SOURCES for pair in _functions(path))
    assert not {name: n for name, n in lengths.items() if n > 60}
    assert statistics.median(lengths.values()) <= 8
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 30


def test_no_import_hides_in_a_function() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not hidden


@pytest.mark.parametrize("vendor", DOORS)
def test_every_vendor_has_its_doors(vendor: str) -> None:
    doors = {str(path.relative_to(ROOT)) for path in SOURCES if vendor in _imports(path)}
    assert doors <= DOORS[vendor]


def test_the_import_contract_names_every_module_of_the_core() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    core = next(c for c in contracts if c["name"].startswith("The core"))["source_modules"]
    there = {f"fradect.{p.stem}" for p in (ROOT / "fradect").iterdir() if not p.name.startswith("__")}
    assert set(core) == there - {"fradect.adapters", "fradect.cli"}


def test_nothing_is_ever_unpickled() -> None:
    assert not [
        str(p) for p in SOURCES if {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"} & _imports(p)
    ]


@pytest.mark.parametrize(
    "line",
    [
        *(f"import {name}" for name in ("pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal")),
        "from pickle import loads",
        "import pandas\n\npandas.read_pickle",
    ],
)
def test_lint_refuses_what_unpickles(line: str) -> None:
    asked = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "fradect/some.py", "-"]
    ended = subprocess.run(asked, input=f"{line}\n", cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "TID251" in ended.stdout


def test_help_is_instant_because_it_imports_no_heavy_package() -> None:
    loaded = _loaded_by("import fradect.cli; fradect.cli.build(None)")
    heavy = {"feast", "mlflow", "prefect", "evidently", "great_expectations", "xgboost", "optuna", "pandas", "numpy"}
    assert not (heavy | AMAZON) & loaded


def test_amazons_client_is_loaded_where_a_url_is_s3_and_nowhere_else() -> None:
    roots = "import serving.wiring, serving.service, flows.wiring.storage, flows.wiring.intake\n"
    roots += "from fradect.adapters.object_stores import S3Access, open_store\n"
    assert not AMAZON & _loaded_by(f"{roots}open_store('/tmp', S3Access())")
    assert _loaded_by(f"{roots}open_store('s3://bucket', S3Access())") >= AMAZON


def _loaded_by(code: str) -> set[str]:
    """Packages in memory when a new process has run that."""
    code += "\nimport sys; print(*{m.split('.')[0] for m in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


def test_the_lock_has_hashes_and_names_no_registry() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = re.findall(r"^\S+==", lock, re.M)
    assert len(pins) > 200
    assert lock.count("--hash=sha256:") >= len(pins)
