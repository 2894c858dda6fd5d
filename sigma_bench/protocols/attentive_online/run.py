"""attentive_online: V-JEPA 2's attentive probes (arXiv 2506.09985, appendix C), trained with the encoder in the loop.

Tokens are computed for every batch and never stored.  All probes of the grid are trained on them at once.  One probe is
chosen by the samples that were held out of train; with ``held_out_fraction: null``, it is chosen by the test split, as
in the released code, and such scores have other names.

Shapes: S samples, X held-out and test samples, C samples to choose by, P probes, K best classes.
"""

from collections.abc import Sequence

import numpy as np
import torch

from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.manifest import Sample
from sigma_bench.protocols.attentive_online.method import ProbeMethod
from sigma_bench.protocols.attentive_online.probe import AttentiveClassifier, num_attention_heads
from sigma_bench.protocols.attentive_online.spec import AttentiveOnlineProtocol
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore
from sigma_bench.protocols.classification import classified, folds, groups_of, no_ranks
from sigma_bench.protocols.head_grid import Setting, held_out_split
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions, require_readable
from sigma_bench.protocols.ranking import NO_PREDICTION, RANKED, ranked
from sigma_bench.protocols.training_and_testing import fill_blocks, train_method, unreadable, untested
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.training.accumulation import autocast
from sigma_bench.training.processes import on_all, on_main
from sigma_bench.training.supervised import num_micro_batches, plan_of_protocol

MEASURED_VIDEOS = 2
"""Number of videos whose tokens are used to predict the time of probes."""
MEASURED_ROUNDS = 3


def run(evaluation: Evaluation[AttentiveOnlineProtocol]) -> Predictions | None:
    """Train and test once, or once per fold; None on all processes but the main one."""
    protocol, train, test = evaluation.protocol, evaluation.splits[0], evaluation.splits[-1]
    ranked_SK, failures, selections = no_ranks(test, evaluation.num_classes), dict[str, str](), []
    for number, (train_index, test_index) in enumerate(folds(train, test)):
        fit, held_out = train_index, train_index[:0]
        if protocol.held_out_fraction is not None:
            group_S = groups_of(train)[train_index]
            parts = held_out_split(group_S, protocol.held_out_fraction, evaluation.seed)
            fit, held_out = (train_index[part] for part in parts)
        scored = [*(train.samples[index] for index in held_out), *(test.samples[index] for index in test_index)]
        method, ranked_XPK, unread = _trained_and_scored(
            evaluation, [train.samples[index] for index in fit], scored, fold=f"fold-{number}"
        )
        failures |= unread
        require_readable(failures, protocol)
        read_X = np.array([sample.id not in unread for sample in scored])
        is_test_X = np.arange(len(scored)) >= len(held_out)
        used_X = read_X & (is_test_X if protocol.held_out_fraction is None else ~is_test_X)
        label_X = np.array([sample.label for sample in scored])
        chosen, selection = choice(ranked_XPK[used_X], label_X[used_X], method, protocol)
        selections.append(selection)
        ranked_XK = np.where(read_X[:, None], ranked_XPK[:, chosen], NO_PREDICTION)
        if (ranked_XK[read_X & is_test_X] == NO_PREDICTION).any():
            raise ValueError(f"{protocol.protocol}: the chosen probe diverges on test; lower optim.learning_rates")
        ranked_SK[test_index] = ranked_XK[is_test_X]
    return classified(test, ranked_SK, failures, tuple(selections)) if evaluation.processes.is_main else None


def head_seconds(protocol: AttentiveOnlineProtocol, sizes: HeadSizes) -> float:
    """Predicted time of training and scoring with all probes, without the encoder, from one probe on random tokens."""
    num_heads = num_attention_heads(sizes.feature_width, protocol.attention_heads)
    shape = (sizes.feature_width, num_heads, sizes.num_classes)
    probe = AttentiveClassifier(*shape, depth=protocol.depth, mlp_ratio=protocol.mlp_ratio).to(sizes.device)
    num_tokens = protocol.windows.num_segments * sizes.num_tokens
    token_BND = torch.randn(MEASURED_VIDEOS, num_tokens, sizes.feature_width, device=sizes.device)

    def seconds(*, trained: bool) -> float:
        marks = [sizes.now()]
        with torch.set_grad_enabled(trained), autocast(sizes.device, protocol.optim.precision == "bfloat16"):
            for _ in range(MEASURED_ROUNDS):
                logit_BL = probe(token_BND).float()
                if trained:
                    logit_BL.logsumexp(1).sum().backward()
                marks.append(sizes.now())
        return min(np.diff(marks)) / MEASURED_VIDEOS

    held_out = sizes.num_train * (protocol.held_out_fraction or 0.0)
    trained = (sizes.num_train - held_out) * protocol.optim.epochs
    scored = (sizes.num_test + held_out) * protocol.views.num_views / protocol.windows.num_segments
    num_probes = len(protocol.optim.learning_rates) * len(protocol.optim.weight_decays)
    return num_probes * (trained * seconds(trained=True) + scored * seconds(trained=False))


