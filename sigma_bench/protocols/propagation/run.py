"""propagation: the masks of the first frame propagated through a sequence by similar patches (DINO, arXiv 2104.14294).

Frames are encoded separately.  The label of a patch is a weighted mean of the labels of the most similar patches in the
first frame and the last few frames, within a neighbourhood.  Soft labels are propagated; hard masks at the original
size are scored (J and F of DAVIS-2017, semi-supervised track).  Nothing is trained.  Results of finished sequences are
kept in the folder of the evaluation, so that an interrupted evaluation continues after them.

Differs from DINO's script in the frame size: the short side is a key, whose default is a square of twice the encoder's
size instead of a short side of 480 px.  For an encoder of clips, which the paper does not consider, each frame is
repeated to the shortest clip that the encoder takes (one tubelet, or ``min_frames`` of its card), and the first time
slot of the tokens is used.

Shapes: T frames, F context frames, h w token rows and columns, N = h x w patches, M = F x N, D width, O labels, H W
pixels.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Sample, Split
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.data.transforms import channels_first, normalised_clip, resize
from sigma_bench.metrics.davis import FrameScores, count_objects, semi_supervised, statistics
from sigma_bench.metrics.segmentation import VOID
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.interface import Evaluation, Predictions, every_sequence_counts
from sigma_bench.protocols.kept_arrays import KeptArrays
from sigma_bench.protocols.propagation.spec import PropagationProtocol
from sigma_bench.protocols.token_maps import checked_maps
from sigma_bench.training.processes import shared

PATCHES_AT_ONCE = 512
"""Number of patches whose weights are computed at once; all patches of a frame of 480 px at patch 8 take gigabytes."""

_MEASURES = ((0, "j"), (1, "f"))
"""Index in ``FrameScores`` and name of the two measures."""


class FrameMap(NamedTuple):
    """Features of the patches of one frame."""

    unit_ND: Tensor
    """Features of length 1, in order row, column."""
    grid: tuple[int, int]
    """Rows and columns of patches."""
    size_HW: tuple[int, int]
    """Size of the encoded frame, pixels."""


class PropagatedSequence(NamedTuple):
    """Scores and masks of one sequence."""

    sequence: str
    scores: FrameScores
    controls: dict[str, FrameScores]
    """Scores of empty masks, of the first mask in every frame, and of the true label of every patch."""
    found_THW: np.ndarray
    """Masks of all frames but the first, at the size of the encoded frames."""


def run(evaluation: Evaluation[PropagationProtocol]) -> Predictions | None:
    """Propagate the masks of every sequence; the processes share the sequences.

    Raises:
        ValueError: a sequence cannot be read or has no object in its first frame, or features are not finite or are not
            one map per frame.
    """
    protocol, (split,), processes = evaluation.protocol, evaluation.splits, evaluation.processes
    kept = KeptArrays(evaluation.folder / "sequences")

    def work(sample: Sample) -> PropagatedSequence:
        arrays = kept.get(sample.id, lambda: _packed(propagate_sequence(evaluation.encoder, protocol, sample)))
        return _unpacked(sample.id, arrays)

    with every_sequence_counts(evaluation.task):
        evaluation.report("propagation", 0, len(split.samples))
        done = shared(processes, split.samples, work, lambda at, total: evaluation.report("propagation", at, total))
    return _predictions(done, split) if processes.is_main else None


def propagate_sequence(encoder: Encoder, protocol: PropagationProtocol, sample: Sample) -> PropagatedSequence:
    """Masks and scores of one sequence, from the mask of its first frame."""
    sequence = MaskedSequence(sample)
    truth_THW = sequence.masks(range(len(sequence)))
    try:
        num_objects = count_objects(truth_THW[0])
        first_HW = np.where(truth_THW[0] == VOID, 0, truth_THW[0])
        maps = (_frame_map(encoder, sequence, index, protocol) for index in range(len(sequence)))
        first = next(maps)
        small_THW = np.stack(list(propagated(first, maps, first_HW, num_objects, protocol)))
        oracle_THW = np.stack([_oracle(mask_HW, num_objects, first) for mask_HW in truth_THW[1:]])
        scores = semi_supervised(truth_THW, _at_size(first_HW, small_THW))
        controls = {
            "nothing_found": semi_supervised(truth_THW, np.zeros_like(truth_THW)),
            "first_mask_stays": semi_supervised(truth_THW, np.broadcast_to(first_HW, truth_THW.shape)),
            f"oracle_patches_{first.grid[0]}x{first.grid[1]}": semi_supervised(
                truth_THW, _at_size(first_HW, oracle_THW)
            ),
        }
    except DecodeError:
        raise
    except ValueError as error:
        raise ValueError(f"sequence '{sample.id}': {error}") from error
    return PropagatedSequence(sample.id, scores, controls, small_THW)


def propagated(
    first: FrameMap,
    others: Iterable[FrameMap],
    first_HW: np.ndarray,
    num_objects: int,
    protocol: PropagationProtocol,
) -> Iterator[np.ndarray]:
    """Masks (H, W) uint8 of all other frames in order, at the size of the encoded frames.

    Args:
        first: features of the first frame.
        others: features of the other frames.
        first_HW: mask of the first frame.
    """
    rows, columns = first.grid
    known = [(first.unit_ND, patch_labels(first_HW, num_objects, first.grid).flatten(1).to(first.unit_ND.device))]
    recent: deque[tuple[Tensor, Tensor]] = deque(maxlen=protocol.context_frames)
    near_NN = neighbourhood(rows, columns, protocol.radius_patches).to(first.unit_ND.device)
    for frame in others:
        context = [*known, *recent]
        label_ON = propagate(
            frame.unit_ND,
            torch.stack([unit_ND for unit_ND, _ in context]),
            torch.stack([soft_ON for _, soft_ON in context]),
            near_NN,
            protocol,
        )
        recent.append((frame.unit_ND, label_ON))
        yield hard_mask(label_ON.reshape(-1, rows, columns), frame.size_HW)


def patch_labels(mask_HW: np.ndarray, num_objects: int, grid: tuple[int, int]) -> Tensor:
    """One-hot label of the pixel in the middle of every patch, (O, h, w); labels that are no object are background."""
    label_hw = torch.from_numpy(_resized_labels(mask_HW, (grid[1], grid[0]))).long()
    return F.one_hot(label_hw.where(label_hw <= num_objects, 0), num_objects + 1).permute(2, 0, 1).float()


def propagate(
    target_ND: Tensor, context_FND: Tensor, label_FON: Tensor, near_NN: Tensor, protocol: PropagationProtocol
) -> Tensor:
    """Soft labels of the patches of a frame, (O, N), from the soft labels of its context frames.

    Weights are exp(cosine / temperature).  For each patch, the ``top_k`` largest weights over all context frames are
    used (more if several equal the smallest of them) and normalised to sum to one.
    """
    label_OM = label_FON.transpose(0, 1).flatten(1)
    parts = zip(target_ND.split(PATCHES_AT_ONCE), near_NN.split(PATCHES_AT_ONCE), strict=True)
    return torch.cat([label_OM @ _weights(part_ND, context_FND, near, protocol).T for part_ND, near in parts], dim=1)


def _weights(target_ND: Tensor, context_FND: Tensor, near_NN: Tensor, protocol: PropagationProtocol) -> Tensor:
    """Weights of all context patches for these patches, (N, M); rows sum to one."""
    weight_NFN = (torch.einsum("nd,fmd->nfm", target_ND, context_FND) / protocol.temperature).exp()
    weight_NM = (weight_NFN * near_NN[:, None]).flatten(1)
    weakest_N1 = weight_NM.topk(min(protocol.top_k, weight_NM.shape[1]), dim=1).values[:, -1:]
    weight_NM = torch.where(weight_NM >= weakest_N1, weight_NM, 0)
    return weight_NM / weight_NM.sum(1, keepdim=True)


def neighbourhood(rows: int, columns: int, radius: int) -> Tensor:
    """Which patches are compared, (N, N) bool: those at most ``radius`` rows and columns apart."""
    row_N, column_N = torch.arange(rows).repeat_interleave(columns), torch.arange(columns).repeat(rows)
    return ((row_N[:, None] - row_N).abs() <= radius) & ((column_N[:, None] - column_N).abs() <= radius)


def hard_mask(soft_Ohw: Tensor, size_HW: tuple[int, int]) -> np.ndarray:
    """The label with the greatest value at every pixel, (H, W) uint8.

    Maps are upsampled bilinearly, and the map of each label is scaled to the range from 0 to 1.
    """
    soft_OHW = F.interpolate(soft_Ohw[None], size=size_HW, mode="bilinear", align_corners=False)[0]
    low_O11, high_O11 = soft_OHW.amin((1, 2), keepdim=True), soft_OHW.amax((1, 2), keepdim=True)
    spread_O11 = high_O11 - low_O11
    stretched_OHW = torch.where(spread_O11 > 0, (soft_OHW - low_O11) / spread_O11.clamp(min=1e-12), soft_OHW)
    return np.asarray(stretched_OHW.argmax(0).to(torch.uint8).cpu().numpy())


def _oracle(mask_HW: np.ndarray, num_objects: int, like: FrameMap) -> np.ndarray:
    """The mask from the true labels of the patches of a frame, (H, W) uint8 at the size of the encoded frames."""
    return hard_mask(patch_labels(mask_HW, num_objects, like.grid), like.size_HW)


def _at_size(first_HW: np.ndarray, other_THW: np.ndarray) -> np.ndarray:
    """The first mask, and the other masks resized to its size, (T, H, W)."""
    height, width = first_HW.shape
    return np.stack([first_HW, *(_resized_labels(mask_HW, (width, height)) for mask_HW in other_THW)])


def encoded_size(size_HW: tuple[int, int], protocol: PropagationProtocol, encoder_size: int) -> tuple[int, int]:
    """Height and width at which frames of this size are encoded; ValueError if no allowed long side exists."""
    height, width = size_HW
    relative = {"encoder": encoder_size, "twice_encoder": 2 * encoder_size}
    short = relative[protocol.short_side] if isinstance(protocol.short_side, str) else protocol.short_side
    if protocol.aspect == "squash":
        return short, short
    step = protocol.long_side_multiple_px
    long = int(short * max(height, width) / min(height, width)) // step * step
    if long < short:
        raise ValueError(f"no multiple of {step} px lies between a short side of {short} px and its long side")
    return (short, long) if width >= height else (long, short)


def _frame_map(encoder: Encoder, sequence: MaskedSequence, index: int, protocol: PropagationProtocol) -> FrameMap:
    card, what = encoder.card, f"frame {index}"
    frame_TCHW = channels_first(sequence.frames([index]))
    size_HW = encoded_size((frame_TCHW.shape[2], frame_TCHW.shape[3]), protocol, card.image_size)
    frames = max(card.tubelet_frames, card.min_frames or 0)
    still_TCHW = resize(frame_TCHW, list(size_HW)).expand(frames, -1, -1, -1)
    clip_BCTHW = normalised_clip(still_TCHW[None], card.mean, card.std)
    try:
        map_BThwD = checked_maps(encoder, clip_BCTHW, protocol.encoder_precision, what=what)
    except ValueError as error:
        raise ValueError(
            f"{error} (frames are encoded at {size_HW[0]} x {size_HW[1]} px; short_side 'encoder' and aspect 'squash' "
            f"give the {card.image_size} px of the encoder's clips)"
        ) from error
    map_hwD = map_BThwD[0, 0]
    return FrameMap(F.normalize(map_hwD.flatten(0, 1).float(), dim=1), (map_hwD.shape[0], map_hwD.shape[1]), size_HW)


def _resized_labels(label_HW: np.ndarray, width_height: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(label_HW.astype(np.uint8)).resize(width_height, Image.Resampling.NEAREST))


def _packed(result: PropagatedSequence) -> dict[str, np.ndarray]:
    """The result of a sequence, except its id, as named arrays."""
    scores = {"scores": result.scores, **{f"control/{name}": scores for name, scores in result.controls.items()}}
    arrays = {f"{measure}/{name}": found[number] for name, found in scores.items() for number, measure in _MEASURES}
    return {**arrays, "masks": result.found_THW}


def _unpacked(sequence: str, arrays: Mapping[str, np.ndarray]) -> PropagatedSequence:
    names = [name.removeprefix("j/") for name in arrays if name.startswith("j/")]
    scores = {name: FrameScores(arrays[f"j/{name}"], arrays[f"f/{name}"]) for name in names}
    of_masks = scores.pop("scores")
    controls = {name.removeprefix("control/"): found for name, found in scores.items()}
    return PropagatedSequence(sequence, of_masks, controls, arrays["masks"])


def _predictions(done: list[PropagatedSequence], split: Split) -> Predictions:
    group_of = {sample.id: sample.group for sample in split.samples}
    longest = max(result.scores.j_OT.shape[1] for result in done)
    arrays = {
        "ids": np.array([f"{result.sequence}/{o}" for result in done for o in range(1, len(result.scores.j_OT) + 1)]),
        "groups": np.array([group_of[result.sequence] for result in done for _ in result.scores.j_OT]),
    }
    for measure, name in _MEASURES:
        per_sequence = [statistics(result.scores[measure]) for result in done]
        for number, statistic in enumerate(("mean", "recall", "decay")):
            arrays[f"{name}_{statistic}"] = np.concatenate([found[number] for found in per_sequence])
        arrays[f"{name}_frames"] = np.concatenate([_padded(result.scores[measure], longest) for result in done])
    for result in done:
        arrays[f"masks/{result.sequence}"] = result.found_THW
    controls = {name: _j_and_f([result.controls[name] for result in done]) for name in done[0].controls}
    return Predictions(arrays, len(done), controls=controls)


def _padded(score_OT: np.ndarray, num_frames: int) -> np.ndarray:
    """Scores of the frames, padded with NaN to ``num_frames``."""
    return np.pad(score_OT, ((0, 0), (0, num_frames - score_OT.shape[1])), constant_values=np.nan)


def _j_and_f(scores: list[FrameScores]) -> float:
    means = [
        (statistics(frame_scores.j_OT).mean_O + statistics(frame_scores.f_OT).mean_O) / 2 for frame_scores in scores
    ]
    return float(np.concatenate(means).mean())
