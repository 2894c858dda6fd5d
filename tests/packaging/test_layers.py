"""Imports flow one way: a package sees what lies below it, and what does without torch stays without torch.

The order, lowest first: specs, records, metrics < data, models < miniworld < training < methods (sigma, videomae,
dino) and protocols, which do not see each other < evaluation < benchmark < pictures < api < cli; leaderboard sees
specs, records and metrics only, and pictures, api and cli may import it.  ``sigma_bench`` itself and
``sigma_bench.extend`` name what is public for type checkers, and import nothing.  No files import each other in a
circle.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigma_bench.specs.recipe import METHODS

PACKAGE = Path(__file__).resolve().parents[2] / "sigma_bench"
METHOD_PACKAGES = sorted({target.split(".")[1] for target in METHODS.built_in.values()})

LAYERS = (
    ("specs", "records", "metrics"),
    ("data", "models"),
    ("miniworld",),
    ("training",),
    (*METHOD_PACKAGES, "protocols"),
    ("evaluation",),
    ("benchmark",),
    ("pictures",),
    ("api",),
    ("cli",),
)
BESIDE = {
    ("records", "specs"),
    ("records", "metrics"),
}
"""Pairs within one layer of which the first may import the second."""
ROOT_MODULES = {"__init__", "failures", "lazy_names", "palette", "resources"}
"""Modules of the package itself, open to all; they import nothing of ours."""
WITHOUT_TORCH = ("specs", "records", "metrics", "leaderboard")


def allowed_imports() -> dict[str, set[str]]:
    """What each package may import, itself and the root modules included."""
    allowed: dict[str, set[str]] = {}
    below: set[str] = set()
    for layer in LAYERS:
        for package in layer:
            allowed[package] = {package} | ROOT_MODULES | below | {b for a, b in BESIDE if a == package}
        below |= set(layer)
    allowed["leaderboard"] = {"leaderboard", *LAYERS[0], *ROOT_MODULES}
    for package in ("pictures", "api", "cli"):
        allowed[package].add("leaderboard")
    allowed["__main__"] = {"cli"}
    return (
        allowed
        | {module: {"__init__"} for module in ROOT_MODULES}
        | {public: {"leaderboard"} | ROOT_MODULES | below - {"cli"} for public in ("__init__", "extend")}
    )


def owner(path: Path) -> str:
    """The package (or root module) a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_packages(path: Path) -> Iterator[tuple[int, str]]:
    """Line and package of every import of our own, whether at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide where a name lives"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "sigma_bench":
                is_ours = len(parts) > 1 and ((PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").is_file())
                yield node.lineno, parts[1] if is_ours else "__init__"


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_every_package_has_its_layer():
    assert {owner(path) for path in SOURCES} <= allowed_imports().keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_do_not_climb(path):
    here = owner(path)
    climbing = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {here} must not import {package}"
        for line, package in imported_packages(path)
        if package not in allowed_imports()[here]
    ]
    assert climbing == []


def test_the_walk_sees_imports_in_every_form(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import sigma_bench.cli.main\n"
        "from sigma_bench import evaluation, __version__\n"
        "def f():\n    from sigma_bench.protocols.knn import classify\n"
        "import torch\n"
    )
    assert sorted(imported_packages(path)) == [(1, "cli"), (2, "__init__"), (2, "evaluation"), (4, "protocols")]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """Modules of our own that a file imports at the top or inside a function; not what only type checkers see."""
    ours = {module_name(source) for source in SOURCES}
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_checkers = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    tree.body = [node for node in tree.body if node not in for_checkers]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & ours


def test_no_files_import_each_other_in_a_circle():
    left = {module_name(path): imported_modules(path) - {module_name(path)} for path in SOURCES}
    while leaves := {name for name, imports in left.items() if not imports & left.keys()}:
        left = {name: imports for name, imports in left.items() if name not in leaves}
    assert {name: sorted(imports & left.keys()) for name, imports in left.items()} == {}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "spec.py"], ids=module_name)
def test_a_spec_of_a_method_imports_specs_alone(path):
    assert {package for _, package in imported_packages(path)} == {"specs"}


def test_packages_do_without_torch():
    """The packages of ``WITHOUT_TORCH`` and every module called ``spec``, one after another in one process."""
    lines = ["import sys"]
    for package in (*WITHOUT_TORCH, "spec"):
        modules = [module_name(path) for path in SOURCES if package in (owner(path), path.stem)]
        lines.append(f"import {', '.join(modules)}")
        lines.append(f"print({package!r}, *sorted({{'torch', 'torchvision', 'timm'}} & set(sys.modules)))")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert (done.stdout.splitlines(), done.stderr) == ([*WITHOUT_TORCH, "spec"], "")
