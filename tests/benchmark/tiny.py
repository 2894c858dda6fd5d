"""A recipe small enough to be measured in a blink."""

from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import parse_recipe

SIGMA = {"num_prototypes": 6, "epsilon": 0.05, "sinkhorn_iterations": 4, "temperature": 0.1}


def tiny_content(kind: str, layer_scale: float = 0.0) -> dict:
    """The mapping of a recipe file: ``sigma_mlp``, ``sigma_mlp_soft`` (codes) or ``videomae``."""
    objective = {"kind": "videomae"}
    if kind != "videomae":
        codes = "soft" if kind.endswith("soft") else "hard"
        objective = {"kind": "sigma_mlp", **SIGMA, "codes": codes, "projector_widths": [24, 16]}
    return {
        "recipe": f"tiny_{kind}",
        "summary": "For tests.",
        "encoder": {
            "num_frames": 4,
            "image_size": 32,
            "patch_size": 8,
            "tubelet_frames": 2,
            "width": 32,
            "depth": 2,
            "num_heads": 4,
            "drop_path": 0.0,
            "layer_scale": layer_scale,
        },
        "decoder": {"width": 16, "depth": 1, "num_heads": 2},
        "mask": {"kind": "tube", "ratio": 0.75},
        "objective": objective,
        "data": {"datasets": ["ssv2"], "stride_frames": 2, "crop": "centre", "loader": "memory"},
        "optim": {
            "global_batch": 2,
            "epochs": 1,
            "warmup_epochs": 0.0,
            "lr_per_256": 0.001,
            "final_lr_per_256": 0.0,
            "projector_lr_scale": 1.0,
            "betas": [0.9, 0.95],
            "weight_decay": 0.05,
            "precision": "float32",
        },
        "checkpoint_every_steps": 1,
    }


def tiny_recipe(kind: str, layer_scale: float = 0.0) -> MaskedVideoRecipe:
    """The recipe of ``tiny_content``."""
    recipe = parse_recipe(tiny_content(kind, layer_scale), where="tiny")
    assert isinstance(recipe, MaskedVideoRecipe)
    return recipe
