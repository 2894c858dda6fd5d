"""propagation: masks of features with known motion, by the rules of DINO's script."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.protocols.propagation.run import (
    FrameMap,
    encoded_size,
    hard_mask,
    neighbourhood,
    patch_labels,
    propagate,
    propagated,
    run,
)
from sigma_bench.protocols.propagation.spec import PropagationProtocol
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import score
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from tests.models.timm_folders import FAMILIES, build, write_folder
from tests.protocols.opened import opened
from tests.protocols.twins import run_by_two


def protocol(**changes: object) -> PropagationProtocol:
    base = resolve(load_task("davis2017/propagation")).protocol
    assert isinstance(base, PropagationProtocol)
    return base.model_copy(update=changes)


def moving_block(num_frames: int, side: int = 12) -> tuple[list[FrameMap], list[np.ndarray]]:
    """Unit features of a block of 3 x 3 patches that moves a patch a frame, and its mask at one pixel a patch."""
    maps, masks = [], []
    for t in range(num_frames):
        mask = np.zeros((side, side), np.uint8)
        mask[4:7, 1 + t : 4 + t] = 1
        feature = np.eye(2, dtype=np.float32)[mask].reshape(-1, 2)
        maps.append(FrameMap(torch.from_numpy(feature), (side, side), (side, side)))
        masks.append(mask)
    return maps, masks


def test_a_moving_block_is_followed_exactly() -> None:
    maps, masks = moving_block(8)
    found = list(propagated(maps[0], maps[1:], masks[0], 1, protocol()))
    np.testing.assert_array_equal(found, masks[1:])


def test_a_block_that_leaves_the_neighbourhood_of_all_context_is_lost() -> None:
    maps, masks = moving_block(8)
    jump = [maps[0], maps[7]]  # seven patches to the right, but the radius is three
    (found,) = propagated(jump[0], jump[1:], masks[0], 1, protocol(radius_patches=3, top_k=1))
    assert not found.any()
    (found,) = propagated(jump[0], jump[1:], masks[0], 1, protocol(radius_patches=9, top_k=1))
    np.testing.assert_array_equal(found, masks[7])


def test_the_first_frame_is_never_forgotten_and_the_others_are() -> None:
    """A block that is hidden for longer than the context is found again from the first frame."""
    maps, masks = moving_block(1)
    hidden = FrameMap(torch.tensor([[1.0, 0.0]]).repeat(144, 1), (12, 12), (12, 12))
    *_, last = propagated(maps[0], [hidden] * 5 + [maps[0]], masks[0], 1, protocol(context_frames=2, top_k=1))
    np.testing.assert_array_equal(last, masks[0])


def slow_propagate(target, context, label, rows, columns, settings):  # type: ignore[no-untyped-def]
    """A loop over patches that follows the text of the paper."""
    result = np.zeros((label.shape[1], rows * columns))
    for n in range(rows * columns):
        weights = []
        for f in range(len(context)):
            for m in range(rows * columns):
                far = max(abs(n // columns - m // columns), abs(n % columns - m % columns))
                if far <= settings.radius_patches:
                    weights.append((np.exp(target[n] @ context[f, m] / settings.temperature), f, m))
        best = sorted(weights, reverse=True)[: settings.top_k]
        total = sum(weight for weight, _, _ in best)
        for weight, f, m in best:
            result[:, n] += weight / total * label[f, :, m]
    return result


@pytest.mark.parametrize(("radius", "top_k"), [(1, 3), (2, 5), (12, 5), (1, 40)])
def test_propagation_equals_a_loop_over_patches(radius: int, top_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigma_bench.protocols.propagation.run.PATCHES_AT_ONCE", 7)  # of 20: three parts
    rng = np.random.default_rng(0)
    rows, columns, settings = 4, 5, protocol(radius_patches=radius, top_k=top_k)
    feature = rng.normal(size=(4, rows * columns, 6))
    feature /= np.linalg.norm(feature, axis=2, keepdims=True)
    label = rng.dirichlet(np.ones(3), size=(3, rows * columns)).transpose(0, 2, 1)
    expected = slow_propagate(feature[3], feature[:3], label, rows, columns, settings)
    found = propagate(
        *(torch.from_numpy(part) for part in (feature[3], feature[:3], label)),
        neighbourhood(rows, columns, radius),
        settings,
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(found.numpy().sum(0), 1)


def test_every_label_s_map_is_stretched_before_the_largest_wins() -> None:
    soft = torch.tensor([[[0.9, 0.8], [0.7, 0.9]], [[0.1, 0.2], [0.3, 0.1]], [[0.0, 0.0], [0.0, 0.0]]])
    # background: 1, 0.5, 0, 1; object 1: 0, 0.5, 1, 0 (a tie goes to the lower label); object 2 is nowhere
    assert hard_mask(soft, (2, 2)).tolist() == [[0, 0], [1, 0]]


def test_patch_labels_are_those_of_the_middle_pixel_and_no_object_is_background() -> None:
    mask = np.array([[1, 1, 1, 0, 0, 0], [1, 2, 1, 0, 3, 0], [1, 1, 1, 0, 0, 0]], np.uint8)
    label = patch_labels(mask, 2, (1, 2))
    assert label.argmax(0).tolist() == [[2, 0]]


@pytest.mark.parametrize(
    ("size", "seen"),
    [((480, 854), (480, 832)), ((480, 910), (480, 896)), ((480, 1152), (480, 1152)), ((854, 480), (832, 480))],
)
def test_frame_sizes_are_those_of_the_published_script(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert encoded_size(size, protocol(short_side=480, aspect="keep"), 224) == seen
    assert encoded_size(size, protocol(), 224) == (448, 448)
    assert encoded_size(size, protocol(short_side="encoder"), 224) == (224, 224)


class Colours:
    """The mean colour of every 4 x 4 pixels, whatever the size of the frame; clips are one tubelet long."""

    card = load_encoder("random:mini_videomae").card.model_copy(update={"feature_width": 4})

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        assert clip_BCTHW.shape[2] == self.card.tubelet_frames == 2
        assert torch.equal(clip_BCTHW[:, :, 0], clip_BCTHW[:, :, 1])
        map_BCThw = torch.nn.functional.avg_pool3d(clip_BCTHW, (2, 4, 4))
        token_BNC = torch.cat([map_BCThw.flatten(2), torch.ones(1, 1, map_BCThw[0, 0].numel())], 1).transpose(1, 2)
        return Features(token_BNC, tuple(map_BCThw.shape[2:]))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def davis(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The mini world's sequences, of which only the first seven frames are left."""
    manifest = open_dataset(load_dataset("davis2017"), world)
    split, root = manifest.splits["test"], tmp_path_factory.mktemp("short")
    samples = []
    for sample in split.samples:
        assert sample.mask_folder is not None
        short = {"path": root / "frames" / sample.id, "mask_folder": root / "masks" / sample.id}
        for folder, source in zip(short.values(), (sample.path, sample.mask_folder), strict=True):
            folder.mkdir(parents=True)
            for path in sorted(source.iterdir())[:7]:
                (folder / path.name).symlink_to(path)
        samples.append(replace(sample, **short))  # type: ignore[arg-type]
    return replace(manifest, splits={"test": replace(split, samples=tuple(samples))})


