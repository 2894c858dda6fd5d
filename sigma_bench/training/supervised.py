"""Supervised training as a method of the training loop, with an optional running mean of the weights.

All random numbers of an example (frames, augmentation, mixing, dropped branches) are drawn with the example.

Shapes: B videos, R repeats of each, C colours, T frames, H W pixels, K branches, L classes.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sigma_bench.data.augmentation import augmented_clip
from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin
from sigma_bench.data.sampling import training_indices
from sigma_bench.models.encoder import TrainableEncoder
from sigma_bench.specs.training_protocol import SupervisedOptim, SupervisedProtocol, TrainingProtocol
from sigma_bench.training.classifier import Classifier, layer_decay_optimiser
from sigma_bench.training.drop_path import use_chances
from sigma_bench.training.method import Method
from sigma_bench.training.mixing import draw_mix, mixed
from sigma_bench.training.run_plan import Plan
from sigma_bench.training.step import StepOutput
from sigma_bench.training.targets import Labels


class SupervisedMethod(Method):
    """A network with a new head, whose initial weights are drawn from ``seed``.

    Args:
        frozen: whether only the new norm and head are trained.
        after_epoch: is called after every epoch but the last, with the number of finished epochs and the tested
            network.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        protocol: SupervisedProtocol,
        labels: Labels,
        *,
        frozen: bool,
        seed: int,
        after_epoch: Callable[[int, Classifier], None] = lambda epoch, tested: None,
    ) -> None:
        super().__init__()
        self.after_epoch = after_epoch
        self.card, self.protocol, self.labels = encoder.card, protocol, labels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.classifier = Classifier(
                encoder.backbone(protocol.drop_path),
                self.card.feature_width,
                labels.num_classes,
                head_init_scale=protocol.head_init_scale,
                frozen=frozen,
            )
        self.mean: Classifier | None = None
        if protocol.ema_decay is not None:
            self.mean = copy.deepcopy(self.classifier).requires_grad_(False)
        parts = {"classifier": self.classifier, "mean": self.mean}
        self.model = nn.ModuleDict({name: part for name, part in parts.items() if part is not None})
        self._chances = use_chances(self.classifier)

    @property
    def tested(self) -> Classifier:
        """The network that is tested: the running mean if there is one."""
        return self.mean or self.classifier

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """Clips (R, C, T, H, W), target (L,), position, chances (R, K) of branches, and mixing numbers (R, 4)."""
        card, protocol = self.card, self.protocol
        index_T = training_indices(protocol.sampling, len(video), card.num_frames, rng)
        frame_THWC, repeats = video.frames(index_T.tolist()), range(protocol.augmentation.repeats)
        clips = [
            augmented_clip(frame_THWC, protocol.augmentation, card.image_size, card.mean, card.std, rng)
            for _ in repeats
        ]
        chance_RK = rng.random((len(repeats), self.classifier.num_branches), np.float32)
        mix_R4 = np.stack([draw_mix(protocol.mixing, rng) for _ in repeats]).astype(np.float32)
        target_L, position = self.labels.target(origin.sample, index_T), torch.tensor(origin.position)
        return torch.stack(clips), target_L, position, torch.from_numpy(chance_RK), torch.from_numpy(mix_R4)

    def forward(
        self,
        clip_BRCTHW: Tensor,
        target_BL: Tensor,
        position_B: Tensor,
        chance_BRK: Tensor,
        mix_BR4: Tensor,
    ) -> StepOutput:
        parts = []
        for clip_BCTHW, mix_B4 in zip(clip_BRCTHW.unbind(1), mix_BR4.unbind(1), strict=True):
            parts.append((clip_BCTHW, target_BL))
            if self.protocol.mixing is not None:
                parts[-1] = mixed(clip_BCTHW, target_BL, mix_B4, position_B)
        clips, targets = zip(*parts, strict=True)
        self._chances.start(chance_BRK.transpose(0, 1).flatten(0, 1))
        return StepOutput(self.labels.loss(self.classifier(torch.cat(clips)), torch.cat(targets)), {})

    def cuts(self, batch: Example, num_micro_batches: int) -> list[int]:
        """As in ``Method``, but a cut between two clips that are mixed is moved before the first of them.

        Such cuts occur only if examples are missing because of decoding failures.
        """
        cuts = super().cuts(batch, num_micro_batches)
        if self.protocol.mixing is None or not cuts:
            return cuts
        position = batch[2].tolist()
        return [row - (position[row - 1] ^ 1 == position[row]) for row in cuts]

    def build_optimiser(self) -> torch.optim.Optimizer:
        return layer_decay_optimiser(self.classifier, self.protocol.optim)

    def after_update(self, step: int, num_steps: int) -> None:
        decay = self.protocol.ema_decay
        if self.mean is not None and decay is not None:
            with torch.no_grad():
                for mean, value in zip(self.mean.parameters(), self.classifier.parameters(), strict=True):
                    mean.lerp_(value, 1 - decay)
        epoch, within = divmod(step + 1, num_steps // self.protocol.optim.epochs)
        if within == 0 and step + 1 < num_steps:
            self.after_epoch(epoch, self.tested)


def plan_of_protocol(name: str, protocol: TrainingProtocol, optim: SupervisedOptim) -> Plan:
    """The plan of a protocol that trains; ``name`` is the name of the run in error messages."""
    return Plan(
        name=name,
        optim=optim,
        loader=protocol.loader,
        max_broken_share=protocol.max_broken_share,
        checkpoint_every_steps=protocol.checkpoint_every_steps,
        keeps_events=False,
    )


def num_micro_batches_of(name: str, protocol: SupervisedProtocol, num_processes: int) -> int:
    """Number of micro-batches per process, such that clips that are mixed are in the same micro-batch.

    Raises:
        ValueError: the batch does not divide into processes, or not into pairs.
    """
    return num_micro_batches(
        name,
        protocol.optim.global_batch,
        num_processes,
        clips_per_video=protocol.augmentation.repeats,
        clips_at_once=protocol.clips_at_once,
        in_pairs=protocol.mixing is not None,
    )


def num_micro_batches(
    name: str, batch: int, num_processes: int, *, clips_per_video: int, clips_at_once: int, in_pairs: bool = False
) -> int:
    """Smallest number of equal micro-batches per process in which at most ``clips_at_once`` clips are computed at once.

    Args:
        batch: number of videos per step over all processes.
        in_pairs: whether two videos that follow each other must be in the same micro-batch.

    Raises:
        ValueError: the batch does not divide into processes, or not into pairs.
    """
    unit = num_processes * (2 if in_pairs else 1)
    if batch % unit:
        pairs = " of whole pairs of clips, which are mixed" if in_pairs else ""
        raise ValueError(
            f"{name}: a global batch of {batch} does not divide into {num_processes} processes{pairs}; choose another "
            "number of processes (the global batch is part of the protocol and stays)"
        )
    units, clips = batch // unit, batch // num_processes * clips_per_video
    fitting = (n for n in range(1, units + 1) if units % n == 0 and clips // n <= clips_at_once)
    return next(fitting, units)
