"""Our step against what the released code computed, on models filled by rule (no weights are stored).

The golden files of tiny models lie in ``tests/golden``; its README says what they hold.  Larger ones, such as ViT-S,
are tested too where the environment variable ``SIGMA_BENCH_GOLDEN`` names their folder.

The weights go through a file as it was released and the reader for such files.  Outputs and the gradient of every
parameter are compared, in float64: loss and total gradient norm hardly notice a wrong patch embedding or LayerNorm
epsilon.
"""

import os
from pathlib import Path

import pytest
import torch
from timm.models import VisionTransformer

from sigma_bench.models.checkpoints import load_strictly
from sigma_bench.models.external import to_our_names
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.masked_autoencoder import MaskedAutoencoder, tube_width
from sigma_bench.models.recipe_encoder import random_encoder
from sigma_bench.sigma.model import SigmaDinoModel, SigmaMlpModel
from sigma_bench.sigma.objective import assign, sigma_step
from sigma_bench.sigma.spec import ClusterObjective, SigmaDinoObjective, SigmaMlpObjective, TeacherSpec
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import IMAGENET_STD, EncoderSpec, ImageEncoderSpec
from sigma_bench.videomae.objective import videomae_step
from sigma_bench.videomae.spec import VideoMaeObjective
from tests.golden.fill import clips, fill, tube_mask
from tests.models.external_files import external_checkpoint

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TINY = [GOLDEN / f"{name}.pt" for name in ("sigma_mlp_tiny_eps05", "sigma_dino_tiny", "videomae_tiny")]
LARGER_VARIABLE = "SIGMA_BENCH_GOLDEN"
LARGER = sorted(Path(os.environ[LARGER_VARIABLE]).glob("*.pt")) if LARGER_VARIABLE in os.environ else []
NOT_GIVEN = pytest.param(
    None, id="larger", marks=pytest.mark.skip(reason=f"{LARGER_VARIABLE} names no folder of larger golden files")
)
GIVEN = [pytest.param(path, id=path.stem) for path in LARGER] or [NOT_GIVEN]
RELEASED_HEADS = {192: 3, 384: 6, 768: 12, 512: 8, 1024: 16}
"""Attention heads of the released sizes by width, encoders and decoders alike; for files that do not state them."""


@pytest.fixture(scope="module", params=[*(pytest.param(path, id=path.stem) for path in TINY), *GIVEN])
def golden(request):
    return torch.load(request.param, weights_only=True)


@pytest.fixture(scope="module")
def weights(golden, tmp_path_factory):
    """The parameters by rule, saved under their released names and read back by the reader of released files."""
    path = tmp_path_factory.mktemp("released") / "checkpoint.pth"
    torch.save({"model": fill(golden["shapes"])}, path)
    return external_checkpoint(path).tensors


def objective_of(golden):
    if "K" not in golden:
        return VideoMaeObjective(kind="videomae")
    common = {
        "num_prototypes": golden["K"],
        "epsilon": golden["eps"],
        "sinkhorn_iterations": 10,
        "temperature": 0.1,
        "codes": "hard",
    }
    if "teacher" in golden:
        teacher = TeacherSpec(model="golden", width=golden["teacher"]["embed_dim"], resize="none")
        return SigmaDinoObjective(kind="sigma_dino", teacher=teacher, **common)
    widths = tuple(golden["shapes"][f"head.{layer}.weight"][0] for layer in (0, 2, 4, 6))
    return SigmaMlpObjective(kind="sigma_mlp", projector_widths=widths, **common)


def teacher_of(golden, encoder, objective, dtype):
    """The frozen image model of a golden file: timm's, filled by the same rule, its classifier left out."""
    shape = golden["teacher"]
    vit = VisionTransformer(patch_size=16, num_classes=0, **shape)
    filled = fill(golden["teacher_shapes"])
    load_strictly(vit, filled, may_be_unexpected=("head.",), where="golden teacher")
    spec = ImageEncoderSpec(
        num_frames=8, image_size=shape["img_size"], patch_size=16, width=shape["embed_dim"], depth=shape["depth"],
        num_heads=shape["num_heads"],
    )  # fmt: skip
    return Teacher(FrameEncoder(vit.to(dtype), random_encoder(spec, 0).card), objective.teacher, encoder)


