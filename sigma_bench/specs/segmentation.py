"""Protocols that cluster token maps of a frozen encoder and judge the clusters against masks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.recipe import Count

FrameDraw = Literal["random_sorted", "consecutive_first", "consecutive_centre", "linspace"]


class SegmentationProtocol(BaseProtocol):
    """Unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5; TimeTuning)."""

    kind: Literal["segmentation"]
    labels: Literal["dataset", "instances"]
    """What counts as one thing: as the dataset's card says (in YouTube-VOS a category), or every object by itself."""
    num_frames: Count
    frame_draw: FrameDraw
    """``random_sorted``: distinct random frames in order, from the task's seed and the sequence's name, with
    replacement where there are too few; ``consecutive_first`` and ``consecutive_centre``: a window, whose last frame
    repeats where there are too few; ``linspace``: evenly spread, both ends included."""
    num_draws: Count
    """Clips of one sequence, each scored; more than one only where the draw is random."""
    crop: Literal["squash"]
    """The whole frame is resized to the encoder's square, as published."""
    window_statistics: Literal["shared", "own"]
    """A clip longer than the encoder's is encoded in windows; ``own`` standardises the features of each by itself, so
    that clusters cannot follow what only tells the windows apart.  Without effect on a clip of one window."""
    feature_scope: Literal["clip", "batch", "dataset"]
    """Over which tokens features are standardised and PCA is fitted."""
    batch_clips: Count
    """Clips in a batch, sequences in the order of the list, for the scope ``batch``."""
    pca_dimensions: Count
    upsampling: Literal["bilinear_features", "tokens_nearest"]
    """k-means on features upsampled to pixels, or on tokens, whose clusters are then resized."""
    evaluation_size: Count | Literal["encoder"]
    """Side of the square on which clusters and masks are compared, pixels; ``encoder``: that of its clips."""
    tubelet_to_frames: Literal["repeat"]
    """A tubelet's map serves each of its frames."""
    pool: Literal["frame", "clip", "dataset"]
    """Which frames share one k-means, one matching and one score."""
    clusters: Annotated[int, Field(gt=0, le=255)] | Literal["labels_present"]
    """``labels_present``: as many as the masks of the pool have labels, background included."""
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    """k-means learns from a random sample of so many points per cluster, then assigns every point."""
    matching: Literal["hungarian_iou", "majority_precision"]
    background_counts: bool
    void_label: Literal["ignored"]
    on_decode_failure: Literal["fail"]
    metrics: tuple[Literal["miou"], ...]

    @property
    def unused_keys(self) -> tuple[str, ...]:
        return () if self.feature_scope == "batch" else ("batch_clips",)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frame_draw != "random_sorted" and self.num_draws > 1:
            raise ValueError(f"frame_draw '{self.frame_draw}' draws the same frames every time; set num_draws to 1")
        if self.pool == "dataset" and self.feature_scope != "dataset":
            raise ValueError("pool 'dataset' compares features of all clips; set feature_scope to 'dataset' as well")
        return self
