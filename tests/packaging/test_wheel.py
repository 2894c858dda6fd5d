"""The wheel: one package, every declaration that the checkout tracks and nothing else, and small."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECLARATIONS = ("pretrain", "tasks", "results/README.md", "results/published", "results/boards")
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel, opened."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def tracked(*folders):
    """Files that git tracks, or would on the next 'git add', relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def test_the_only_top_level_name_is_the_package(wheel):
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"sigma_bench"}
    assert len(top) == 2


def test_the_declarations_are_those_of_the_checkout(wheel):
    packed = {name for name in wheel.namelist() if name.startswith("sigma_bench/_data/")}
    expected = tracked(*DECLARATIONS)
    assert expected
    assert {name.removeprefix("sigma_bench/_data/") for name in packed} == expected
    for name in expected:
        assert wheel.read(f"sigma_bench/_data/{name}") == (ROOT / name).read_bytes(), name


def test_the_code_is_that_of_the_checkout(wheel):
    packed = {
        name
        for name in wheel.namelist()
        if name.startswith("sigma_bench/") and not name.startswith("sigma_bench/_data/")
    }
    assert packed == tracked("sigma_bench")


def test_the_licence_and_the_command_come_along(wheel):
    (metadata,) = (name.partition("/")[0] for name in wheel.namelist() if name.endswith("dist-info/METADATA"))
    assert wheel.read(f"{metadata}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert b"sigma-bench = sigma_bench.cli.main:app_main" in wheel.read(f"{metadata}/entry_points.txt")


def test_the_wheel_is_small(wheel):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 5 * MEGABYTE
