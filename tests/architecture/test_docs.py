"""Docs that lie fail the build: what they name exists, and what exists and matters is named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fradect.cli import COMMANDS
from fradect.modules import MODULES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("clients/*/*.md")]
)
OURS = ("fradect/", "flows/", "training/", "serving/", "monitoring/", "expectations/", "feature_repo/", "tests/")
OURS += ("mappings/", "rulebooks/", "benchmarks/", "docs/", "deploy/", "clients/", ".ci/")


def _code_spans(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_path_a_page_names_exists(page: Path) -> None:
    named = [span for span in _code_spans(page) if span.startswith(OURS) and not set(span) & set(" <>*{")]
    missing = [span for span in named if not (ROOT / span.split(":")[0]).exists()]
    tests = [span.split("::") for span in named if "::" in span]
    missing += [
        name for path, name in tests if not re.search(rf"^(def|class) {name}\b", (ROOT / path).read_text(), re.M)
    ]
    assert not missing, f"{page.name} names what is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    called = set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", text, re.M))
    assert called <= targets
    commands = set(re.findall(r"(?:^|`|\$ |bin/)fradect ([a-z]+)", text, re.M))
    assert commands <= set(COMMANDS)


def test_the_readme_is_short_and_names_every_make_target_a_newcomer_needs() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    for command in ("make demo", "make test", "make setup", "make flows"):
        assert command in text


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony
    assert all(f"make {target}" in shown for target in phony.group(1).split())


def test_every_deployment_has_an_entrypoint_that_loads() -> None:
    entries = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    names = [entry["entrypoint"] for entry in entries]
    code = (
        "import importlib, sys\n"
        "for path in sys.argv[1:]:\n"
        "    module, name = path.rsplit('.', 1)\n"
        "    assert type(getattr(importlib.import_module(module), name)).__name__ == 'Flow', path\n"
    )
    subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT, check=True, timeout=120)
    assert {"ingest", "materialise", "weekly", "drift", "on-demand"} <= {entry["name"] for entry in entries}


def test_the_import_page_says_what_each_contract_requires() -> None:
    page = (ROOT / "docs" / "concepts" / "import.md").read_text()
    for module in MODULES.values():
        for contract in module.contracts:
            assert f"| `{contract.name}` | {', '.join(contract.requires)} |" in page
