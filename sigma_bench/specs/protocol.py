"""Protocols: how a representation is judged.  Every number that can move a score stands in the YAML file."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Count, Fraction, Positive
from sigma_bench.specs.strict import Spec


class UniformSampling(Spec):
    """The midpoints of as many equal segments of the whole video as the encoder takes frames."""

    sampler: Literal["uniform"]


class DenseSampling(Spec):
    """Windows of consecutive strides, their centres spread evenly over the video."""

    sampler: Literal["dense"]
    stride_frames: Count
    num_clips: Count
    short_video: Literal["shrink_stride"]
    """A video shorter than one window: the stride shrinks until it fits, at least 1; then the last frame repeats."""


class ClipSpec(Spec):
    """How a video becomes clips: which frames, which crop."""

    sampling: Annotated[UniformSampling | DenseSampling, Field(discriminator="sampler")]
    crop: Literal["centre"]
    """Short side to the encoder's size (bilinear, antialiased), centre crop."""


class Uncertainty(Spec):
    """Percentile bootstrap over test units; ``group`` resamples source videos, people or sequences."""

    method: Literal["bootstrap"]
    unit: Literal["sample", "group"]
    level: Fraction
    replicates: Count


Failure = Literal["fail", "count_as_wrong"]


class KnnProtocol(Spec):
    """Cosine-weighted nearest-neighbour votes on pooled frozen features (DINO; Wu et al., arXiv 1805.01978)."""

    protocol: str
    kind: Literal["knn"]
    summary: str
    clip: ClipSpec
    pooling: Literal["mean"]
    neighbours: Count
    temperature: Positive
    """A neighbour of cosine s votes with weight exp(s / temperature)."""
    on_decode_failure: Failure
    metrics: tuple[Literal["top1", "mean_class_accuracy"], ...]
    uncertainty: Uncertainty


class LinearProtocol(Spec):
    """Logistic regression on pooled frozen features; its regularisation is chosen on a held-out part of train."""

    protocol: str
    kind: Literal["linear"]
    summary: str
    clip: ClipSpec
    pooling: Literal["mean"]
    standardise: Literal["train_statistics"]
    inverse_regularisation_grid: tuple[Positive, ...]
    """scikit-learn's C, tried in this order."""
    held_out_fraction: Fraction
    """Share of train groups (of samples where groups are the samples) that chooses; then all of train is refitted."""
    max_iterations: Count
    on_decode_failure: Failure
    metrics: tuple[Literal["top1", "mean_class_accuracy"], ...]
    uncertainty: Uncertainty


class SegmentationProtocol(Spec):
    """Unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5; TimeTuning)."""

    protocol: str
    kind: Literal["segmentation"]
    summary: str
    num_frames: Count
    frame_draw: Literal["random_sorted"]
    """Distinct random frames in order, from the task's seed and the sequence's name."""
    num_draws: Count
    crop: Literal["squash"]
    """The whole frame is resized to the encoder's square, as published."""
    pca_dimensions: Count
    feature_scope: Literal["clip"]
    """Over which tokens features are standardised and PCA is fitted."""
    upsampling: Literal["bilinear_features"]
    """Features are upsampled to pixels before k-means."""
    tubelet_to_frames: Literal["repeat"]
    pool: Literal["clip"]
    """Which frames share one k-means and one matching."""
    clusters: Annotated[int, Field(gt=0)] | Literal["labels_present"]
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    matching: Literal["hungarian_iou", "majority_precision"]
    background_counts: bool
    void_label: Literal["ignored"]
    on_decode_failure: Failure
    metrics: tuple[Literal["miou"], ...]
    uncertainty: Uncertainty


Protocol = Annotated[KnnProtocol | LinearProtocol | SegmentationProtocol, Field(discriminator="kind")]


class ProtocolFile(Spec):
    """Wrapper that lets pydantic choose the protocol's type by its ``kind``."""

    content: Protocol