def make_evaluation(manifest: Manifest, folder: Path, encoder: object = None, **changes: object) -> Evaluation[Any]:
    return opened(encoder or Colours(), resolve(load_task("davis2017/propagation"), changes), manifest, folder)  # type: ignore[arg-type]


def test_solid_shapes_are_followed_by_their_colour_and_two_processes_agree(davis: Manifest, tmp_path: Path) -> None:
    evaluation = make_evaluation(davis, tmp_path)
    predictions = run(evaluation)
    assert predictions is not None
    stored, controls = predictions.arrays, predictions.controls
    values = {name: score(name, evaluation.task.protocol, stored, 0).value for name in evaluation.task.protocol.metrics}
    assert controls["nothing_found"] < controls["first_mask_stays"] < values["jf_mean"] < 1
    assert values["jf_mean"] == pytest.approx((values["j_mean"] + values["f_mean"]) / 2)
    assert not score("j_decay", evaluation.task.protocol, stored, 0).higher_is_better
    np.testing.assert_allclose(np.nanmean(stored["j_frames"], axis=1), stored["j_mean"])
    assert stored["j_frames"].shape[1] == 5  # of 7 frames the first and the last are not scored
    assert len(set(stored["groups"])) == predictions.num_scored == 2
    together, nothing = run_by_two(run, make_evaluation(davis, tmp_path / "two"))
    assert nothing is None
    assert together is not None
    assert together.controls == controls
    for name, rows in stored.items():
        np.testing.assert_array_equal(together.arrays[name], rows)


class Killed(Colours):
    """An encoder that fails in the second sequence and counts the frames that it encoded."""

    def __init__(self, last: int | None) -> None:
        self.last, self.frames = last, 0

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        if self.frames == self.last:
            raise KeyboardInterrupt
        self.frames += 1
        return super().encode(clip_BCTHW)


