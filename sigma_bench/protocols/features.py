"""Features of a frozen encoder over a split, shared by all frozen protocols through a cache on disk.

The key of a cache entry depends on everything that changes a feature: identity of the encoder, digest of the split,
clip sampling and crop, precision.  Samples are computed in fixed blocks, so the result does not depend on the number of
processes that share the blocks.

Shapes: S samples, V clips of a sample, B clips of a batch, N tokens, D width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sigma_bench.data.evaluation_clips import ClipMemory, EvaluationClips
from sigma_bench.data.manifest import Split
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore, cache_entries
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.passes import Pass
from sigma_bench.training.distribution import Processes
from sigma_bench.training.processes import on_all, on_main
from sigma_bench.training.termination import end_with_parent

BATCH_CLIPS = 64
"""Number of clips that are encoded at once."""
PRECISION = "float32"
"""Precision in which the encoder computes features."""
LIMIT_BYTES = 200 * 2**30
"""Default limit of the size of the cache."""

CountReport = Callable[[int, int], None]
"""Progress report: number of samples done, number of all samples."""


@dataclass(frozen=True)
class SplitFeatures:
    """Features of a split, one row per sample; rows of samples that do not decode are zero and must not be used."""

    feature_SD: np.ndarray
    """Mean over tokens, then over the clips of a sample, float32."""
    failures: dict[int, str]
    """Sample index -> why it could not be decoded."""
    token_SVND: np.ndarray | None = None
    """All tokens, float16; None if the pass does not need them."""
    grid: tuple[int, int, int] | None = None
    """Token grid: time slots, rows, columns; None if there are no tokens."""

    @property
    def usable(self) -> np.ndarray:
        """Indices of the samples that decode, in rising order."""
        return np.setdiff1d(np.arange(len(self.feature_SD)), list(self.failures))

    def rows(self, index_S: np.ndarray) -> np.ndarray:
        """Features of these samples; for all samples, the memory-mapped file instead of a copy in memory."""
        is_all = np.array_equal(index_S, np.arange(len(self.feature_SD)))
        return self.feature_SD if is_all else self.feature_SD[index_S]

    def mapped_rows(self, index_S: np.ndarray) -> "Rows":
        """Features of these samples, which are read from the memory-mapped file when they are sliced."""
        return Rows(self.feature_SD, index_S)


@dataclass(frozen=True)
class Rows:
    """Some rows of an array, in the order of their indices, copied only when they are sliced or converted."""

    array_SD: np.ndarray
    index_R: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.index_R), *self.array_SD.shape[1:])

    def __len__(self) -> int:
        return len(self.index_R)

    def __getitem__(self, some: slice | np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.array_SD[self.index_R[some]]
        return rows


class FeatureCache:
    """A folder with features.

    Args:
        root: the folder.
        clips: decoded clips in memory, which several encoders of one process share.
        num_workers: number of processes that decode.
        limit_bytes: greatest size of the folder; an entry that does not fit is refused before anything is computed.
    """

    def __init__(
        self,
        root: Path,
        clips: ClipMemory | None = None,
        *,
        num_workers: int = 0,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.root, self.clips = root, clips or ClipMemory(0)
        self.num_workers, self.limit_bytes = num_workers, limit_bytes

    def features(
        self,
        encoder: Encoder,
        split: Split,
        pass_: Pass,
        processes: Processes,
        *,
        kept_tokens: frozenset[str] = frozenset(),
        report: CountReport,
    ) -> SplitFeatures:
        """Features of a pass, from the cache or computed by the encoder; all processes call this and share the work.

        Args:
            split: the samples of the pass.
            kept_tokens: keys of passes whose tokens other evaluations need.  They are kept, even if this pass does not
                need them, unless there is no room; then only the evaluations that need them fail.

        Raises:
            ValueError: the encoder violates its contract, or the cache has no room.
        """
        clip = pass_.clip
        assert isinstance(clip, ClipSpec)
        is_kept = pass_.tokens or self.key(encoder.card, split, pass_) in kept_tokens
        grid = token_grid(encoder) if is_kept else None
        store, dataset = self._store(encoder.card, split, pass_, grid), _dataset(split, clip, encoder.card)
        # Only the main process checks: another one could already see blocks that have been written in the meantime.
        if grid and not pass_.tokens and not on_main(processes, lambda: self._fits(store)):
            grid = None
            store = self._store(encoder.card, split, pass_, grid)
        missing = on_main(processes, lambda: store.missing(dataset.readable(store.failures())))

        def fill() -> None:
            if missing:
                self.require_room(store)
            done = len(split.samples) - sum(map(len, missing))
            for block, decoded in self._decoded(dataset, missing[processes.rank :: processes.size]):
                arrays, failures = _block_arrays(encoder, block, decoded, keeps_tokens=grid is not None)
                store.write(block, arrays, failures)
                done += len(block) * processes.size
                report(min(done, len(split.samples)), len(split.samples))

        on_all(processes, fill)
        token_SVND = store.read("token") if grid else None
        return SplitFeatures(store.read("feature"), store.failures(), token_SVND, grid)

    def num_missing(self, encoder: Encoder, split: Split, pass_: Pass) -> int:
        """Number of samples of which the cache lacks features, or tokens if the pass needs them."""
        grid = token_grid(encoder) if pass_.tokens else None
        return sum(map(len, self._store(encoder.card, split, pass_, grid).unwritten()))

    def require_room(self, store: BlockStore) -> None:
        """ValueError if a new entry would exceed the limit."""
        if not self._fits(store):
            raise ValueError(
                f"{self.root}: {self._occupied(store) / 2**30:.1f} GiB of features are here and "
                f"{store.num_bytes / 2**30:.1f} GiB more are needed, but the limit is {self.limit_bytes / 2**30:.1f} "
                "GiB; make room with 'sigma-bench cache rm', or raise --cache-limit"
            )

    def _fits(self, store: BlockStore) -> bool:
        return self._occupied(store) + store.num_bytes <= self.limit_bytes

    def _occupied(self, store: BlockStore) -> int:
        """Size of all entries but this one, bytes."""
        return sum(entry.num_bytes for entry in cache_entries(self.root) if entry.folder != store.folder)

    def _store(self, card: EncoderCard, split: Split, pass_: Pass, grid: tuple[int, int, int] | None) -> BlockStore:
        assert isinstance(pass_.clip, ClipSpec)
        views = pass_.clip.num_views
        layout = {"feature": ArrayLayout((card.feature_width,), "float32")}
        if grid:
            layout["token"] = ArrayLayout((views, int(np.prod(grid)), card.feature_width), "float16")
        return self.store(card, split, pass_, block=max(1, BATCH_CLIPS // views), layout=layout)

    def store(
        self,
        card: EncoderCard,
        split: Split,
        pass_: Pass,
        *,
        block: int,
        layout: Mapping[str, ArrayLayout],
        more: Mapping[str, object] | None = None,
    ) -> BlockStore:
        """The arrays of a pass in the cache.

        Args:
            block: number of samples that are written together.
            more: additions to the description that ``sigma-bench cache ls`` shows.
        """
        description = {
            "model": card.model,
            "split": split.name,
            "samples": len(split.samples),
            "from": str(split.samples[0].path.parent),
            **(more or {}),
        }
        return BlockStore(self.root / self.key(card, split, pass_), len(split.samples), block, layout, description)

    @staticmethod
    def key(card: EncoderCard, split: Split, pass_: Pass) -> str:
        """Key of the cache entry of a pass: a digest of everything that changes a feature."""
        assert pass_.clip is not None, "only passes with clips are cached"
        return digest([card.identity, split.sha256, pass_.clip.model_dump(mode="json"), PRECISION])[:32]

    def _decoded(self, dataset: EvaluationClips, blocks: Sequence[range]) -> Iterator[tuple[range, list[Tensor | str]]]:
        if self.num_workers == 0:
            yield from ((block, [self.clips.item(dataset, index) for index in block]) for block in blocks)
            return
        loader = DataLoader(
            dataset,
            batch_sampler=[list(block) for block in blocks],
            collate_fn=list,
            num_workers=self.num_workers,
            worker_init_fn=end_with_parent,
        )
        yield from zip(blocks, loader, strict=True)


def token_grid(encoder: Encoder) -> tuple[int, int, int]:
    """Time slots, rows and columns of the tokens of an encoder, found by encoding a clip of zeros."""
    card = encoder.card
    return encoded(encoder, torch.zeros(1, 3, card.num_frames, card.image_size, card.image_size)).grid


def _dataset(split: Split, clip: ClipSpec, card: EncoderCard) -> EvaluationClips:
    return EvaluationClips(split.samples, clip, num_frames=card.num_frames, image_size=card.image_size)


def _block_arrays(
    encoder: Encoder, block: range, decoded: list[Tensor | str], *, keeps_tokens: bool
) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """Arrays of one block, and sample index -> why the sample could not be decoded."""
    card = encoder.card
    failures = {index: found for index, found in zip(block, decoded, strict=True) if isinstance(found, str)}
    readable = [row for row, found in enumerate(decoded) if not isinstance(found, str)]
    feature_SD = np.zeros((len(block), card.feature_width), np.float32)
    arrays: dict[str, np.ndarray] = {"feature": feature_SD}
    if not readable:
        return arrays, failures
    frame_BVTCHW = torch.stack([found for found in decoded if not isinstance(found, str)])
    batch, views = frame_BVTCHW.shape[:2]
    token_BND = encoded(encoder, normalised_clip(frame_BVTCHW.flatten(0, 1), card.mean, card.std)).token_BND
    if not bool(torch.isfinite(token_BND).all()):
        raise ValueError(
            f"model '{card.model}' gives features that are not finite for the block of samples that starts at index "
            f"{block.start}"
        )
    feature_SD[readable] = token_BND.mean(1).reshape(batch, views, -1).mean(1).float().cpu().numpy()
    if keeps_tokens:
        arrays["token"] = np.zeros((len(block), views, *token_BND.shape[1:]), np.float16)
        half_BND = token_BND.half()
        if not bool(torch.isfinite(half_BND).all()):
            raise ValueError(
                f"model '{card.model}' gives features too large for half precision, in which tokens are kept"
            )
        arrays["token"][readable] = half_BND.reshape(batch, views, *token_BND.shape[1:]).cpu().numpy()
    return arrays, failures
