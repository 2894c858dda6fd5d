"""Folders: the declarations of this package, those of the folders that a user includes, and the default output.

The declarations of this package are in ``pretrain/``, ``tasks/`` and ``results/`` of a checkout, or in their copies in
the wheel.  An included folder holds ``tasks/``, ``pretrain/`` or ``boards/`` with the same layout inside.  Included
folders are listed in the environment variable ``SIGMA_BENCH_INCLUDE``, which child processes inherit.
"""

import os
from pathlib import Path

INCLUDE_VARIABLE = "SIGMA_BENCH_INCLUDE"
"""Environment variable that holds the included folders, separated as in PATH."""
RUNS = Path("results/runs")
"""Default folder of pretraining runs, records, and files made from them."""
CACHE_LIMIT_GIB = 200.0
"""Default limit of the size of cached features, which lie beside the records."""
_PACKAGE = Path(__file__).resolve().parent
_CONCEPTS = {
    "tasks": "dataset",
    "tasks/protocols": "protocol",
    "tasks/suites": "suite",
    "tasks/variants": "file of variants",
    "pretrain": "recipe",
    "boards": "board",
}
"""Name of a folder of declarations inside an included folder -> what one file in it declares."""
_INCLUDABLE = ("tasks", "pretrain", "boards")


def declarations(folder: str) -> Path:
    """Path of a declaration folder of this package (``pretrain``, ``tasks`` or ``results``).

    Raises:
        FileNotFoundError: there is neither a copy in the wheel nor a checkout of this project.
    """
    packaged = _PACKAGE / "_data" / folder
    if packaged.is_dir():
        return packaged
    checkout = _PACKAGE.parent
    project = checkout / "pyproject.toml"  # beside an installed package, tasks/ may belong to another project
    is_checkout = project.is_file() and 'name = "sigma-bench"' in project.read_text(encoding="utf-8")
    if is_checkout and (checkout / folder).is_dir():
        return checkout / folder
    raise FileNotFoundError(f"the folder '{folder}' of sigma-bench is missing; reinstall the package")


def include(folder: Path | str) -> None:
    """Add the declarations of a folder, in this process and in its child processes.

    Args:
        folder: folder with ``tasks/``, ``pretrain/`` or ``boards/``; including it again has no effect.

    Raises:
        ValueError: the folder does not exist, has none of the three, or declares a name that is already declared.
    """
    if not isinstance(folder, str | Path) or not str(folder) or "\0" in str(folder):
        raise ValueError(f"{folder!r} cannot be included; give the path of a folder")
    path = Path(folder).expanduser().resolve()
    if os.pathsep in str(path):
        raise ValueError(f"{path}: a folder with '{os.pathsep}' in its path cannot be included; rename it")
    folders = tuple(dict.fromkeys((*included(), path)))
    _check(folders)
    os.environ[INCLUDE_VARIABLE] = os.pathsep.join(str(each) for each in folders)


def included() -> tuple[Path, ...]:
    """The included folders, in the order in which they were included."""
    listed = os.environ.get(INCLUDE_VARIABLE, "").split(os.pathsep)
    return tuple(dict.fromkeys(Path(each).expanduser().resolve() for each in listed if each))


def hint_of_include(folder: str, name: str) -> str:
    """A sentence about a name that is declared in the current folder, if that is not included; otherwise empty."""
    is_here = any((Path(folder) / f"{name}{suffix}").is_file() for suffix in (".yaml", ".yml"))
    if not is_here or Path.cwd().resolve() in included():
        return ""
    ways = "use 'sigma-bench --include . ...', or in Python sigma_bench.include('.')"
    return f" {folder}/{name}.yaml in this folder declares it: {ways}."


def check_included() -> None:
    """ValueError for an included folder that ``include`` would refuse."""
    _check(included())


def declared(folder: str) -> dict[str, Path]:
    """Name -> file of one kind of declaration; those of this package come first, and hidden files are ignored.

    Args:
        folder: ``tasks``, ``tasks/protocols``, ``tasks/suites``, ``tasks/variants``, ``pretrain`` or ``boards``.

    Raises:
        ValueError: an included folder does not exist, or a name is declared twice.
    """
    folders = included()
    for each in folders:
        _require_declarations(each)
    return _declared(folder, folders)


def _check(folders: tuple[Path, ...]) -> None:
    for each in folders:
        _require_declarations(each)
    for folder in _CONCEPTS:
        _declared(folder, folders)


def _declared(folder: str, included_folders: tuple[Path, ...]) -> dict[str, Path]:
    top, _, inner = folder.partition("/")
    built_in = declarations("results") / "boards" if top == "boards" else declarations(top) / inner
    found: dict[str, Path] = {}
    for searched in (built_in, *(each / folder for each in included_folders)):
        files = (*searched.glob("*.yaml"), *searched.glob("*.yml"))
        for path in sorted(path for path in files if path.name[0] != "."):
            if path.stem in found:
                raise ValueError(
                    f"{path}: the {_CONCEPTS[folder]} '{path.stem}' is already declared in {found[path.stem]}; "
                    "rename one of them"
                )
            found[path.stem] = path
    return found


def _require_declarations(folder: Path) -> None:
    """ValueError for an included folder that does not exist, or that holds no declarations where they are read."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder to include")
    if not any((folder / name).is_dir() for name in _INCLUDABLE):
        raise ValueError(
            f"{folder}: an included folder holds {', '.join(f'{name}/' for name in _INCLUDABLE[:-1])} or "
            f"{_INCLUDABLE[-1]}/, and here is none of them"
        )
    for unread in (folder / "tasks").glob("*/*.y*ml"):
        if f"tasks/{unread.parent.name}" not in _CONCEPTS:
            raise ValueError(
                f"{unread}: declarations are read from tasks/ and its folders protocols, suites and variants only; "
                "move the file, or give it another ending"
            )
