"""The extension interface: the names with which packages of other authors add datasets, protocols and methods.

    from sigma_bench.extend import ClassificationProtocol

A name is imported when it is first used, so a module that uses names of declarations only, such as the ``spec`` of a
protocol, is imported without torch.  ``docs/extending`` says what each name is for.  Within this project, code imports
from the modules that define the names.
"""

from typing import TYPE_CHECKING, Any

from sigma_bench.lazy_names import import_name

if TYPE_CHECKING:
    from sigma_bench.data.decoder import Decoder
    from sigma_bench.data.examples import Example, Origin
    from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
    from sigma_bench.data.media import find_video
    from sigma_bench.data.official_lists import lines, read_object, read_objects, table
    from sigma_bench.data.parts import Part
    from sigma_bench.miniworld.generator import FileTask
    from sigma_bench.miniworld.writers import write_video
    from sigma_bench.models.masked_autoencoder import MaskedAutoencoder
    from sigma_bench.protocols.classification import TrainFeatures, classified, classify, readable_features
    from sigma_bench.protocols.features import SplitFeatures
    from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
    from sigma_bench.protocols.ranking import ranked
    from sigma_bench.records.record import Candidate, Selection
    from sigma_bench.records.scoring import Control, Metric, mean_of, stored_mean
    from sigma_bench.specs.clip import ClipSpec
    from sigma_bench.specs.dataset import DatasetCard
    from sigma_bench.specs.encoder_card import EncoderCard
    from sigma_bench.specs.folds import Folds
    from sigma_bench.specs.frozen_protocol import (
        ClassificationProtocol,
        FrozenProtocol,
        scored_split,
        train_test_splits,
        train_test_splits_or_folds,
    )
    from sigma_bench.specs.masked_video import MaskedVideoRecipe
    from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
    from sigma_bench.specs.protocol import BaseProtocol, CountsFailures
    from sigma_bench.specs.recipe import Count, Fraction, NonNegative, Objective, Positive, Recipe
    from sigma_bench.specs.strict import Spec
    from sigma_bench.training.masked_video import MaskedVideoMethod
    from sigma_bench.training.method import FrozenTeacher, PretrainingMethod
    from sigma_bench.training.optimiser import build_optimiser
    from sigma_bench.training.step import StepOutput, feature_std

__all__ = [
    "BaseProtocol",
    "Candidate",
    "ClassificationProtocol",
    "ClipSpec",
    "Control",
    "Count",
    "CountsFailures",
    "DatasetCard",
    "Decoder",
    "EncoderCard",
    "Evaluation",
    "Example",
    "FileTask",
    "Folds",
    "Fraction",
    "FrozenProtocol",
    "FrozenTeacher",
    "HeadSizes",
    "Manifest",
    "MaskedAutoencoder",
    "MaskedVideoMethod",
    "MaskedVideoRecipe",
    "Metric",
    "NonNegative",
    "Objective",
    "Origin",
    "Part",
    "Pass",
    "Positive",
    "Predictions",
    "PretrainingMethod",
    "Recipe",
    "Sample",
    "SampleLabels",
    "Selection",
    "Spec",
    "Split",
    "SplitFeatures",
    "SplitUse",
    "StepOutput",
    "TrainFeatures",
    "build_optimiser",
    "classified",
    "classify",
    "expected_counts",
    "feature_std",
    "find_video",
    "lines",
    "make_split",
    "mean_of",
    "ranked",
    "read_object",
    "read_objects",
    "readable_features",
    "scored_split",
    "stored_mean",
    "table",
    "train_test_splits",
    "train_test_splits_or_folds",
    "write_video",
]
_MODULES = {
    "sigma_bench.data.decoder": ("Decoder",),
    "sigma_bench.data.examples": ("Example", "Origin"),
    "sigma_bench.data.manifest": ("Manifest", "Sample", "Split", "expected_counts", "make_split"),
    "sigma_bench.data.media": ("find_video",),
    "sigma_bench.data.official_lists": ("lines", "read_object", "read_objects", "table"),
    "sigma_bench.data.parts": ("Part",),
    "sigma_bench.miniworld.generator": ("FileTask",),
    "sigma_bench.miniworld.writers": ("write_video",),
    "sigma_bench.models.masked_autoencoder": ("MaskedAutoencoder",),
    "sigma_bench.protocols.classification": ("TrainFeatures", "classified", "classify", "readable_features"),
    "sigma_bench.protocols.features": ("SplitFeatures",),
    "sigma_bench.protocols.interface": ("Evaluation", "HeadSizes", "Predictions"),
    "sigma_bench.protocols.ranking": ("ranked",),
    "sigma_bench.records.record": ("Candidate", "Selection"),
    "sigma_bench.records.scoring": ("Control", "Metric", "mean_of", "stored_mean"),
    "sigma_bench.specs.clip": ("ClipSpec",),
    "sigma_bench.specs.dataset": ("DatasetCard",),
    "sigma_bench.specs.encoder_card": ("EncoderCard",),
    "sigma_bench.specs.folds": ("Folds",),
    "sigma_bench.specs.frozen_protocol": (
        "ClassificationProtocol",
        "FrozenProtocol",
        "scored_split",
        "train_test_splits",
        "train_test_splits_or_folds",
    ),
    "sigma_bench.specs.masked_video": ("MaskedVideoRecipe",),
    "sigma_bench.specs.passes": ("Pass", "SampleLabels", "SplitUse"),
    "sigma_bench.specs.protocol": ("BaseProtocol", "CountsFailures"),
    "sigma_bench.specs.recipe": ("Count", "Fraction", "NonNegative", "Objective", "Positive", "Recipe"),
    "sigma_bench.specs.strict": ("Spec",),
    "sigma_bench.training.masked_video": ("MaskedVideoMethod",),
    "sigma_bench.training.method": ("FrozenTeacher", "PretrainingMethod"),
    "sigma_bench.training.optimiser": ("build_optimiser",),
    "sigma_bench.training.step": ("StepOutput", "feature_std"),
}
"""Where the names are defined."""

if not TYPE_CHECKING:  # a type checker would take every other name for one of this module, too

    def __getattr__(name: str) -> Any:
        """Import a name."""
        value = globals()[name] = import_name(__name__, _MODULES, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
