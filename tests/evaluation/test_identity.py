"""A stored number is never returned for another model, geometry, code, data or protocol; a damaged cache is noticed."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sigma_bench.data.custom_data import custom_tasks, open_custom
from sigma_bench.evaluation.plan import plan_tasks
from sigma_bench.evaluation.reading import readings
from sigma_bench.evaluation.run import FoundRecord, find_or_evaluate
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.custom_encoder import as_encoder
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.task import ResolvedTask
from tests.evaluation.test_evaluate import quiet

PER_CLASS = 12
COLOURS = ((250, 20, 20), (20, 250, 20), (20, 20, 250))


def write_photos(folder: Path, classes: int = 3) -> Path:
    """A train and a test split of plain images, whose colour is their class but for some noise."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(classes):
            for number in range(PER_CLASS):
                path = folder / split / f"class{label}" / f"{number}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = np.clip(rng.normal(COLOURS[label % 3], 20, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(picture).save(path)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


class Colour(nn.Module):
    """The mean colour of a clip as its only token, changed by a function."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return self.change(clip_BCTHW.mean((2, 3, 4)))[:, None]


def colour_encoder(change: Callable[[torch.Tensor], torch.Tensor] = lambda x: x) -> Encoder:
    return as_encoder(
        Colour(change), name="mine", num_frames=1, image_size=8, tubelet_frames=1, grid=(1, 1, 1), feature_width=3,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip


class WithCard:
    """An encoder under another card."""

    def __init__(self, encoder: Encoder, **changed: object) -> None:
        self._encoder, self.card = encoder, encoder.card.model_copy(update=changed)

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        return self._encoder.encode(clip_BCTHW)


def knn(photos: Path, output: Path, encoder: Encoder, **overrides: object) -> FoundRecord:
    """The kNN task of the class folders."""
    ((task, manifest),) = _tasks(photos, "knn@1", {"neighbours": 5, **overrides})
    return find_or_evaluate(encoder, task, manifest, output, seed=0, report=quiet)


def _tasks(photos: Path, protocol: str, overrides: dict[str, object]) -> list[tuple[ResolvedTask, object]]:
    manifest = open_custom(folders=photos)
    return [(task, manifest) for task in custom_tasks(manifest, protocols=[protocol], overrides=overrides)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("checkpoint_sha256", "0" * 64),
        ("code_sha256", "0" * 64),
        ("num_frames", 2),
        ("image_size", 16),
        ("mean", (0.4, 0.5, 0.5)),
        ("std", (0.5, 0.5, 0.4)),
    ],
)
def test_everything_that_changes_a_feature_is_another_evaluation(
    photos: Path, tmp_path: Path, field: str, value: object
) -> None:
    """Neither the record nor the cached features of another encoder under the same name and in the same folder are
    used."""
    plain = load_encoder("statistics:mini_videomae")
    output = tmp_path / "runs"
    assert not knn(photos, output, plain).was_there
    assert knn(photos, output, plain).was_there
    assert not knn(photos, output, WithCard(plain, **{field: value})).was_there
    assert len(list((output / "features").iterdir())) == 4  # two splits under either card


def test_code_that_changes_under_the_same_name_and_weights_is_evaluated_anew(photos: Path, tmp_path: Path) -> None:
    """Mean colours tell the classes apart, and a constant does not."""
    output = tmp_path / "runs"
    assert knn(photos, output, colour_encoder()).record.scores[0].value == 1.0
    blind = knn(photos, output, colour_encoder(lambda x: 0 * x + 1))
    assert not blind.was_there and blind.record.scores[0].value == pytest.approx(1 / 3)


def test_files_of_equal_size_that_are_replaced_are_other_data(photos: Path, tmp_path: Path) -> None:
    output, rng = tmp_path / "runs", np.random.default_rng(1)
    assert knn(photos, output, colour_encoder()).record.scores[0].value == 1.0
    for path in photos.rglob("*.bmp"):
        size = path.stat().st_size
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
        assert path.stat().st_size == size
    replaced = knn(photos, output, colour_encoder())
    assert not replaced.was_there and replaced.record.scores[0].value < 0.7
    fresh = knn(photos, tmp_path / "fresh", colour_encoder(), neighbours=4)
    assert knn(photos, output, colour_encoder(), neighbours=4).record.scores == fresh.record.scores


def test_classes_that_only_train_has_are_clusters_too(photos: Path, tmp_path: Path) -> None:
    def clustering() -> FoundRecord:
        few = {"num_seeds": 1, "overclustering_factor": 1, "uncertainty": {"replicates": 10}}
        ((task, manifest),) = _tasks(photos, "clustering@1", few)
        return find_or_evaluate(colour_encoder(), task, manifest, tmp_path / "runs", seed=0, report=quiet)

    three = clustering()
    assert clustering().was_there
    write_photos(tmp_path / "more", classes=5)
    for label in (3, 4):
        (tmp_path / "more" / "train" / f"class{label}").rename(photos / "train" / f"class{label}")
    five = clustering()
    assert not five.was_there
    assert (three.record.data.num_classes, five.record.data.num_classes) == (3, 5)
    assert three.record.data.splits == five.record.data.splits  # only the number of classes differs


@pytest.mark.parametrize("option", [{"loader": "memory"}, {"clips_at_once": 3}, {"checkpoint_every_steps": 7}])
def test_how_the_work_is_done_is_no_part_of_a_fingerprint(option: dict[str, object]) -> None:
    task = load_task("ssv2/finetune")
    assert task_fingerprint(resolve(task, option)) == task_fingerprint(resolve(task))
    assert task_fingerprint(resolve(task, {"drop_path": 0.3})) != task_fingerprint(resolve(task))


@pytest.mark.parametrize(
    "damage", ["flipped", "not finite", "truncated", "removed", "no array", "marker", "description"]
)
def test_a_damaged_cache_entry_is_computed_again(
    photos: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "runs"
    expected = knn(photos, output, colour_encoder()).record.scores[0].value
    for folder in (output / "features").iterdir():
        array, marker = folder / "feature.npy", next(folder.glob("block-*.json"))
        content = bytearray(array.read_bytes())
        if damage in ("flipped", "not finite"):
            bad = np.frombuffer(bytes(content[-12:]), np.float32) * -1 if damage == "flipped" else np.full(3, np.nan)
            array.write_bytes(bytes(content[:-12]) + bad.astype(np.float32).tobytes())
        elif damage == "truncated":
            array.write_bytes(bytes(content[:-12]))
        elif damage == "removed":
            array.unlink()
        elif damage == "no array":
            array.write_bytes(b"no array")
        else:
            (marker if damage == "marker" else folder / "description.json").write_text("[]")
    with caplog.at_level(logging.WARNING):
        found = knn(photos, output, colour_encoder(), temperature=0.08)
    assert not found.was_there and found.record.scores[0].value == expected == 1.0
    assert ("damaged" in caplog.text) == (damage != "description")
    again = FeatureCache(output / "features")
    plan = plan_tasks(colour_encoder(), _tasks(photos, "knn@1", {"neighbours": 4}), output, again, seed=0)
    assert [planned.state for planned in plan] == ["features cached"]


def test_a_record_names_the_decoders_of_its_videos(world: Path, tmp_path: Path) -> None:
    encoder, task = load_encoder("statistics:mini_videomae"), resolve(load_task("ssv2/knn"))
    record = find_or_evaluate(encoder, task, world, tmp_path, seed=0, report=quiet).record
    assert {name: sum(split.decoders.values()) for name, split in record.data.splits.items()} == {
        "train": 80,
        "test": 40,
    }
    provenance = record.provenance
    assert provenance.reading is not None and provenance.ffmpeg is not None
    for name, split in record.data.splits.items():
        assert provenance.reading[name].decoders == split.decoders
        assert provenance.reading[name].frames == split.found * 8  # one clip of 8 frames per video
    assert provenance.ffmpeg.keys() == {decoder.partition("_")[0] for decoder in split.decoders}
    assert all(version[0].isdecimal() for version in provenance.ffmpeg.values())


def test_training_reads_few_frames_by_pyav_and_counts_them_in_every_epoch(world: Path) -> None:
    encoder, task = load_encoder("statistics:mini_videomae"), resolve(load_task("ssv2/finetune_mini"))
    session = open_session(encoder.card, task, world, seed=0)
    train, test = readings(session, encoder.card, failures=()).values()
    assert train.decoders == {"pyav": 80}
    epochs, repeats = task.protocol.optim.epochs, task.protocol.augmentation.repeats  # type: ignore[attr-defined]
    assert train.frames == 80 * 8 * epochs * repeats
    missing = readings(session, encoder.card, failures=session.splits[-1].ids[:10])["test"]
    assert missing.frames == test.frames * 30 / 40 and sum(missing.decoders.values()) == 30
