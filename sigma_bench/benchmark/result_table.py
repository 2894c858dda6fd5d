"""The result of a benchmark: a table, remarks, and everything that a time depends on besides the measured code."""

from typing import Any

from sigma_bench.records import provenance
from sigma_bench.specs.strict import Spec

Cell = str | float | None


class BenchmarkResult(Spec):
    """One benchmark on one machine."""

    name: str
    """Name of the files of the result, without an extension."""
    title: str
    method: str
    """How it was measured, in sentences."""
    rows: tuple[dict[str, Cell], ...]
    """Rows with the same keys, which are the columns."""
    remarks: tuple[str, ...] = ()
    num_threads: int
    hardware: str
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    started_utc: str

    def cells(self) -> list[list[str]]:
        """The rows as text."""
        return [[_text(value) for value in row.values()] for row in self.rows]

    def markdown(self) -> str:
        """A page with the table, the remarks and the machine."""
        columns = list(self.rows[0])
        lines = [columns, ["---"] * len(columns), *self.cells()]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        remarks = "".join(f"- {remark}\n" for remark in (*self.remarks, self.machine()))
        return f"# {self.title}\n\n{self.method}\n\n{table}\n\n{remarks}"

    def machine(self) -> str:
        """Hardware, versions, commit and time of the measurement."""
        commit = f"commit {self.commit[:12]}{' with changes' if self.dirty else ''}, " if self.commit else ""
        torch = f"torch {self.versions['torch']}"
        return f"{self.hardware}; {self.num_threads} threads, {torch}; {commit}{self.started_utc}"


def circumstances() -> dict[str, Any]:
    """Hardware, versions, commit and time of this process, as fields of ``BenchmarkResult``."""
    captured = provenance.capture(started=provenance.now(), seconds={})
    return {key: getattr(captured, key) for key in ("hardware", "versions", "commit", "dirty", "started_utc")}


def _text(value: Cell) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
