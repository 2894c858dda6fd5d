"""Where the declarations are: ``pretrain/``, ``tasks/``, ``results/`` of a checkout, or their copies in the wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def declarations(folder: str) -> Path:
    """Path of a declaration folder (``pretrain``, ``tasks`` or ``results``).

    Raises:
        FileNotFoundError: neither a wheel's copy nor our own checkout is there; another project's
            ``tasks/`` beside an installed package is never taken.
    """
    packaged = _PACKAGE / "_data" / folder
    if packaged.is_dir():
        return packaged
    checkout = _PACKAGE.parent
    is_ours = (checkout / "pyproject.toml").is_file() and 'name = "sigma-bench"' in (
        checkout / "pyproject.toml"
    ).read_text(encoding="utf-8")
    if is_ours and (checkout / folder).is_dir():
        return checkout / folder
    raise FileNotFoundError(f"the folder '{folder}' of sigma-bench is missing; reinstall the package")
