"""Footnotes of a table: marks, uncertainty, completeness of the data, sources."""

from collections.abc import Mapping

from sigma_bench.leaderboard.board_table import BoardTable, Counts, Division, PublishedRow
from sigma_bench.leaderboard.numbers import COMPUTED, DAGGER, DOUBLE_DAGGER, MISSING, percent
from sigma_bench.specs.folds import LEAVE_ONE_GROUP_OUT, folds_in_words

_DATA_SOURCES = {
    "mini": "mini world",
    "official": "official data",
    "user": "custom data",
    "transcoded": "transcoded videos",
}
CONTEXT = (
    "Sections that name a source and a protocol are context: their numbers were obtained by that protocol and are not "
    "comparable with other sections."
)
FEWEST_UNITS = 10
"""Number of test units below which notes call an interval rough."""
_ROUNDING = 0.0005 + 1e-9
"""Half of the last digit of a printed percentage."""


def footnotes(table: BoardTable, *, has_styles: bool = True) -> tuple[str, ...]:
    """The notes below a table, in reading order.

    Args:
        has_styles: whether the output can show bold and underlined text, which the notes then explain.
    """
    notes = [table.note] if table.note else []
    if any(row.num_covered for row in table.rows):
        notes += _measured(table, has_styles)
    elif table.rows or not table.sections:
        notes.append("No record fits this board yet.")
    by_dataset: dict[str, list[Counts]] = {}
    for counts in table.counts:
        by_dataset.setdefault(counts.dataset, []).append(counts)
    for dataset, of_dataset in by_dataset.items():
        notes.append(_counts_words(dataset, of_dataset, table.names))
        divisions = [division for division in table.divisions if division.dataset == dataset]
        notes += [_division_words(division, is_only=len(divisions) == 1) for division in divisions]
    notes += _published(table, has_styles)
    return tuple(notes)


def brief_notes(table: BoardTable, *, has_styles: bool = True) -> tuple[str, ...]:
    """The notes that a table of scores and intervals needs where a page has all notes."""
    if not table.rows:
        return ("No record fits this board yet.",)
    bold = "; bold: not separable from the best, underlined: from the next best" if has_styles else ""
    return (f"Percent with {level_words(table)} intervals{bold}.", "The page has all notes and published numbers.")


def is_coverage_explained(table: BoardTable) -> bool:
    """Whether a note explains the fractions beside the models: some numbers are measured, and some are missing."""
    return len({cell is None for row in table.rows for cell in row.cells}) > 1


def data_source_words(source: str) -> str:
    """A data source in words: ``mini world``."""
    return _DATA_SOURCES.get(source, source)


def rough_words(num_units: int, units: str) -> str:
    """A sentence without its full stop on intervals from few test units; empty for intervals from enough of them."""
    return f"intervals from {num_units} {units} are rough" if num_units < FEWEST_UNITS else ""


def level_words(table: BoardTable) -> str:
    """Level of the intervals: ``95 %``."""
    return " or ".join(f"{100 * level:g} %" for level in table.levels)


def _measured(table: BoardTable, has_styles: bool) -> list[str]:
    bold = f" {_bold_words(table)}" if has_styles else ""
    lower = [f"{c.heading} {c.label}" for c in table.columns if c.higher_is_better is False]
    direction = f" Lower is better in {', '.join(lower)}." if lower else ""
    notes = [f"Percent with {level_words(table)} bootstrap intervals over test units.{bold}{direction}"]
    shown = [cell for row in table.rows for cell in row.cells if cell is not None]
    if any(cell.num_seeds > 1 for cell in shown):
        notes.append("Several seeds (n): value and interval ends are means; ± is the standard deviation over seeds.")
    if any(cell.repeat_std is not None for cell in shown):
        notes.append(
            "± repeats: the standard deviation over a protocol's own repetitions with one seed (starts of k-means, "
            "draws of frames), whose mean is the value."
        )
    if is_coverage_explained(table):
        notes.append(f"{MISSING} not measured. The fraction beside a model counts its measured columns.")
    if table.mean_label:
        notes.append(f"{table.mean_label}: of complete rows only. {_rank_words(table)}")
    notes += _references(table)
    elsewhere = [data_source_words(source) for source in table.data_sources if source != "official"]
    if elsewhere and table.sections:
        notes.append(f"Measured numbers: {' and '.join(elsewhere)}, not comparable with the published ones.")
    named = [f"{row.name} ({row.model})" for row in table.rows if row.num_covered and row.name != row.model]
    if named:
        notes.append(f"Names in records and commands: {', '.join(named)}.")
    if table.deltas:
        notes.append(
            "Measured minus published, with the measured interval. reproduced: the published number lies in the "
            "measured interval; within: the two are that close; off: neither."
        )
    return notes


def _rank_words(table: BoardTable) -> str:
    if any(row.mean is not None and row.rank is None for row in table.rows):
        return "No ranks: they need the predictions of every complete row, on the same samples."
    return (
        "In front of a model its rank, 1 + the number of models whose mean is better by a paired bootstrap; models "
        "that cannot be told apart share it."
    )


