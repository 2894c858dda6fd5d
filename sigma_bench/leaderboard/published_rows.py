"""Published numbers as rows in sections, in the layout of the table they were printed in."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from sigma_bench.leaderboard.board_table import Mark, PublishedRow, PublishedSection, mean_of_columns
from sigma_bench.records.published import PublishedScore
from sigma_bench.specs.board import Board, Condition, ContextSection, PublishedColumn

_WORDS = {
    **{"vit_s": "ViT-S", "vit_b": "ViT-B", "vit_l": "ViT-L", "swin_b": "Swin-B", "swin_l": "Swin-L"},
    **{"mvitv1_b": "MViTv1-B", "resnet101": "ResNet-101"},
    **{"in1k": "IN-1K", "in21k": "IN-21K", "k400": "K400", "ssv2": "SSv2", "in1k+k400": "IN-1K + K400"},
    **{"vit_h": "ViT-H", "vit_h_384": "ViT-H, 384 px", "vit_h_512": "ViT-H, 512 px", "vit_h+": "ViT-H+"},
    **{"vit_giant": "ViT-g", "vit_giant_384": "ViT-g, 384 px", "vit_gigantic": "ViT-G", "vit_7b": "ViT-7B"},
    **{"vit_gigantic_384": "ViT-G, 384 px", "vit_g_1.9b": "ViT-G (1.9B)", "r2plus1d_18": "R(2+1)D-18"},
    **{
        "hiera_l": "Hiera-L",
        "hiera_h": "Hiera-H",
        **{f"{size}b": f"{size}B" for size in ("1", "1.1", "1.2", "2", "6")},
    },
    **{"in22k": "IN-22K", "in1k+ssv2": "IN-1K + SSv2", "lvd142m": "LVD-142M", "laion": "LAION", "k710": "K710"},
    **{"videomix2m": "VideoMix2M", "unlabeled_hybrid": "UnlabeledHybrid", "webvid_2.5m": "WebVid-2.5M"},
    **{"webvid_25m": "WebVid-25M", "k700+webvid_25m": "K700 + WebVid-25M", "clip_400m": "CLIP-400M"},
    **{"internvid_10m": "InternVid-10M", "yes": "✓", "no": ""},
}
IMPORTED = "Imported"


def published_sections(board: Board, scores: Sequence[PublishedScore]) -> tuple[PublishedSection, ...]:
    """The sections of a board: its main ones, imported numbers that fit its columns, and context.

    Raises:
        ValueError: a column or section without any number, or two numbers for one cell.
    """
    if not scores:
        return ()
    context = tuple(_context_section(board, section, scores) for section in board.context)
    return (*_main_sections(board, scores), *context)


def _main_sections(board: Board, scores: Sequence[PublishedScore]) -> tuple[PublishedSection, ...]:
    shown = board.published
    if shown is None:
        return ()
    columns = [column.published for column in board.columns]
    of_context = {(section.source, section.table) for section in board.context}
    printed = [s for s in scores if s.origin == "published" and (s.source, s.table) not in of_context]
    for column in columns:
        if column is not None and not any(_fits(score, column) for score in printed):
            raise ValueError(f"board '{board.name}': {shown.file} has no number for {_place(column)}")
    sections = []
    for section in shown.sections:
        chosen = [s for s in printed if all(_cell(s, key) in allowed for key, allowed in section.where.items())]
        rows = _rows(board, shown.identity, columns, chosen)
        if not rows:
            raise ValueError(f"board '{board.name}': {shown.file} has no number for the section '{section.title}'")
        sections.append(PublishedSection(title=section.title, rows=rows))
    theirs = [score for score in scores if score.origin == "imported"]
    imported = _told_apart(
        _rows(board, get_args(Condition), columns, theirs)
    )  # all conditions, also those that the board does not show
    return (*sections, *((PublishedSection(title=IMPORTED, rows=imported),) if imported else ()))


def _context_section(board: Board, section: ContextSection, scores: Sequence[PublishedScore]) -> PublishedSection:
    """The rows of one table of another source; every condition that the file states tells rows apart."""
    places = [section.columns.get(column.label) for column in board.columns]
    columns = [
        None if place is None else PublishedColumn(table=section.table, **place.model_dump()) for place in places
    ]
    theirs = [s for s in scores if (s.origin, s.source, s.table) == ("published", section.source, section.table)]
    for column in columns:
        if column is not None and not any(_fits(score, column) for score in theirs):
            where = f"{section.source}, {_place(column)}"
            raise ValueError(f"board '{board.name}': {section.file} has no number of {where}")
    rows = _told_apart(_rows(board, get_args(Condition), columns, theirs))
    unranked = tuple(replace(row, marks=(None,) * len(row.marks)) for row in rows)
    return PublishedSection(title=section.title, rows=unranked, is_context=True)


def is_shown(board: Board, score: PublishedScore) -> bool:
    """Whether a board has a column for a number."""
    mean = board.mean.published if board.mean else None
    places = (*(column.published for column in board.columns), mean)
    return board.published is not None and any(place is not None and _fits(score, place) for place in places)


def _told_apart(rows: tuple[PublishedRow, ...]) -> tuple[PublishedRow, ...]:
    """The rows, with their pretraining appended to labels that occur more than once."""
    times = Counter(row.label for row in rows)
    told = ("pretrain_data", "pretrain_epochs", "extra_data")
    words = [[_words(row.cells[key]) for key in told if row.cells[key]] for row in rows]
    return tuple(
        replace(row, label=f"{row.label} ({', '.join(more)})") if more and times[row.label] > 1 else row
        for row, more in zip(rows, words, strict=True)
    )


def _rows(
    board: Board, identity: Sequence[Condition], columns: list[PublishedColumn | None], scores: list[PublishedScore]
) -> tuple[PublishedRow, ...]:
    """One row per identity that has a number in any column, in the order of the file."""
    mean = board.mean.published if board.mean else None
    fitting = [score for score in scores if any(c is not None and _fits(score, c) for c in (*columns, mean))]
    by_identity: dict[tuple[str, ...], list[PublishedScore]] = {}
    for score in fitting:
        own = (score.source, *(_cell(score, key) for key in identity))
        by_identity.setdefault(own, []).append(score)
    rows = [_row(board, identity, columns, of_row) for of_row in by_identity.values()]
    return _marked(rows, [_is_higher_better(fitting, column) for column in columns])


def _row(
    board: Board, identity: Sequence[Condition], columns: list[PublishedColumn | None], scores: list[PublishedScore]
) -> PublishedRow:
    found = [None if column is None else _only(column, scores) for column in columns]
    mean = _only(board.mean.published, scores) if board.mean and board.mean.published else None
    cells: dict[str, str] = {key: _cell(scores[0], key) for key in identity}
    backbone = "backbone" in cells and "backbone" not in board.about
    label = scores[0].method + (f" {_words(cells['backbone'])}" if backbone else "")
    return PublishedRow(
        label=label,
        about={key: _words(cells.get(key, "")) for key in board.about},
        cells=cells,
        pretraining=tuple(dict.fromkeys((_cell(s, "pretrain_data"), _cell(s, "pretrain_epochs")) for s in scores)),
        values=tuple(None if score is None else score.value for score in found),
        marks=(None,) * len(found),
        axis_means=tuple(
            _mean([score for score, column in zip(found, board.columns, strict=True) if column.group == axis])
            for axis in board.axes
        ),
        mean=None if mean is None else mean.value,
        mean_mark=None,
        recomputed_mean=_mean(found) if board.mean else None,
        source=_sources([score for score in (*found, mean) if score is not None]),
        origin=scores[0].origin,
    )


def _mean(scores: list[PublishedScore | None]) -> float | None:
    return mean_of_columns(None if score is None else (score.value, score.higher_is_better) for score in scores)


def _marked(rows: list[PublishedRow], higher_is_better: list[bool]) -> tuple[PublishedRow, ...]:
    """Best and second best per column, among rows of one backbone."""
    marks = [_marks([row.values[i] for row in rows], rows, higher) for i, higher in enumerate(higher_is_better)]
    mean_marks = _marks([row.mean for row in rows], rows, True)
    return tuple(
        PublishedRow(**{**vars(row), "marks": tuple(column[i] for column in marks), "mean_mark": mean_marks[i]})
        for i, row in enumerate(rows)
    )


def _marks(values: list[float | None], rows: list[PublishedRow], higher_is_better: bool) -> list[Mark | None]:
    marks: list[Mark | None] = []
    for value, row in zip(values, rows, strict=True):
        peers = [
            other
            for other, its_row in zip(values, rows, strict=True)
            if other is not None and its_row.cells.get("backbone") == row.cells.get("backbone")
        ]
        order = sorted(set(peers), reverse=higher_is_better)
        is_best, is_second = value in order[:1], value in order[1:2]
        marks.append("best" if is_best and len(peers) > 1 else "second" if is_second and len(peers) > 2 else None)
    return marks


def _is_higher_better(scores: list[PublishedScore], column: PublishedColumn | None) -> bool:
    return all(score.higher_is_better for score in scores if column is not None and _fits(score, column))


def _only(column: PublishedColumn, scores: list[PublishedScore]) -> PublishedScore | None:
    matches = [score for score in scores if _fits(score, column)]
    if len(matches) > 1:
        raise ValueError(
            f"{len(matches)} published numbers of {matches[0].method} fit {_place(column)}; tell them apart with the "
            "section's 'where' or with 'identity' (pretrain_data, pretrain_epochs, extra_data, motion_guided)"
        )
    return matches[0] if matches else None


def _fits(score: PublishedScore, column: PublishedColumn) -> bool:
    place = (score.table, score.task, score.dataset, score.metric)
    return place == (column.table, column.task, column.dataset, column.metric)


def _place(column: PublishedColumn) -> str:
    return f"table {column.table}, task {column.task}, dataset {column.dataset}, metric {column.metric}"


def _cell(score: PublishedScore, name: str) -> str:
    """A cell as the CSV file writes it."""
    value = getattr(score, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _words(cell: str) -> str:
    return _WORDS.get(cell, cell)


def _sources(scores: list[PublishedScore]) -> str:
    """Paper, tables and pretraining data of a row's numbers: ``Paper: table frozen (pretrained on k400)``."""
    tables: dict[str, dict[str, None]] = {}
    for score in scores:
        data = f"pretrained on {score.pretrain_data}" if score.pretrain_data else "pretraining data not stated"
        data = "supervised" if score.pretrain_data == "supervised" else data
        tables.setdefault(score.source, {})[f"table {score.table} ({data})"] = None
    return "; ".join(f"{source}: {', '.join(places)}" for source, places in tables.items())
