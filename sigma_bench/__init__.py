"""sigma-bench: an evaluation-first benchmark for self-supervised video models, built around SIGMA (ECCV 2024).

    import sigma_bench as sb

    encoder = sb.load_encoder("results/runs/mini_sigma_mlp-seed0")
    records = sb.evaluate(encoder, ["ucf101/knn", "ssv2/linear"], data="/data")
    sb.board("mini", records).save("board.html")
    sb.compare(records, "mini_sigma_mlp", "mini_videomae")

Everything public is a name of this module or, for those who add datasets, protocols and methods, of
``sigma_bench.extend``; everything else may change.  A name is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from sigma_bench.lazy_names import import_name as _import_name

if TYPE_CHECKING:
    from sigma_bench.api.boards import Leaderboard
    from sigma_bench.api.description import describe
    from sigma_bench.api.encoders import load_encoder
    from sigma_bench.api.evaluation import FailedTaskWarning, evaluate
    from sigma_bench.api.export import export
    from sigma_bench.api.mini_world import mini_world
    from sigma_bench.api.new_board import new_board
    from sigma_bench.api.pretraining import PretrainingRun, pretrain
    from sigma_bench.api.records import LeftOutWarning, Records, board, boards, compare
    from sigma_bench.api.task_list import tasks
    from sigma_bench.failures import LoggedError
    from sigma_bench.leaderboard.comparison import ModelComparison
    from sigma_bench.models.custom_encoder import CustomEncoder, as_encoder
    from sigma_bench.models.encoder import Encoder, Features
    from sigma_bench.records.record import Record, Score
    from sigma_bench.records.verification import Verification
    from sigma_bench.resources import include
    from sigma_bench.specs.encoder_card import EncoderCard
    from sigma_bench.training.termination import Preempted

__version__ = "0.1.0"
__all__ = [
    "CustomEncoder",
    "Encoder",
    "EncoderCard",
    "FailedTaskWarning",
    "Features",
    "Leaderboard",
    "LeftOutWarning",
    "LoggedError",
    "ModelComparison",
    "Preempted",
    "PretrainingRun",
    "Record",
    "Records",
    "Score",
    "Verification",
    "__version__",
    "as_encoder",
    "board",
    "boards",
    "compare",
    "describe",
    "evaluate",
    "export",
    "include",
    "load_encoder",
    "mini_world",
    "new_board",
    "pretrain",
    "tasks",
]
_MODULES = {
    "sigma_bench.api.boards": ("Leaderboard",),
    "sigma_bench.failures": ("LoggedError",),
    "sigma_bench.leaderboard.comparison": ("ModelComparison",),
    "sigma_bench.api.description": ("describe",),
    "sigma_bench.api.encoders": ("load_encoder",),
    "sigma_bench.api.evaluation": ("FailedTaskWarning", "evaluate"),
    "sigma_bench.api.export": ("export",),
    "sigma_bench.api.mini_world": ("mini_world",),
    "sigma_bench.api.new_board": ("new_board",),
    "sigma_bench.api.pretraining": ("PretrainingRun", "pretrain"),
    "sigma_bench.api.records": ("LeftOutWarning", "Records", "board", "boards", "compare"),
    "sigma_bench.api.task_list": ("tasks",),
    "sigma_bench.models.custom_encoder": ("CustomEncoder", "as_encoder"),
    "sigma_bench.models.encoder": ("Encoder", "Features"),
    "sigma_bench.records.record": ("Record", "Score"),
    "sigma_bench.records.verification": ("Verification",),
    "sigma_bench.resources": ("include",),
    "sigma_bench.specs.encoder_card": ("EncoderCard",),
    "sigma_bench.training.termination": ("Preempted",),
}
"""Where the public names are defined."""

if not TYPE_CHECKING:  # a type checker would take every other name for one of this module, too

    def __getattr__(name: str) -> Any:
        """Import a public name."""
        value = globals()[name] = _import_name(__name__, _MODULES, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
