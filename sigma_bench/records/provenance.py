"""Provenance of a record: versions, commit, hardware, command."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from sigma_bench import __version__
from sigma_bench.records.record import Provenance, SplitReading

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "decord", "av")


def capture(
    *,
    started: datetime,
    seconds: dict[str, float],
    num_processes: int = 1,
    ffmpeg: dict[str, str] | None = None,
    reading: dict[str, SplitReading] | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Provenance:
    """The provenance of a record that this process makes."""
    commit, dirty = _commit()
    return Provenance(
        sigma_bench=__version__,
        commit=commit,
        dirty=dirty,
        versions=versions(),
        hardware=hardware(),
        num_processes=num_processes,
        command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        started_utc=started.isoformat(timespec="milliseconds"),
        seconds={name: round(value, 3) for name, value in seconds.items()},
        ffmpeg=ffmpeg,
        reading=reading,
        class_names=class_names,
    )


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def versions() -> dict[str, str]:
    """Installed versions of packages that can change a number.  Both builds of faiss have the same import name."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES if _is_installed(name)}
    for build in ("faiss-gpu", "faiss-cpu"):
        if _is_installed(build):
            found[build] = importlib.metadata.version(build)
    return {"python": platform.python_version(), **found}


def hardware() -> str:
    """Description of processor and accelerator."""
    return f"{_processor()}, {_num_cores()} cores{_accelerators()}"


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _accelerators() -> str:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the source checkout and whether it has uncommitted changes; None for a wheel."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None, None
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return head.stdout.strip(), bool(status.stdout.strip())
