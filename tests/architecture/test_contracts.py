"""The machine checks what ARCHITECTURE.md promises: layers, lock files, and a tree that speaks of the product alone."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    try:
        listing = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout, to know which files are the project's")
    return [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_layers_hold():
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_pure_module_named_in_the_contract_exists():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["name"].startswith("Pure"))["source_modules"]
    missing = [name for name in pure if not (ROOT / (name.replace(".", "/") + ".py")).is_file()]
    assert missing == []


def test_only_deploy_reads_the_environment():
    found = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in {"gateway", "dispatch", "ticketing", "simulators", "sql"}
        and "console" not in path.parts
        and re.search(r"os\.environ|os\.getenv", path.read_text())
    ]
    assert found == []


def test_nothing_waits_by_wait_for():
    """On Python 3.11 asyncio.wait_for returns where it was cancelled as its end came: the stop is lost."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] != "tests"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "wait_for")
        or (isinstance(node, ast.ImportFrom) and any(name.name == "wait_for" for name in node.names))
    ]
    assert found == [], "use asyncio.timeout"


def test_packages_re_export_nothing():
    for path in tracked("*/__init__.py"):
        lines = [line for line in path.read_text().split('"""')[-1].splitlines() if line.strip()]
        assert path.parent.name == "sql" or lines == [], f"{path.relative_to(ROOT)} holds more than its docstring"


@pytest.mark.parametrize("name", ["requirements.lock", "dispatch/console/package-lock.json"])
def test_lock_files_name_no_registry(name):
    text = (ROOT / name).read_text()
    assert "--index-url" not in text
    assert '"resolved"' not in text
    assert "://" not in re.sub(r'"(url|funding)": .*', "", text)


def test_the_lock_holds_a_hash_for_every_package():
    blocks = re.split(r"\n(?=[a-z])", (ROOT / "requirements.lock").read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks)


def test_no_secret_and_no_machine_path_is_tracked():
    suspicious = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}|/root/|/home/[a-z]+/|/work/")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path.suffix not in {".png", ".lock"} and path != Path(__file__)
        if (match := suspicious.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_every_setting_is_documented():
    from pydantic import BaseModel

    from deploy.config import Settings

    text = (ROOT / "docs" / "settings.md").read_text()
    names = []
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        names += [f"{name}.{part}" for part in inner.model_fields] if nested else [name]
    assert [name for name in names if f"`{name}`" not in text] == []
