"""segmentation: token maps of a frozen encoder are clustered, and the clusters are compared with masks."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.clip import FrameDraw, SequenceClip
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import FrozenProtocol, scored_split
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.recipe import Count


class SegmentationProtocol(FrozenProtocol):
    """Unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5; TimeTuning).

    As published, the whole frame is resized to the square of the encoder, all frames of a tubelet have the same map,
    and void pixels are not scored.
    """

    sample_labels: ClassVar[SampleLabels] = "masks"
    scoring: ClassVar[str] = "sigma_bench.protocols.segmentation.scores"
    kind: Literal["segmentation"]
    labels: Literal["dataset", "instances"]
    """``dataset``: labels as the dataset's card defines them (categories in YouTube-VOS); ``instances``: single
    objects."""
    num_frames: Count
    frame_draw: FrameDraw
    """As ``specs/clip.py`` describes; random frames follow from the seed and the name of the sequence."""
    num_draws: Count
    """Number of clips of a sequence, each of which is scored; more than one only if the draw is random."""
    window_statistics: Literal["shared", "own"]
    """Whether the windows of a clip that is longer than the encoder's are standardised together (``shared``) or
    separately (``own``).  With ``own``, differences between windows cannot form clusters."""
    feature_scope: Literal["clip", "batch", "dataset"]
    """Tokens over which features are standardised and PCA is fitted."""
    batch_clips: Count
    """Number of clips in a batch, in the order of the list, for the scope ``batch``."""
    pca_dimensions: Count
    upsampling: Literal["bilinear_features", "tokens_nearest"]
    """``bilinear_features``: k-means on features upsampled to pixels; ``tokens_nearest``: on tokens, then resized."""
    evaluation_size: Count | Literal["encoder"]
    """Side of the square on which clusters and masks are compared, pixels; ``encoder``: that of the encoder's clips."""
    pool: Literal["frame", "clip", "dataset"]
    """Frames that share one k-means, one matching and one score."""
    clusters: Annotated[int, Field(gt=0, le=255)] | Literal["labels_present"]
    """Number of clusters; ``labels_present``: the number of labels in the masks of the pool, background included."""
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    """Most points per cluster on which k-means is fitted, a random sample; then every point is assigned."""
    matching: Literal["hungarian_iou", "majority_precision"]
    background_counts: bool
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

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The scored split, test or 'all'; nothing is trained."""
        return scored_split("segmentation", names)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass per draw of frames; a clip longer than the encoder's is encoded in windows.

        Raises:
            ValueError: a window has fewer frames than the encoder takes.
        """
        windows = -(-self.num_frames // card.num_frames)
        last = self.num_frames - (windows - 1) * card.num_frames
        if card.min_frames is not None and last < card.min_frames:
            takes = f"{card.min_frames} to {card.num_frames}" if card.min_frames < card.num_frames else card.num_frames
            raise ValueError(
                f"model '{card.model}' takes clips of {takes} frames, and a sequence of {self.num_frames} frames "
                f"leaves {last} for its last window; set num_frames to a multiple of {card.num_frames}"
            )
        is_random = self.frame_draw == "random_sorted"
        clips = (
            SequenceClip(
                num_frames=self.num_frames,
                frame_draw=self.frame_draw,
                draw=draw,
                seed=seed if is_random else None,
            )
            for draw in range(self.num_draws)
        )
        return tuple(
            Pass(splits[0].name, clip, tokens=True, clips_per_sample=windows, precision=self.encoder_precision)
            for clip in clips
        )
