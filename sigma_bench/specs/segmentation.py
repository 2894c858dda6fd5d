"""Protocols that judge token maps of a frozen encoder against masks."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.recipe import Count


class SegmentationProtocol(BaseProtocol):
    """Unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5; TimeTuning)."""

    kind: Literal["segmentation"]
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
    metrics: tuple[Literal["miou"], ...]
