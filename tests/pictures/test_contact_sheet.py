"""Contact sheets show the frames that were read with their masks, or the reason if a file cannot be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.data.annotations import ActionIntervals, CycleBounds, ObjectCategories
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.transforms import squash
from sigma_bench.pictures.contact_sheet import CELL, GAP, LINE, contact_sheet, description, draw_samples
from sigma_bench.specs.catalogue import load_dataset


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = row * (CELL + LINE) + LINE, column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


def test_first_and_last_frame_stand_at_the_ends(world: Path) -> None:
    manifest = open_dataset(load_dataset("ssv2"), world)
    samples = draw_samples(manifest.splits["train"].samples, 3, seed=1)
    sheet = np.asarray(contact_sheet(samples, manifest, 4))
    assert sheet.shape == (3 * (CELL + LINE), 4 * (CELL + GAP), 3)
    for row, sample in enumerate(samples):
        decoder = open_media(sample)
        first, last = squash(decoder.frames([0, len(decoder) - 1]), CELL).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(cell(sheet, row, 0), first)
        assert np.array_equal(cell(sheet, row, 3), last)
        assert not np.array_equal(first, last)


def test_masks_colour_objects_only(world: Path) -> None:
    manifest = open_dataset(load_dataset("davis2017"), world)
    (sample,) = draw_samples(manifest.splits["test"].samples, 1, seed=0)
    masked = np.asarray(contact_sheet([sample], manifest, 2)).astype(int)
    plain = np.asarray(contact_sheet([replace(sample, mask_folder=None)], manifest, 2)).astype(int)
    differs = (cell(masked, 0, 0) != cell(plain, 0, 0)).any(-1)
    assert 0.02 < differs.mean() < 0.9


def test_a_file_that_cannot_be_read_has_its_reason_in_red(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(load_dataset("ssv2"), world)
    good, bad = draw_samples(manifest.splits["train"].samples, 2, seed=0)
    (tmp_path / "broken.webm").write_text("no video")
    sheet = np.asarray(contact_sheet([good, replace(bad, path=tmp_path / "broken.webm")], manifest, 4))
    below = sheet[CELL + 2 * LINE :]
    assert (below == (255, 0, 0)).all(-1).any()
    assert (below == 255).mean() > 0.8


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (Sample("a", Path("a"), "video", 1, group="a"), "Turning"),
        (
            Sample("a", Path("a"), "video", None, "a", annotation=ActionIntervals(((0, 1.5, 4.0), (1, 0.0, 2.0)))),
            "Moving 1.5 to 4 s; Turning 0 to 2 s",
        ),
        (Sample("a", Path("a"), "video", None, "a", annotation=CycleBounds((0, 5, 9, 14))), "3 repetitions"),
        (Sample("a", Path("a"), "video", None, "a", annotation=ObjectCategories(((1, 2),))), "object 1 Turning"),
        (Sample("a", Path("a"), "frame_folder", None, "a", mask_folder=Path("m")), "masks"),
    ],
)
def test_labels_in_words(sample: Sample, expected: str, world: Path) -> None:
    manifest = replace(open_dataset(load_dataset("ssv2"), world), classes=("Moving", "Turning"))
    assert description(sample, manifest) == expected


def test_draws_are_repeatable_and_stay_in_order(world: Path) -> None:
    samples = open_dataset(load_dataset("ssv2"), world).splits["train"].samples
    drawn = draw_samples(samples, 5, seed=3)
    assert drawn == draw_samples(samples, 5, seed=3) != draw_samples(samples, 5, seed=4)
    assert [samples.index(sample) for sample in drawn] == sorted(samples.index(sample) for sample in drawn)
    assert draw_samples(samples, 10**6, seed=0) == list(samples)


def test_the_command_writes_a_png_or_says_what_there_is(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    options = ["data", "show", str(world), "davis2017", "--samples", "2", "--output", str(path)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(b"\x89PNG")
    wrong = CliRunner().invoke(app, [*options, "--split", "all"])
    assert "--split all: davis2017 has train, test" in str(wrong.exception)
