"""Pictures of the features of models (``KINDS``), with captions that state checkpoint, data and seed.

Shapes: T frames, C colours, H W pixels.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.folds import divided
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Manifest, Sample, Split
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.checkpoints import read_checkpoint
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.zoo import checkpoint_in, load_encoder
from sigma_bench.pictures.contact_sheet import description
from sigma_bench.pictures.feature_maps import ClipMap, feature_map, map_rows
from sigma_bench.pictures.nearest_tubes import load_prototypes, nearest_tubes, prototype_rows
from sigma_bench.pictures.neighbour_sheets import neighbour_rows
from sigma_bench.pictures.sheets import sheet
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.specs.clip import ClipSpec, DenseSampling, UniformSampling
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.task import ResolvedTask

KINDS = ("prototypes", "features", "neighbours")
NUM_PROTOTYPES, NUM_TUBES, PROTOTYPE_CLIPS = 10, 8, 200
MAP_CLIPS, MOMENTS = 2, 4
NUM_QUERIES, NUM_NEIGHBOURS = 3, 8
"""Number of queries with a correct vote and of queries with a wrong one, and neighbours per query."""


@dataclass(frozen=True)
class Drawn:
    """A picture with heading and caption."""

    stem: str
    """Stem of the file name; it depends on kind, data and model only, so that a new picture replaces an old one."""
    heading: str
    caption: str
    image: Image


@dataclass(frozen=True)
class Drawing:
    """Data that pictures are drawn from."""

    task: ResolvedTask
    manifest: Manifest
    seed: int
    device: torch.device | str
    titles: Mapping[str, str]
    """By the name of a model in records, its name in pictures, where that differs."""

    @property
    def scored(self) -> Split:
        """The scored split, whose clips are shown; it is not used for training."""
        return self.manifest.splits[self.task.protocol.splits(self.manifest.splits.keys(), self.task.folds)[-1].name]

    @property
    def words(self) -> str:
        """Description of the data for captions."""
        source = "mini world" if self.manifest.data_source == "mini" else self.manifest.data_source
        return f"{self.task.dataset.title} ({source}), {self.scored.name} split"

    def title(self, card: EncoderCard) -> str:
        """Name of a model in pictures."""
        return self.titles.get(card.model, card.model)

    def model_words(self, card: EncoderCard) -> str:
        """Description of a model for captions."""
        seed = "" if card.pretraining_seed is None else f"pretraining seed {card.pretraining_seed}, "
        return f"{self.title(card)}, {seed}checkpoint {card.checkpoint_sha256[:12]}"


def draw_gallery(
    names: Sequence[str],
    task: ResolvedTask,
    data_root: Path | None,
    cache: FeatureCache,
    *,
    kinds: Sequence[str] = KINDS,
    teacher: str | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    titles: Mapping[str, str] | None = None,
    report: Callable[[str], None] = lambda words: None,
) -> Iterator[Drawn]:
    """Draw pictures of models, one after the other.

    Args:
        names: names of models, as for ``load_encoder``.
        task: a kNN task, whose dataset is shown.
        kinds: kinds of pictures, from ``KINDS``.
        teacher: name of a model that replaces the teacher of a SIGMA-DINO recipe.
        seed: seed for the choice of clips and queries, and for the weights of ``random:<recipe>``.
        titles: by the name of a model in records, its name in pictures; the name in records for others.
        report: is called with a sentence if a picture does not apply to a model.

    Raises:
        ValueError: a model, kind of picture or dataset is not found, the task is not a kNN task, or files cannot be
            decoded.
    """
    if not isinstance(task.protocol, KnnProtocol):
        raise ValueError(f"task '{task.task}' is no kNN task; choose one such as ucf101/knn")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"there is no picture '{unknown[0]}'; choose among {', '.join(KINDS)}")
    manifest = divided(open_dataset(task.dataset, data_root), task.folds)
    drawing = Drawing(task, identified(manifest, manifest.splits.values()), seed, device, titles or {})
    encoders = {name: load_encoder(name, seed=seed, device=device) for name in names}
    if "prototypes" in kinds:
        for name, encoder in encoders.items():
            drawn = _prototypes(name, encoder, drawing, teacher)
            if drawn is None:
                report(f"{drawing.title(encoder.card)}: no prototypes, so no prototype gallery")
            else:
                yield drawn
    if "features" in kinds:
        yield _features(list(encoders.values()), drawing)
    if "neighbours" in kinds:
        for encoder in encoders.values():
            yield _neighbours(encoder, drawing, cache)


def _prototypes(name: str, encoder: Encoder, drawing: Drawing, teacher: str | None) -> Drawn | None:
    path = checkpoint_in(Path(name)) if Path(name).exists() else None
    method = load_prototypes(read_checkpoint(path), teacher=teacher, device=drawing.device) if path else None
    if method is None:
        return None
    spec, stride = method.recipe.encoder, method.recipe.data.stride_frames
    sampling = DenseSampling(sampler="dense", stride_frames=stride, num_clips=1)
    clips, unread = _clips(drawing, sampling, spec.num_frames, spec.image_size, PROTOTYPE_CLIPS)
    frames = list(clips.values())
    found = nearest_tubes(method, frames)
    rows = prototype_rows(found, frames, spec, num_prototypes=NUM_PROTOTYPES, num_tubes=NUM_TUBES)
    most = np.sort(found.usage_K)[::-1][: len(rows)].sum() / found.usage_K.sum()
    caption = (
        f"{drawing.model_words(encoder.card)}. Each row is a prototype with its {NUM_TUBES} nearest tubes, one per "
        f"clip, of {len(frames)} clips of {drawing.words}: the {spec.tubelet_frames} frames of a tube side by side, "
        f"the tube boxed. Shown are the {len(rows)} of {len(found.usage_K)} prototypes that are nearest to the most "
        f"tubes, by cosine and without Sinkhorn, together {100 * most:.0f} % of {found.usage_K.sum():,}; "
        f"{(found.usage_K == 0).sum()} are nearest to none. Clips drawn with seed {drawing.seed}{unread}."
    )
    heads = [f"nearest tube, {spec.tubelet_frames} frames", *map(str, range(2, NUM_TUBES + 1))]
    image = sheet(rows, height=84, heads=heads)
    return Drawn(_stem("prototypes", drawing, encoder.card), "Prototypes and their nearest tubes", caption, image)


def _features(encoders: Sequence[Encoder], drawing: Drawing) -> Drawn:
    maps: dict[str, list[ClipMap]] = {}
    for encoder in encoders:
        card = encoder.card
        clips, unread = _clips(drawing, UniformSampling(sampler="uniform"), card.num_frames, card.image_size, MAP_CLIPS)
        maps[_row_name(card, encoders, drawing)] = [feature_map(encoder, frames) for frames in clips.values()]
    slots = min(len(clip_maps[0].colour_THW3) for clip_maps in maps.values())
    moments = min(MOMENTS, slots)
    heads = [
        words
        for sample in clips
        for words in (f"{description(sample, drawing.manifest)}, time to the right", *[""] * (moments - 1))
    ]
    caption = (
        f"Clips of {drawing.words} (seed {drawing.seed}{unread}): {' and '.join(sample.id for sample in clips)}; time "
        "runs to the right. Below the frames, one row per model: every square is a token, its colour the first three "
        "principal components of the clip's tokens as red, green and blue. Equal colours mean equal features within "
        "one clip of one row, and nothing beyond. A component's sign is chosen so that it grows with the brightness "
        f"of the patch. {'; '.join(drawing.model_words(encoder.card) for encoder in encoders)}."
    )
    image = sheet(map_rows(maps, moments), height=120, heads=heads, gaps=[moments - 1])
    return Drawn(_stem("features", drawing), "Features over time", caption, image)


def _neighbours(encoder: Encoder, drawing: Drawing, cache: FeatureCache) -> Drawn:
    session = open_session(encoder.card, drawing.task, drawing.manifest, seed=drawing.seed)
    evaluation: Evaluation[KnnProtocol] = session.evaluation(encoder, cache, folder=Path())
    protocol = evaluation.protocol
    shown = min(NUM_NEIGHBOURS, protocol.neighbours)
    votes = neighbour_rows(evaluation, number=NUM_QUERIES, num_shown=shown)
    caption = (
        f"{drawing.model_words(encoder.card)}. Middle frames of queries of {drawing.words} and of the {shown} "
        f"nearest of the {protocol.neighbours} training clips that vote on each ({protocol.protocol}), with class and "
        "cosine. Tick on green: the query's class; cross on vermillion: another. Queries are drawn with seed "
        f"{drawing.seed}, in one order for all models; the votes are right for {votes.num_right} of all "
        f"{votes.num_queries}."
    )
    heads = ["query", "nearest 1", *map(str, range(2, shown + 1))]
    image = sheet(votes.rows, height=96, heads=heads, gaps=[0])
    return Drawn(_stem("neighbours", drawing, encoder.card), "Nearest neighbours", caption, image)


def _clips(
    drawing: Drawing, sampling: DenseSampling | UniformSampling, num_frames: int, image_size: int, number: int
) -> tuple[Mapping[Sample, Tensor], str]:
    """Clips (T, C, H, W) uint8 in random order, and a clause for captions about those that cannot be read."""
    samples = drawing.scored.samples
    order = np.random.default_rng(drawing.seed).permutation(len(samples))
    shuffled = [samples[index] for index in order]
    clip = ClipSpec(sampling=sampling, crop="centre")
    dataset = EvaluationClips(shuffled, clip, num_frames=num_frames, image_size=image_size)
    found: dict[Sample, Tensor] = {}
    unread = 0
    for index, sample in enumerate(shuffled):
        item = dataset[index]
        if isinstance(item, str):
            unread += 1
        else:
            found[sample] = item[0]
        if len(found) == number:
            break
    if not found:
        raise ValueError(f"no clip of {drawing.words} can be decoded; see 'sigma-bench data verify'")
    return found, f"; {unread} clips that cannot be decoded passed over" if unread else ""


def _row_name(card: EncoderCard, encoders: Sequence[Encoder], drawing: Drawing) -> str:
    """Name of the model, with its seed if several models of one name are shown."""
    is_alone = sum(other.card.model == card.model for other in encoders) == 1
    return drawing.title(card) if is_alone else f"{drawing.title(card)} {card.pretraining_seed}"


def _stem(kind: str, drawing: Drawing, card: EncoderCard | None = None) -> str:
    parts = [kind, drawing.task.dataset.dataset]
    if card is not None:
        parts += [card.model, *([] if card.pretraining_seed is None else [f"seed{card.pretraining_seed}"])]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
