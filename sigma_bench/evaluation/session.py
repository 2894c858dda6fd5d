"""Sessions: resolved evaluations, with their samples, the passes through the encoder and the key of their record.

Everything is resolved when a session is opened; ``evaluation/run.py`` runs it.  A session does not hold the encoder, so
it can be sent to the other processes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sigma_bench.data.datasets import DataPlace, open_dataset
from sigma_bench.data.folds import divided, with_folds
from sigma_bench.data.identity import identified
from sigma_bench.data.limited import limited
from sigma_bench.data.manifest import Manifest, Split, shared_groups
from sigma_bench.data.official_lists import draw_subset
from sigma_bench.evaluation.requirements import require_runnable, require_sound, require_splits, warn_of_copies
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Evaluation, Report, silent, split_of
from sigma_bench.records.record import DataIdentity, SplitIdentity, resume_key
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.passes import Pass, SplitUse
from sigma_bench.specs.task import ResolvedTask, require_folds_used
from sigma_bench.training.distribution import Processes

SINGLE_PROCESS = Processes(torch.device("cpu"))


@dataclass(frozen=True)
class Session:
    """One task for one encoder, with the samples that it uses."""

    task: ResolvedTask
    manifest: Manifest
    splits: tuple[Split, ...]
    """Splits with the samples that the protocol uses and their identity; the scored split is the last one."""
    passes: tuple[Pass, ...]
    seed: int
    fingerprint: str
    key: Mapping[str, Any]
    """Key of the record, see ``records/record.py``."""

    def split(self, pass_: Pass) -> Split:
        """The split of a pass."""
        return split_of(pass_, self.splits)

    def evaluation(
        self,
        encoder: Encoder,
        cache: FeatureCache,
        *,
        folder: Path,
        processes: Processes = SINGLE_PROCESS,
        kept_tokens: frozenset[str] = frozenset(),
        report: Report = silent,
    ) -> Evaluation[Any]:
        """What the protocol receives; see ``Evaluation`` for the arguments."""
        return Evaluation(
            encoder=encoder,
            task=self.task,
            protocol=self.task.protocol,
            manifest=self.manifest,
            splits=self.splits,
            passes=self.passes,
            seed=self.seed,
            cache=cache,
            processes=processes,
            folder=folder,
            kept_tokens=kept_tokens,
            report=report,
        )

    def data_identity(self, *, scored: int = 0, failures: Mapping[str, str] | None = None) -> DataIdentity:
        """Identity of the samples, with the number that was scored and those that could not be read."""
        return _data_identity(self.manifest, self.splits, scored, failures or {})


def open_session(
    card: EncoderCard,
    task: ResolvedTask,
    source: DataPlace,
    *,
    seed: int,
    limit: int | float | None = None,
    report: Report = silent,
) -> Session:
    """Resolve a task for an encoder.

    Args:
        source: where the data are; splits of an open manifest that are already identified are not identified again.
        seed: seed of the evaluation.
        limit: number or fraction of samples of each split, for a partial evaluation.
        report: is called with the number of files read for the identity of the samples, and the number of files to
            read.

    Raises:
        ValueError: the dataset is not found or lacks splits that the protocol uses; or ``require_runnable`` raises it.
    """
    manifest = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
    require_folds_used(task)
    manifest = divided(manifest, task.folds)
    uses = _split_uses(task, manifest)
    if limit is not None:
        num_classes = len(manifest.classes or ())
        manifest = limited(
            manifest, limit, {use.name: task.protocol.least_samples(use.name, num_classes) for use in uses}
        )
    passes = task.protocol.passes(uses, card, seed)
    require_sound(task.protocol, uses, passes)
    used = [manifest.splits[use.name] for use in uses]
    manifest = identified(manifest, used, lambda done, total: report(f"reading {manifest.dataset}", done, total))
    splits = tuple(with_folds(_drawn(manifest.splits[use.name], use.per_class), task.folds) for use in uses)
    require_runnable(task, manifest, splits)
    warn_of_copies(manifest, splits)
    fingerprint, data = task_fingerprint(task), _data_identity(manifest, splits, 0, {})
    return Session(
        task=task,
        manifest=manifest,
        splits=splits,
        passes=passes,
        seed=seed,
        fingerprint=fingerprint,
        key=resume_key(card, fingerprint, seed, data),
    )


def _split_uses(task: ResolvedTask, manifest: Manifest) -> tuple[SplitUse, ...]:
    has = f"task '{task.task}': {manifest.dataset} has {' and '.join(manifest.splits)}, but"
    try:
        uses = task.protocol.splits(manifest.splits.keys(), task.folds)
    except ValueError as error:
        raise ValueError(f"{has} {error}") from error
    require_splits(task.protocol, uses)
    for use in uses:
        if use.name not in manifest.splits:
            raise ValueError(f"{has} {task.protocol.protocol} uses {use.name}")
    return uses


def _drawn(split: Split, per_class: int | None) -> Split:
    """The split with ``per_class`` samples of every class, or with all samples of a class that has fewer."""
    if per_class is None:
        return split
    drawn = tuple(draw_subset(split.samples, per_class))
    return replace(split, samples=drawn, expected=len(drawn))


def _data_identity(
    manifest: Manifest, splits: tuple[Split, ...], scored: int, failures: Mapping[str, str]
) -> DataIdentity:
    shared = shared_groups(splits[0], splits[-1]) if len(splits) > 1 else ()
    return DataIdentity(
        world=manifest.data_source,
        num_classes=len(manifest.classes) if manifest.classes else None,
        splits={
            split.name: SplitIdentity(
                manifest_sha256=split.sha256,
                expected=split.expected,
                found=len(split.samples) - len(split.missing),
                scored=scored if split is splits[-1] else 0,
                failed_ids=tuple(i for i in split.ids if i in failures),
                decoders=dict(Counter(sample.decoder for sample in split.samples if sample.decoder)),
                official=split.official,
            )
            for split in splits
        },
        shared_groups=len(shared),
        folds_sha256=splits[-1].folds_sha256,
        limit=manifest.limit,
    )
