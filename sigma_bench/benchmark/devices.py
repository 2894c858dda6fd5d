"""Agreement of a device with the CPU: features, losses, gradients, neighbours and scores.

Every quantity is computed on both from the same weights and inputs.  The tolerances are for float32 without TF32, whose
sums differ only in their order, and for bfloat16, which has 8 bits of precision.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width, S bank samples, Q queries.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.benchmark.training_step import build_steps, random_batch, require_comparable
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.recipe_encoder import random_encoder
from sigma_bench.protocols.clip_batches import BatchEncoder
from sigma_bench.protocols.neighbours import nearest
from sigma_bench.specs import catalogue
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.passes import Precision
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.distribution import Processes

CPU = torch.device("cpu")
TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 5e-2}
"""Greatest difference of tokens relative to the largest one."""
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3
"""Greatest difference relative to the value on the CPU."""
POINTS = 1.0
"""Greatest difference of a score in percentage points."""
NUM_CLIPS = 2
SEARCHED, QUERIES, NEIGHBOURS = 20_000, 256, 20

Row = dict[str, str | float | None]


def measure_agreement(
    recipes: Sequence[Recipe], tasks: Sequence[str], data: Path, folder: Path, device: torch.device
) -> BenchmarkResult:
    """Compare a device with the CPU.

    Args:
        recipes: recipes of SIGMA-MLP or VideoMAE, whose steps and encoders are compared.
        tasks: names of tasks with a frozen encoder, evaluated with initial weights of the mini recipe.
        data: data root of the tasks.
        folder: folder for the records of both evaluations.
    """
    before = circumstances()
    chosen = [require_comparable(recipe) for recipe in recipes]
    rows = [row for recipe in chosen for row in (*_features(recipe, device), *_step(recipe, device))]
    rows += [_neighbours(), *(_score(task, data, folder, device) for task in tasks)]
    return BenchmarkResult(
        name="agreement",
        title=f"Agreement of {device.type} with the CPU",
        method=(
            "Each quantity is computed on both from the same initial weights and inputs.  Differences of tokens are "
            "relative to the largest token, those of losses and gradients to their value on the CPU; scores are "
            "compared in percentage points on the mini world."
        ),
        rows=tuple(rows),
        remarks=(f"outside of the tolerance: {sum(row['agrees'] == 'no' for row in rows)} of {len(rows)}",),
        num_threads=torch.get_num_threads(),
        **before,
    )


def _features(recipe: MaskedVideoRecipe, device: torch.device) -> list[Row]:
    """Tokens of both precisions on the device against those of float32 on the CPU."""
    spec = recipe.encoder
    size = (NUM_CLIPS, spec.num_frames, 3, spec.image_size, spec.image_size)
    frame_BTCHW = torch.from_numpy(np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8))

    def tokens(where: torch.device, precision: Precision) -> Tensor:
        encoder = random_encoder(spec, seed=0).to(where)
        return torch.cat([part.cpu() for part in BatchEncoder(encoder, precision, "auto").tokens(frame_BTCHW)])

    expected_BND = tokens(CPU, "float32")
    rows = []
    for precision, tolerance in TOLERANCE.items():
        difference = (tokens(device, precision) - expected_BND).abs().max() / expected_BND.abs().max()
        rows.append(_row(f"tokens of {recipe.recipe}, {precision}", float(difference), tolerance))
    return rows


def _step(recipe: MaskedVideoRecipe, device: torch.device) -> list[Row]:
    """Loss and norm of all gradients of one step in float32."""
    found = []
    for where in (CPU, device):
        step, _ = build_steps(recipe, where)
        loss = step.method.step(*random_batch(recipe, NUM_CLIPS, where)).loss
        loss.backward()
        squares = [p.grad.double().square().sum().cpu() for p in step.method.parameters() if p.grad is not None]
        found.append((float(loss.detach()), float(torch.stack(squares).sum().sqrt())))
    names, tolerances = ("loss", "norm of the gradients"), (LOSS_TOLERANCE, GRADIENT_TOLERANCE)
    return [
        _row(f"{name} of {recipe.recipe}, float32", abs(there - here) / abs(here), tolerance)
        for name, tolerance, here, there in zip(names, tolerances, *found, strict=True)
    ]


def _neighbours() -> Row:
    """Share of the nearest neighbours that differ from a complete search in float64."""
    rng = np.random.default_rng(0)
    bank_SD, query_QD = (rng.standard_normal((rows, 256), np.float32) for rows in (SEARCHED, QUERIES))
    unit_SD, unit_QD = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank_SD.astype(float), query_QD))
    expected_QK = np.argsort(-(unit_QD @ unit_SD.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    _, found_QK = nearest(bank_SD, query_QD, NEIGHBOURS)
    return _row(f"{NEIGHBOURS} nearest of {SEARCHED:,}: share that differs", float((found_QK != expected_QK).mean()), 0)


def _score(name: str, data: Path, folder: Path, device: torch.device) -> Row:
    """The first score of a task."""
    task = catalogue.resolve(catalogue.load_task(name))
    recipe = catalogue.load_recipe("mini_sigma_mlp")
    values = []
    for where in (CPU, device):
        encoder = random_encoder(recipe.encoder, seed=0).to(where)
        found = find_or_evaluate(encoder, task, data, folder / where.type, seed=0, processes=Processes(where))
        values.append(100 * found.record.scores[0].value)
    return _row(
        f"{name}: {found.record.scores[0].metric} ({values[0]:.1f} on the CPU)", abs(values[1] - values[0]), POINTS
    )


def _row(quantity: str, difference: float, tolerance: float) -> Row:
    agrees = "yes" if difference <= tolerance else "no"
    return {"quantity": quantity, "difference": f"{difference:.1e}", "tolerance": f"{tolerance:g}", "agrees": agrees}
