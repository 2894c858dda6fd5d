"""Numbers as text.  Fractions become percent here and in no earlier step."""

from sigma_bench.leaderboard.board_table import Cell
from sigma_bench.records.published import is_printed_in_percent

MISSING = "–"
DAGGER = "†"
DOUBLE_DAGGER = "‡"
COMPUTED = "*"
MINUS = "\u2212"


def percent(value: float) -> str:
    """A fraction as percent with one decimal."""
    return f"{100 * value:.1f}"


def number(value: float, metric: str) -> str:
    """A value as tables print its metric: percent with one decimal, or a fraction with three."""
    return percent(value) if is_printed_in_percent(metric) else f"{value:.3f}"


def signed(value: float, metric: str) -> str:
    """A difference with its sign: ``+0.4``."""
    written = number(abs(value), metric)
    return written if not float(written) else f"{'+' if value > 0 else MINUS}{written}"


def interval(cell: Cell, metric: str = "top1") -> str:
    """A cell's interval, such as ``70.1–77.2``."""
    return f"{number(cell.low, metric)}–{number(cell.high, metric)}"


def seeds(cell: Cell, metric: str = "top1") -> str:
    """Spread over seeds, ``±0.8, n=3``; empty for one seed."""
    return "" if cell.seed_std is None else f"±{number(cell.seed_std, metric)}, n={cell.num_seeds}"


def repeats(cell: Cell, metric: str = "top1") -> str:
    """Spread over a protocol's own repetitions, ``±0.3 repeats``; empty if it has none."""
    return "" if cell.repeat_std is None else f"±{number(cell.repeat_std, metric)} repeats"
