"""What the gallery shows is what the models and protocols say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.checkpoints import read_checkpoint, save_checkpoint
from sigma_bench.models.zoo import load_encoder
from sigma_bench.pictures.feature_maps import moments, principal_components
from sigma_bench.pictures.gallery import draw_gallery
from sigma_bench.pictures.nearest_tubes import SEAM, load_prototypes, nearest_tubes, tube_in_context
from sigma_bench.pictures.neighbour_sheets import right_and_wrong
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.sigma.method import SigmaMethod
from sigma_bench.sigma.model import SigmaMlpModel
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.training.method import build_method
from tests.conftest import tiny_recipe

TASK = "ucf101/knn"


def tiny(name: str = "mini_sigma_mlp") -> MaskedVideoRecipe:
    recipe = tiny_recipe(name)
    assert isinstance(recipe, MaskedVideoRecipe)
    return recipe


def sigma_method() -> SigmaMethod:
    method = build_method(tiny(), seed=0).eval()
    assert isinstance(method, SigmaMethod)
    return method


def clips(number: int, spec: EncoderSpec) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    shape = (number, spec.num_frames, 3, spec.image_size, spec.image_size)
    return list(torch.from_numpy(rng.integers(0, 256, shape, np.uint8)))


def test_nearest_tubes_agree_with_the_projection_of_every_tube_alone() -> None:
    """Pixels cut out and standardised by hand; a prototype that is planted on a tube finds it."""
    method = sigma_method()
    model, spec = method.model, tiny().encoder
    assert isinstance(model, SigmaMlpModel)
    frames = clips(9, spec)
    t, p, (_, rows, columns) = spec.tubelet_frames, spec.patch_size, spec.grid()
    targets = []
    for clip in frames:
        for tube in range(int(np.prod(spec.grid()))):
            slot, row, column = tube // (rows * columns), tube // columns % rows, tube % columns
            cut_TCHW = clip[
                slot * t : (slot + 1) * t, :, row * p : (row + 1) * p, column * p : (column + 1) * p
            ].double()
            pixel_PC = cut_TCHW.permute(0, 2, 3, 1).reshape(-1, 3)
            targets.append(((pixel_PC - pixel_PC.mean(0)) / pixel_PC.std(0)).flatten().float())
    with torch.no_grad():
        target_MD = torch.nn.functional.normalize(model.projector(torch.stack(targets)), dim=1)
        model.prototypes.weight[5] = 3 * target_MD[2 * rows * columns * spec.grid()[0] + 7]
        prototype_KD = torch.nn.functional.normalize(model.prototypes.weight, dim=1)
    cosine_SNK = (target_MD @ prototype_KD.T).reshape(len(frames), -1, len(prototype_KD)).numpy()
    found = nearest_tubes(method, frames)
    assert found.ranked(5, 1)[0][:2] == (2, 7) and found.ranked(5, 1)[0][2] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(found.cosine_SK, cosine_SNK.max(1), atol=1e-4)
    np.testing.assert_array_equal(found.usage_K, np.bincount(cosine_SNK.argmax(2).ravel(), minlength=len(prototype_KD)))
    order = [cosine for _, _, cosine in found.ranked(0, 4)]
    assert order == sorted(found.cosine_SK[:, 0].tolist(), reverse=True)[:4]


@pytest.mark.parametrize(("row", "column", "top", "left"), [(0, 0, 0, 0), (2, 3, 1, 2), (5, 5, 3, 3)])
def test_a_tube_is_boxed_where_it_is(row: int, column: int, top: int, left: int) -> None:
    spec = tiny().encoder
    patch, frame_TCHW = spec.patch_size, clips(1, spec)[0]
    picture, boxes = tube_in_context(frame_TCHW, int(np.ravel_multi_index((1, row, column), spec.grid())), spec)
    assert picture.shape == (3 * patch, spec.tubelet_frames * (3 * patch + SEAM) - SEAM, 3)
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        assert y0 == (row - top) * patch and x0 - number * (3 * patch + SEAM) == (column - left) * patch
        wanted = frame_TCHW[spec.tubelet_frames + number, :, row * patch : (row + 1) * patch][
            ..., column * patch : (column + 1) * patch
        ]
        np.testing.assert_array_equal(picture[int(y0) : int(y1), int(x0) : int(x1)].transpose(2, 0, 1), wanted)


def test_only_sigma_has_prototypes_and_they_load_completely(tmp_path: Path) -> None:
    model, other = sigma_method().model, build_method(tiny("mini_videomae"), seed=0).model
    for name, network, recipe in (("a", model, tiny()), ("b", other, tiny("mini_videomae"))):
        save_checkpoint(tmp_path / f"{name}.safetensors", network.state_dict(), recipe, seed=0, identity="x")
    loaded = load_prototypes(read_checkpoint(tmp_path / "a.safetensors"), teacher=None, device="cpu")
    assert loaded is not None
    for key, value in model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], value, rtol=0, atol=0)
    assert load_prototypes(read_checkpoint(tmp_path / "b.safetensors"), teacher=None, device="cpu") is None


def test_components_are_those_of_scikit_learn_and_grow_with_brightness() -> None:
    rng = np.random.default_rng(0)
    token_ND = rng.normal(size=(40, 7)) * np.arange(1, 8)
    brightness_N = rng.normal(size=40)
    value_N3, share = principal_components(token_ND, brightness_N)
    reference = PCA(3).fit(token_ND)
    np.testing.assert_allclose(np.abs(value_N3), np.abs(reference.transform(token_ND)), atol=1e-9)
    assert share == pytest.approx(reference.explained_variance_ratio_.sum())
    assert all(np.corrcoef(brightness_N, value_N3[:, axis])[0, 1] > 0 for axis in range(3))
    np.testing.assert_allclose(principal_components(token_ND, -brightness_N)[0], -value_N3)
    with pytest.raises(ValueError, match="tokens of the clip are the same"):
        principal_components(np.ones((5, 4)), brightness_N[:5])


def test_moments_of_models_with_other_slots_belong_together() -> None:
    assert moments(np.arange(8), 4).tolist() == [0, 2, 4, 6] and moments(np.arange(4), 4).tolist() == [0, 1, 2, 3]


def test_right_queries_come_before_wrong_ones_in_one_order_for_all_models() -> None:
    is_right = np.arange(20) % 4 > 0
    chosen = right_and_wrong(is_right, 3, seed=1)
    assert is_right[chosen].tolist() == [True] * 3 + [False] * 3
    order = np.random.default_rng(1).permutation(20).tolist()
    everything = right_and_wrong(np.ones(20, bool), 20, seed=1)
    assert everything.tolist() == order and right_and_wrong(~is_right, 3, seed=1).tolist() == [*chosen[3:], *chosen[:3]]


def test_the_gallery_says_what_the_protocol_scores(world: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", sigma_method().model.state_dict(), tiny(), seed=4, identity="x")
    name, task, cache = (
        str(tmp_path / "model.safetensors"),
        resolve(load_task(TASK)),
        FeatureCache(tmp_path / "features"),
    )
    said: list[str] = []
    names, titles = [name, "statistics:mini_sigma_mlp"], {"image_statistics": "Mean colours"}
    drawn = {
        picture.stem: picture for picture in draw_gallery(names, task, world, cache, titles=titles, report=said.append)
    }
    run = f"ucf101-{tiny().recipe}-seed4"
    assert list(drawn) == [
        f"prototypes-{run}",
        "features-ucf101",
        f"neighbours-{run}",
        "neighbours-ucf101-image_statistics",
    ]
    assert said == ["Mean colours: no prototypes, so no prototype gallery"]
    caption = drawn["features-ucf101"].caption
    assert f"{tiny().recipe}, pretraining seed 4, checkpoint" in caption and "Mean colours, checkpoint" in caption
    record = find_or_evaluate(
        load_encoder(name), task, world, tmp_path, seed=0, report=lambda *_: None, cache=cache
    ).record
    scored = record.data.splits["test"].scored
    right = round(record.scores[0].value * scored)
    assert f"the votes are right for {right} of all {scored}" in drawn[f"neighbours-{run}"].caption
    for picture in (drawn[f"prototypes-{run}"], drawn[f"neighbours-{run}"]):
        assert "pretraining seed 4" in picture.caption and record.model.checkpoint_sha256[:12] in picture.caption


def test_bad_wishes_are_refused(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with pytest.raises(ValueError, match=r"'ucf101/linear' is no kNN task"):
        list(draw_gallery([], resolve(load_task("ucf101/linear")), tmp_path, cache))
    with pytest.raises(ValueError, match="no picture 'maps'; choose among prototypes"):
        list(draw_gallery([], resolve(load_task(TASK)), tmp_path, cache, kinds=["maps"]))
