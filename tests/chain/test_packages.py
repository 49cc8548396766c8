"""The five packages: importing them does nothing, and they stand in nobody's way."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("chain", "miners", "scoring", "subnet", "validators")

IMPORT_ALL = """
import importlib, pathlib, pkgutil, socket, sys

def forbidden(*args, **kwargs):
    raise AssertionError("importing opened a socket")

socket.socket.connect = forbidden
before = set(pathlib.Path.cwd().iterdir())
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        # The inside of the torch engine, which only that one imports.
        if not found.name.endswith((".torch_batch",)):
            importlib.import_module(found.name)
assert set(pathlib.Path.cwd().iterdir()) == before, "importing wrote files"
assert "torch" not in sys.modules
"""


def clean(folder: Path) -> dict[str, str]:
    """An environment without a home."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder)}


def test_importing_every_module_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, *PACKAGES],
        cwd=tmp_path,
        env=clean(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("module", ["miners.serve", "subnet.wire.axon", "subnet.cli.app"])
def test_what_starts_often_does_not_load_the_sdk(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; sys.exit('bittensor' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{module} imports the SDK"


def test_no_package_shadows_an_installed_one() -> None:
    installed = packages_distributions()
    for package in PACKAGES:
        assert set(installed.get(package, ["subnetkit"])) == {"subnetkit"}, package


def test_scoring_can_be_used_alone() -> None:
    assert {m.name for m in pkgutil.iter_modules([str(ROOT / "scoring")])} >= {"combine", "verify"}
    code = "import sys, scoring.shaping, scoring.verify.seedlock; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"chain", "miners", "subnet", "validators", "bittensor"}
