"""A DINO recipe of a few thousand parameters."""

from sigma_bench.dino.spec import DinoRecipe
from sigma_bench.specs.recipe import parse_recipe


def tiny_dino(**objective) -> DinoRecipe:
    recipe = parse_recipe(
        {
            "recipe": "tiny_dino",
            "summary": "for tests",
            "encoder": {
                "num_frames": 4, "image_size": 32, "patch_size": 8, "width": 24, "depth": 2, "num_heads": 2,
            },
            "objective": {
                "kind": "dino", "head_widths": [16, 12], "num_outputs": 10, "student_temperature": 0.1,
                "teacher_temperature": 0.04, "teacher_momentum": 0.9, "centre_momentum": 0.8,
            } | objective,
            "data": {
                "datasets": ["ssv2"], "loader": "memory", "global_area": [0.4, 1.0], "local_area": [0.05, 0.4],
                "num_local": 3, "local_size": 16, "jitter": 0.4,
            },
            "optim": {
                "global_batch": 4, "epochs": 1, "warmup_epochs": 0.0, "lr_per_256": 1e-3, "final_lr_per_256": 0.0,
                "projector_lr_scale": 1.0, "betas": [0.9, 0.95], "weight_decay": 0.05, "precision": "float32",
            },
            "checkpoint_every_steps": 10,
        },
        where="tiny_dino",
    )  # fmt: skip
    assert isinstance(recipe, DinoRecipe)
    return recipe