def record_of(davis: Manifest, output: Path, encoder: Killed) -> tuple[Record, list[tuple[int, int]]]:
    shown: list[tuple[int, int]] = []
    task = resolve(load_task("davis2017/propagation"), {"uncertainty": {"replicates": 20}})

    def report(phase: str, done: int, total: int) -> None:
        if phase == "propagation":
            shown.append((done, total))

    found = find_or_evaluate(encoder, task, davis, output, seed=0, report=report)  # type: ignore[arg-type]
    return found.record, shown


def identity(record: Record) -> object:
    return record.key(), record.scores, record.controls, list(record.controls), record.predictions


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_killed_run_continues_after_its_finished_sequences(
    davis: Manifest, tmp_path: Path, is_damaged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged result of a finished sequence is named and computed again."""
    whole, shown = record_of(davis, tmp_path / "whole", Killed(None))
    assert shown == [(0, 2), (1, 2), (2, 2)]
    with pytest.raises(KeyboardInterrupt):
        record_of(davis, tmp_path / "killed", Killed(last=10))
    (kept,) = (tmp_path / "killed" / "unfinished").rglob("*.arrays")
    if is_damaged:
        content = kept.read_bytes()
        kept.write_bytes(content[:-50] + bytes([content[-50] ^ 1]) + content[-49:])
    again = Killed(None)
    record, _ = record_of(davis, tmp_path / "killed", again)
    assert again.frames == (14 if is_damaged else 7)
    assert (f"{kept}: damaged" in caplog.text) == is_damaged
    assert identity(record) == identity(whole)
    assert not list((tmp_path / "killed" / "unfinished").iterdir())


def test_frames_that_are_not_square_keep_their_grid(davis: Manifest, tmp_path: Path) -> None:
    encoder: Encoder = load_encoder("random:mini_videomae")
    features = encoder.encode(torch.zeros(1, 3, 2, 48, 80))
    assert features.grid == (1, 6, 10)
    assert features.token_BND.shape[1] == 60


def test_a_first_frame_without_objects_is_refused(davis: Manifest, tmp_path: Path) -> None:
    split = davis.splits["test"]
    sample = split.samples[0]
    assert sample.mask_folder is not None
    for path in sample.mask_folder.iterdir():
        Image.fromarray(np.zeros((96, 96), np.uint8)).save(tmp_path / path.name)
    empty = replace(split, samples=(replace(sample, mask_folder=tmp_path), *split.samples[1:]))
    with pytest.raises(ValueError, match="sequence 'shapes-val-00': the first frame shows no object"):
        run(make_evaluation(replace(davis, splits={"test": empty}), tmp_path))


class TwoMaps(Colours):
    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        features = super().encode(clip_BCTHW)
        return Features(features.token_BND.repeat(1, 2, 1), (2, *features.grid[1:]))


class OneSizeOnly(Colours):
    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        raise ValueError("model 'colours' takes no frames of 96 x 96 px")


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        (TwoMaps(), "2 frames in tubelets of 2 make other time slots"),
        (OneSizeOnly(), r"takes no frames of 96 x 96 px .*short_side 'encoder' and aspect 'squash' give the \d+ px"),
    ],
)
def test_encoders_that_do_not_fit_are_named(davis: Manifest, tmp_path: Path, encoder: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(make_evaluation(davis, tmp_path, encoder))


class Lasting(Colours):
    """Colours of the first frame, for clips of four frames only."""

    card = Colours.card.model_copy(update={"min_frames": 4, "num_frames": 4})

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        assert clip_BCTHW.shape[2] == 4
        features = super().encode(clip_BCTHW[:, :, :2])
        later_BND = torch.zeros_like(features.token_BND)
        return Features(torch.cat([features.token_BND, later_BND], 1), (2, *features.grid[1:]))


def test_an_encoder_of_fixed_length_gets_whole_clips(davis: Manifest, tmp_path: Path) -> None:
    first, second = (run(make_evaluation(davis, tmp_path / "a", encoder)) for encoder in (Colours(), Lasting()))
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.arrays["j_mean"], second.arrays["j_mean"])


def test_image_models_of_timm_take_the_frames_that_their_class_can(davis: Manifest, tmp_path: Path) -> None:
    names = []
    for family in ("ViT", "BEiT"):
        tiny = FAMILIES[family]
        names.append(f"timm:local-dir:{write_folder(tmp_path / family, tiny, build(tiny).state_dict())}")
    changes = {"short_side": 96, "aspect": "keep", "long_side_multiple_px": 16}
    predictions = run(make_evaluation(davis, tmp_path / "vit", load_encoder(names[0]), **changes))
    assert predictions is not None and "oracle_patches_6x6" in predictions.controls
    with pytest.raises(
        ValueError, match=r"Beit takes no frames of 96 x 96 px: it was built for 64 x 64 px .*short_side 'en"
    ):
        run(make_evaluation(davis, tmp_path / "beit", load_encoder(names[1]), **changes))