def choice(
    ranked_CPK: np.ndarray, label_C: np.ndarray, method: ProbeMethod, protocol: AttentiveOnlineProtocol
) -> tuple[int, Selection]:
    """Number of the best probe, and how it was chosen.

    Args:
        ranked_CPK: the best classes of the samples to choose by.

    Raises:
        ValueError: no sample can be read, or all probes diverge.
    """
    if not len(label_C):
        raise ValueError(f"{protocol.protocol}: no sample by which a probe is chosen can be read")
    finite_P = (ranked_CPK[:, :, 0] != NO_PREDICTION).all(0)
    if not finite_P.any():
        raise ValueError(f"{protocol.protocol}: every probe diverges; lower optim.learning_rates")
    top1_P = (ranked_CPK[:, :, 0] == label_C[:, None]).mean(0)
    on_test, fraction = protocol.held_out_fraction is None, protocol.held_out_fraction or 0.0
    score = "test_top1" if on_test else "held_out_top1"
    grid = tuple(
        Candidate.model_validate({"setting": setting._asdict(), score: float(top1)})
        for setting, top1 in zip(method.settings, top1_P, strict=True)
    )
    chosen = max(np.flatnonzero(finite_P).tolist(), key=lambda number: grid[number].top1)
    how = (
        "best top-1 on the TEST split itself, nothing was held out: not a clean number"
        if on_test
        else f"best top-1 on held-out {fraction:.0%} of train, reported as trained on the rest, not refitted"
    )
    warnings = tuple(
        f"learning_rate={setting.learning_rate:g}, weight_decay={setting.weight_decay:g}: diverged"
        for setting, finite in zip(method.settings, finite_P, strict=True)
        if not finite
    )
    rule = f"{how}; probes with {method.num_heads} attention heads"
    return chosen, Selection(rule=rule, grid=grid, chosen=grid[chosen].setting, warnings=warnings)


def _trained_and_scored(
    evaluation: Evaluation[AttentiveOnlineProtocol],
    train_samples: Sequence[Sample],
    scored: Sequence[Sample],
    *,
    fold: str,
) -> tuple[ProbeMethod, np.ndarray, dict[str, str]]:
    """Trained probes, the best classes of every scored sample by each of them (X, P, K), and what could not be read.

    All processes call this and share the work; both halves continue from the folder of the fold.
    """
    protocol, processes, card = evaluation.protocol, evaluation.processes, evaluation.encoder.card
    optim, folder, name = protocol.optim, evaluation.folder / fold, f"task '{evaluation.task.task}'"
    settings = [Setting(rate, decay) for decay in optim.weight_decays for rate in optim.learning_rates]
    method = ProbeMethod(evaluation.encoder, protocol, settings, evaluation.num_classes, seed=evaluation.seed)
    layout = {"ranked": ArrayLayout((len(settings), min(RANKED, evaluation.num_classes)), "int32")}
    description = {"task": evaluation.task.task, "fold": fold}
    block = max(1, protocol.clips_at_once // protocol.views.num_views)
    store = BlockStore(folder / "scores", len(scored), block, layout, description)
    clips = EvaluationClips(scored, protocol.views, num_frames=card.num_frames, image_size=card.image_size)
    # Only the main process checks: another one could already see blocks that have been written in the meantime.
    missing = on_main(
        processes, lambda: untested({optim.epochs: store}, clips, train_samples, folder, evaluation.task.task)
    )[optim.epochs]
    if missing:
        number = num_micro_batches(
            *(name, optim.global_batch, processes.size),
            clips_per_video=protocol.windows.num_segments,
            clips_at_once=protocol.clips_at_once,
        )
        plan = plan_of_protocol(name, protocol, optim.schedule)
        train_method(evaluation, method, plan, number, train_samples, folder)
        method.eval()
        on_all(processes, lambda: fill_blocks(evaluation, clips, store, missing, lambda clip: _ranks(method, clip)))
    return method, np.array(store.read("ranked")), unreadable(store, scored, folder)


def _ranks(method: ProbeMethod, clip_VCTHW: torch.Tensor) -> np.ndarray:
    """The best classes of one video by each probe, (P, K); ``NO_PREDICTION`` where scores are not finite."""
    score_PL = method.scores(clip_VCTHW).cpu().numpy()
    finite_P1 = np.isfinite(score_PL).all(1, keepdims=True)
    return np.where(finite_P1, ranked(score_PL), NO_PREDICTION)