def filled_model(golden, weights, dtype):
    """The model of a golden file, with every parameter from the released file and none left over."""
    shapes = golden["shapes"]
    width, _, tubelet, patch, _ = shapes["encoder.patch_embed.proj.weight"]
    depth, decoder_depth = (
        len({name.split(".")[2] for name in shapes if name.startswith(f"{part}.blocks.")})
        for part in ("encoder", "decoder")
    )
    encoder = EncoderSpec(
        num_frames=16, image_size=golden["size"], patch_size=patch, tubelet_frames=tubelet, width=width, depth=depth,
        num_heads=heads(golden, "num_heads", width), drop_path=0.0, layer_scale=0.0,
    )  # fmt: skip
    decoder_width = shapes["mask_token"][-1]
    decoder_heads = heads(golden, "decoder_num_heads", decoder_width)
    decoder = DecoderSpec(width=decoder_width, depth=decoder_depth, num_heads=decoder_heads)
    objective = objective_of(golden)
    if isinstance(objective, SigmaMlpObjective):
        model = SigmaMlpModel(encoder, decoder, objective)
    elif isinstance(objective, SigmaDinoObjective):
        model = SigmaDinoModel(encoder, decoder, objective, teacher_of(golden, encoder, objective, dtype))
    else:
        model = MaskedAutoencoder(encoder, decoder, tube_width(encoder))
    load_strictly(model, weights, where="golden")
    model.to(dtype)
    model.pixel_std = torch.tensor(IMAGENET_STD, dtype=dtype)
    return model, objective


def heads(golden, key, width):
    """Attention heads of encoder or decoder: as the file states them, else those of the released size."""
    return golden[key] if key in golden else RELEASED_HEADS[width]


def step_of(model, clip, mask, objective):
    """The step that training takes."""
    if isinstance(objective, ClusterObjective):
        return sigma_step(model, clip, mask, objective)
    return videomae_step(model, clip, mask)


def inputs(golden, dtype):
    clip = clips(golden["batch"], 16, golden["size"], golden["clip_seed"]).to(dtype)
    side = golden["size"] // 16
    return clip, tube_mask(golden["batch"], (8, side, side), golden["ratio"], golden["mask_seed"])


def norm(tensor):
    """The Euclidean norm, summed in float64: in float32 the sum over a ViT-S output is off by 1e-4."""
    return tensor.detach().double().norm()


def relative_error(value, expected):
    return abs(value.item() - expected) / abs(expected)


def test_float64_outputs_are_the_released_ones(golden, weights):
    model, _ = filled_model(golden, weights, torch.float64)
    clip, mask = inputs(golden, torch.float64)
    output = model.decode(model.encode(clip, ~mask), mask)
    assert relative_error(norm(output), golden["output_norm_fp64"]) <= 1e-9
    torch.testing.assert_close(output.flatten()[:64], golden["output_head_fp64"], rtol=1e-9, atol=1e-12)


def test_float64_loss_and_every_gradient_are_the_released_ones(golden, weights):
    model, objective = filled_model(golden, weights, torch.float64)
    step = step_of(model, *inputs(golden, torch.float64), objective)
    step.loss.backward()
    assert relative_error(step.loss, golden["loss_fp64"]) <= 1e-9
    norms = {
        name: torch.full(tuple(golden["shapes"][name]), value, dtype=torch.float64)
        for name, value in golden["grad_norms_fp64"].items()
    }
    expected = {name: value.flatten()[0].item() for name, value in to_our_names(norms).items()}
    found = {name: norm(parameter.grad) for name, parameter in model.named_parameters()}
    assert found.keys() == expected.keys()
    errors = {name: relative_error(found[name], expected[name]) for name in found}
    assert {name: error for name, error in errors.items() if error > 1e-8} == {}


def test_float32_outputs_and_loss_are_close(golden, weights):
    model, objective = filled_model(golden, weights, torch.float32)
    clip, mask = inputs(golden, torch.float32)
    output = model.decode(model.encode(clip, ~mask), mask)
    torch.testing.assert_close(output.flatten()[:64], golden["output_head"], rtol=0, atol=1e-5)
    assert relative_error(norm(output), golden["output_norm"]) <= 1e-5
    loss = step_of(model, clip, mask, objective).loss
    assert abs(loss.item() - golden["loss"]) <= 2e-4  # one flipped code is worth 8e-5


@pytest.mark.parametrize(
    "golden", [*(pytest.param(path, id=path.stem) for path in TINY[:2]), *GIVEN], indirect=True, scope="module"
)
def test_the_codes_are_the_released_ones(golden, weights):
    if "K" not in golden:
        pytest.skip("VideoMAE has no codes")
    model, objective = filled_model(golden, weights, torch.float64)
    clip, mask = inputs(golden, torch.float64)
    guess = model.decode(model.encode(clip, ~mask), mask)
    scores = model.prototypes.scores(model.project(clip, mask), guess)
    for score_MK, code in zip(scores, ("code1", "code2"), strict=True):
        found = assign(score_MK, objective)
        assert torch.equal(found.reshape(golden[f"{code}_fp64"].shape), golden[f"{code}_fp64"])
