"""Features of a frozen encoder over a split, shared by all frozen protocols through a cache on disk.

The key of a cache entry depends on everything that changes a feature: identity of the encoder, digest of the split,
clip sampling and crop, precision.  Samples are computed in fixed blocks, so the result does not depend on the number of
processes that share the blocks.

Shapes: S samples, V clips of a sample, N tokens, D width.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sigma_bench.data.evaluation_clips import ClipMemory, EvaluationClips
from sigma_bench.data.manifest import Split
from sigma_bench.data.workers import NumWorkers
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore, cache_entries
from sigma_bench.protocols.clip_batches import DECODED_BYTES, BatchEncoder, BatchSize, Waiting, decoded_batches
from sigma_bench.protocols.feature_block import FeatureBlock
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.resources import CACHE_LIMIT_GIB
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.passes import Pass
from sigma_bench.training.distribution import Processes, keep_freed_memory
from sigma_bench.training.processes import on_all, on_main

BLOCK_CLIPS = 64
"""Number of clips that are written together."""

CountReport = Callable[[int, int, float], None]
"""Progress report: number of samples done, number of all samples, share of the time spent waiting for decoding."""


class FeatureCache:
    """A folder with features.

    Args:
        root: the folder.
        clips: decoded clips in memory, which several encoders of one process share.
        num_workers: number of processes that decode; ``auto`` depends on the machine.
        batch_size: greatest number of clips that are encoded at once; ``auto`` depends on memory.
        limit_bytes: greatest size of the folder; an entry that does not fit is refused before anything is computed.
    """

    def __init__(
        self,
        root: Path,
        clips: ClipMemory | None = None,
        *,
        num_workers: NumWorkers = 0,
        batch_size: BatchSize = "auto",
        limit_bytes: int = round(CACHE_LIMIT_GIB * 2**30),
    ) -> None:
        self.root, self.clips = root, clips or ClipMemory(0)
        self.num_workers, self.batch_size, self.limit_bytes = num_workers, batch_size, limit_bytes

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
                self._fill(encoder, dataset, pass_, store, missing, grid, processes, report)

        on_all(processes, fill)
        token_SVND = store.read("token") if grid else None
        return SplitFeatures(store.read("feature"), store.failures(), token_SVND, grid)

    def _fill(
        self,
        encoder: Encoder,
        dataset: EvaluationClips,
        pass_: Pass,
        store: BlockStore,
        missing: Sequence[range],
        grid: tuple[int, int, int] | None,
        processes: Processes,
        report: CountReport,
    ) -> None:
        """Compute and write this process's share of the missing blocks."""
        assert pass_.clip is not None
        if processes.device.type == "cpu":
            keep_freed_memory()
        views, mine = pass_.clip.num_views, missing[processes.rank :: processes.size]
        batch_encoder = BatchEncoder(encoder, pass_.precision, self.batch_size)
        step = max(1, DECODED_BYTES // (views * dataset.num_frames * 3 * dataset.image_size**2))
        batches = [block[start : start + step] for block in mine for start in range(0, len(block), step)]
        waiting = Waiting()
        decoded = waiting.timed(
            decoded_batches(
                dataset,
                batches,
                num_workers=self.num_workers,
                memory=self.clips,
                pin_memory=processes.device.type == "cuda",
            )
        )
        done = len(dataset) - sum(map(len, missing))
        for block in mine:
            arrays = FeatureBlock(encoder, block, views, grid)
            for start in range(0, len(block), step):
                arrays.fill(block[start : start + step], next(decoded), batch_encoder)
            store.write(block, arrays.arrays, arrays.failures)
            done += len(block) * processes.size
            report(min(done, len(dataset)), len(dataset), waiting.share)

    def num_missing(self, encoder: Encoder, split: Split, pass_: Pass) -> int:
        """Number of samples of which the cache lacks features, or tokens if the pass needs them."""
        grid = token_grid(encoder) if pass_.tokens else None
        return sum(map(len, self._store(encoder.card, split, pass_, grid).unwritten()))

    def require_room_for_tokens(
        self, encoder: Encoder, passes: Sequence[tuple[Split, Pass]], without_cache: str | None
    ) -> None:
        """Check the room for all tokens of a task before the first of them is computed.

        Args:
            passes: passes of the task with their splits.
            without_cache: a protocol for the same purpose that needs no cache.

        Raises:
            ValueError: the tokens that are missing would exceed the limit.
        """
        wanted = [(s, p) for s, p in passes if p.is_cached and p.tokens and isinstance(p.clip, ClipSpec)]
        if wanted:
            grid = token_grid(encoder)
            stores = [self._store(encoder.card, split, pass_, grid) for split, pass_ in wanted]
            other = f"; {without_cache} stores no tokens" if without_cache else ""
            self.require_room(*(store for store in stores if store.unwritten()), advice=other)

    def require_room(self, *stores: BlockStore, advice: str = "") -> None:
        """ValueError if new entries would exceed the limit."""
        if stores and not self._fits(*stores):
            raise ValueError(
                f"{self.root}: {self._occupied(*stores) / 2**30:.1f} GiB of features are here and "
                f"{sum(store.num_bytes for store in stores) / 2**30:.1f} GiB more are needed, but the limit is "
                f"{self.limit_bytes / 2**30:.1f} GiB; make room with 'sigma-bench cache rm', or raise --cache-limit"
                f"{advice}"
            )

    def _fits(self, *stores: BlockStore) -> bool:
        return self._occupied(*stores) + sum(store.num_bytes for store in stores) <= self.limit_bytes

    def _occupied(self, *stores: BlockStore) -> int:
        """Size of all entries but these, bytes."""
        folders = {store.folder for store in stores}
        return sum(entry.num_bytes for entry in cache_entries(self.root) if entry.folder not in folders)

    def _store(self, card: EncoderCard, split: Split, pass_: Pass, grid: tuple[int, int, int] | None) -> BlockStore:
        assert isinstance(pass_.clip, ClipSpec)
        views = pass_.clip.num_views
        layout = {"feature": ArrayLayout((card.feature_width,), "float32")}
        if grid:
            layout["token"] = ArrayLayout((views, int(np.prod(grid)), card.feature_width), "float16")
        return self.store(card, split, pass_, block=max(1, BLOCK_CLIPS // views), layout=layout)

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
        return digest([card.identity, split.sha256, pass_.clip.model_dump(mode="json"), pass_.precision])[:32]


def token_grid(encoder: Encoder) -> tuple[int, int, int]:
    """Time slots, rows and columns of the tokens of an encoder, found by encoding a clip of zeros."""
    card = encoder.card
    return encoded(encoder, torch.zeros(1, 3, card.num_frames, card.image_size, card.image_size)).grid


def _dataset(split: Split, clip: ClipSpec, card: EncoderCard) -> EvaluationClips:
    return EvaluationClips(split.samples, clip, num_frames=card.num_frames, image_size=card.image_size)