def _references(table: BoardTable) -> list[str]:
    """Notes on ceilings and the models they apply to, and on pixels that are not scored."""
    ceilings = [reference for reference in table.references if reference.kind == "ceiling"]
    notes = []
    if ceilings:
        names = table.names
        of_grid = {one.name: [names[model] for model in one.models] for one in ceilings if one.models}
        whose = "; ".join(f"{name}: {', '.join(models)}" for name, models in of_grid.items())
        notes.append(
            "Oracle: every token goes to the object that fills most of it, the most that a grid of tokens allows"
            + (f". {whose}." if whose else ".")
        )
    for reference in table.references:
        found = zip(table.columns, reference.values, strict=True)
        told = [f"{c.heading} {c.label} {percent(value)}" for c, value in found if value]
        if reference.kind == "note" and told:
            notes.append(f"Percent of pixels that are void and not scored: {', '.join(told)}.")
    return notes


def _bold_words(table: BoardTable) -> str:
    paired = [f"{c.heading} {c.label}" for c in table.columns if c.is_paired is True]
    overlap = [f"{c.heading} {c.label}" for c in table.columns if c.is_paired is False]
    how = "paired bootstrap over test units" if paired else "the intervals overlap"
    if paired and overlap:
        how += f"; where predictions are not stored ({', '.join(overlap)}), the intervals overlap"
    bold = f"Bold: not separable from the best of its column ({how})"
    uneven = (
        " A worse score can be bold while a better one is not, because its difference to the best varies more between "
        "test units."
    )
    return (
        f"{bold}; underlined: not separable from the best of the others.{uneven if _is_worse_score_bold(table) else ''}"
    )


def _is_worse_score_bold(table: BoardTable) -> bool:
    """Whether a column has a bold score that is worse than one that is not bold."""
    for place, column in enumerate(table.columns):
        sign = -1 if column.higher_is_better is False else 1
        cells = [cell for row in table.rows if (cell := row.cells[place]) is not None]
        bold = [sign * cell.value for cell in cells if cell.among_best]
        if any(sign * cell.value > min(bold) for cell in cells if bold and not cell.among_best):
            return True
    return False


def _counts_words(dataset: str, counts: list[Counts], names: Mapping[str, str]) -> str:
    """One line per dataset; if models were measured on different files, each variant names its models."""
    variants = []
    for entry in counts:
        is_declared = entry.num_official != entry.num_expected
        declared = f" (list declared complete; officially {entry.num_official})" if is_declared else ""
        words = f"expected {entry.num_expected}{declared}, found {entry.num_found}, scored {entry.num_scored}"
        failed = f", {entry.num_failed} not decoded" if entry.num_failed else ""
        shared = f", {entry.num_shared_groups} of its groups also in train" if entry.num_shared_groups else ""
        models = f" ({', '.join(names[model] for model in entry.models)})" if len(counts) > 1 else ""
        variants.append(words + failed + shared + models)
    differ = " Different files:" if len({entry.manifest for entry in counts}) > 1 else ""
    sources = " and ".join(sorted({data_source_words(entry.data_source) for entry in counts}))
    return f"{dataset} ({sources}):{differ} {'; '.join(variants)}."


def _division_words(division: Division, *, is_only: bool) -> str:
    """How a custom dataset is divided, and the units of its intervals; names the tasks if other tasks differ."""
    place = division.dataset if is_only else ", ".join(division.tasks)
    units = f"{division.num_units} {division.unit}{'' if division.num_units == 1 else 's'}"
    how = folds_in_words(division.folds)
    if division.folds == "official":
        how = "the split of the data" if division.split == "test" else "not divided"
    if division.folds == LEAVE_ONE_GROUP_OUT:
        number = f"{division.num_units} " if division.unit == "group" else ""
        how = f"{LEAVE_ONE_GROUP_OUT}, {number}folds of whole groups"
    rough = rough_words(division.num_units, units.partition(" ")[2])
    return f"{place}: {how}; intervals over {units}.{f' {rough.capitalize()}.' if rough else ''}"


def _published(table: BoardTable, has_styles: bool) -> list[str]:
    printed = [row for row in table.published if row.origin == "published"]
    imported = [row for row in table.published if row.origin == "imported"]
    notes = []
    if printed:
        if table.published_note:
            notes.append(f"{DAGGER} {table.published_note}")
        if any(section.is_context for section in table.sections):
            notes.append(f"{DAGGER} {CONTEXT}")
    own = [row.origin for section in table.sections if not section.is_context for row in section.rows]
    if has_styles and "published" in own:
        notes.append("Published rows: bold the best, underlined the second best of a section and backbone.")
    if any(mean is not None for row in table.published for mean in row.axis_means):
        notes.append(f"{COMPUTED}: computed here as the mean of the axis's printed numbers; the source prints none.")
    for row in table.published:
        notes += _mean_words(table, row)
    if imported:
        notes.append(f"{DOUBLE_DAGGER} imported by the user; neither measured here nor checked")
    for mark, rows in ((DAGGER, printed), (DOUBLE_DAGGER, imported)):
        for source in dict.fromkeys(row.source for row in rows):
            labels = dict.fromkeys(row.label for row in rows if row.source == source)
            notes.append(f"{mark} {', '.join(labels)}: {source}")
    return notes


def _mean_words(table: BoardTable, row: PublishedRow) -> list[str]:
    """A note if the printed mean differs from the mean of the printed numbers."""
    if row.mean is None or row.recomputed_mean is None or abs(row.mean - row.recomputed_mean) <= _ROUNDING:
        return []
    computed = f"{100 * row.recomputed_mean:.3f}".rstrip("0")
    return [f"{row.label}: the {table.mean_label} is printed as {percent(row.mean)}; its numbers give {computed}."]
