"""Our step against what the released code computed, on tiny models filled by rule (no weights are stored).

The golden files lie in ``shared/golden`` beside the repository, with the rule that fills parameters and inputs;
where they are absent these tests are skipped.  The weights go through a file as it was released and the reader for
such files.  Outputs and the gradient of every parameter are compared, in float64: loss and total gradient norm
hardly notice a wrong patch embedding or LayerNorm epsilon.
"""

import importlib.util
from pathlib import Path

import pytest
import torch
from timm.models import VisionTransformer

from sigma_bench.models.checkpoints import load_strictly
from sigma_bench.models.foreign import read_foreign, to_our_names
from sigma_bench.models.frame_encoder import FrameEncoder, random_frame_encoder
from sigma_bench.sigma.model import (
    IMAGENET_STD,
    MaskedVideoModel,
    SigmaDinoModel,
    SigmaMlpModel,
    tube_width,
)
from sigma_bench.sigma.objective import pretraining_step
from sigma_bench.sigma.sinkhorn import sinkhorn
from sigma_bench.sigma.swapped import unit_features
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.recipe import (
    DecoderSpec,
    EncoderSpec,
    ImageEncoderSpec,
    SigmaDinoObjective,
    SigmaMlpObjective,
    TeacherSpec,
    VideoMaeObjective,
)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
NAMES = ("sigma_mlp_tiny_eps05", "sigma_dino_tiny", "videomae_tiny")

pytestmark = pytest.mark.skipif(
    not all((GOLDEN / file).is_file() for file in ("fill.py", *(f"{name}.pt" for name in NAMES))),
    reason="the golden numbers are not beside this checkout",
)


@pytest.fixture(scope="module")
def rule():
    spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=NAMES)
def golden(request):
    return torch.load(GOLDEN / f"{request.param}.pt", weights_only=True)


@pytest.fixture(scope="module")
def weights(golden, rule, tmp_path_factory):
    """The parameters by rule, saved under their released names and read back by the reader of released files."""
    path = tmp_path_factory.mktemp("released") / "checkpoint.pth"
    torch.save({"model": rule.fill(golden["shapes"])}, path)
    return read_foreign(path).tensors


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
    return SigmaMlpObjective(kind="sigma_mlp", projector_widths=(1024, 1024, 512, 256), **common)


def teacher_of(golden, rule, encoder, objective, dtype):
    """The frozen image model of a golden file: timm's, filled by the same rule, its classifier left out."""
    shape = golden["teacher"]
    vit = VisionTransformer(patch_size=16, num_classes=0, **shape)
    filled = rule.fill(golden["teacher_shapes"])
    load_strictly(vit, filled, may_be_unexpected=("head.",), where="golden teacher")
    spec = ImageEncoderSpec(
        num_frames=8, image_size=shape["img_size"], patch_size=16, width=shape["embed_dim"], depth=shape["depth"],
        num_heads=shape["num_heads"],
    )  # fmt: skip
    return Teacher(FrameEncoder(vit.to(dtype), random_frame_encoder(spec, 0).card), objective.teacher, encoder)


def filled_model(golden, rule, weights, dtype):
    """The model of a golden file, with every parameter from the released file and none left over."""
    shapes = golden["shapes"]
    width, _, tubelet, patch, _ = shapes["encoder.patch_embed.proj.weight"]
    depth, decoder_depth = (
        len({name.split(".")[2] for name in shapes if name.startswith(f"{part}.blocks.")})
        for part in ("encoder", "decoder")
    )
    encoder = EncoderSpec(
        num_frames=16, image_size=golden["size"], patch_size=patch, tubelet_frames=tubelet, width=width, depth=depth,
        num_heads=2, drop_path=0.0, layer_scale=0.0,
    )  # fmt: skip
    decoder = DecoderSpec(width=shapes["mask_token"][-1], depth=decoder_depth, num_heads=2)
    objective = objective_of(golden)
    if isinstance(objective, SigmaMlpObjective):
        model = SigmaMlpModel(encoder, decoder, objective)
    elif isinstance(objective, SigmaDinoObjective):
        model = SigmaDinoModel(encoder, decoder, objective, teacher_of(golden, rule, encoder, objective, dtype))
    else:
        model = MaskedVideoModel(encoder, decoder, tube_width(encoder))
    load_strictly(model, weights, where="golden")
    model.to(dtype)
    model.pixel_std = torch.tensor(IMAGENET_STD, dtype=dtype)
    return model, objective


def inputs(golden, rule, dtype):
    clip = rule.clips(golden["batch"], 16, golden["size"], golden["clip_seed"]).to(dtype)
    side = golden["size"] // 16
    return clip, rule.tube_mask(golden["batch"], (8, side, side), golden["ratio"], golden["mask_seed"])


def relative_error(value, expected):
    return abs(value.item() - expected) / abs(expected)


def test_float64_outputs_are_the_released_ones(golden, rule, weights):
    model, _ = filled_model(golden, rule, weights, torch.float64)
    clip, mask = inputs(golden, rule, torch.float64)
    output = model.decode(model.encode(clip, ~mask), mask)
    assert relative_error(output.norm(), golden["output_norm_fp64"]) <= 1e-9
    torch.testing.assert_close(output.flatten()[:64], golden["output_head_fp64"], rtol=1e-9, atol=1e-12)


def test_float64_loss_and_every_gradient_are_the_released_ones(golden, rule, weights):
    model, objective = filled_model(golden, rule, weights, torch.float64)
    step = pretraining_step(model, *inputs(golden, rule, torch.float64), objective)
    step.loss.backward()
    assert relative_error(step.loss, golden["loss_fp64"]) <= 1e-9
    norms = {
        name: torch.full(tuple(golden["shapes"][name]), norm, dtype=torch.float64)
        for name, norm in golden["grad_norms_fp64"].items()
    }
    expected = {name: norm.flatten()[0].item() for name, norm in to_our_names(norms).items()}
    found = {name: parameter.grad.norm() for name, parameter in model.named_parameters()}
    assert found.keys() == expected.keys()
    errors = {name: relative_error(found[name], expected[name]) for name in found}
    assert {name: error for name, error in errors.items() if error > 1e-8} == {}


def test_float32_outputs_and_loss_are_close(golden, rule, weights):
    model, objective = filled_model(golden, rule, weights, torch.float32)
    clip, mask = inputs(golden, rule, torch.float32)
    output = model.decode(model.encode(clip, ~mask), mask)
    torch.testing.assert_close(output.flatten()[:64], golden["output_head"], rtol=0, atol=1e-5)
    assert relative_error(output.norm(), golden["output_norm"]) <= 1e-5
    loss = pretraining_step(model, clip, mask, objective).loss
    assert abs(loss.item() - golden["loss"]) <= 2e-4  # one flipped code is worth 8e-5


@pytest.mark.parametrize("golden", NAMES[:2], indirect=True)
def test_the_codes_are_the_released_ones(golden, rule, weights):
    model, objective = filled_model(golden, rule, weights, torch.float64)
    clip, mask = inputs(golden, rule, torch.float64)
    guess = model.decode(model.encode(clip, ~mask), mask)
    for feature, code in ((model.project(clip, mask), "code1"), (guess, "code2")):
        scores = unit_features(feature) @ model.prototypes.unit().T
        found = sinkhorn(scores, epsilon=objective.epsilon, num_iterations=objective.sinkhorn_iterations).argmax(1)
        assert torch.equal(found.reshape(golden[f"{code}_fp64"].shape), golden[f"{code}_fp64"])
