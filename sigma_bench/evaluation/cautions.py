"""Cautions: facts about data and model by which a test score may be higher than on new videos.

They are logged once for all tasks of an evaluation and stop nothing.
"""

import logging
from collections.abc import Iterable

from sigma_bench.evaluation.session import Session
from sigma_bench.models.checkpoints import CUSTOM_VIDEOS
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.training_content import short_digest

logger = logging.getLogger(__name__)


def log_cautions(encoder: Encoder, sessions: Iterable[Session]) -> None:
    """Log each caution about these evaluations of an encoder once."""
    found = [caution for session in sessions for caution in (_unstated_groups(session), _seen_before(encoder, session))]
    for sentence in dict.fromkeys(found):
        if sentence:
            logger.warning("%s", sentence)


def _seen_before(encoder: Encoder, session: Session) -> str:
    """A sentence if test samples are among the custom videos of pretraining, or may be because these are not known."""
    card, data, tested = encoder.card, session.manifest, session.splits[-1].samples
    content: frozenset[str] | None = getattr(encoder, "training_content", None)
    if content is not None:
        count = sum(sample.content is not None and short_digest(sample.content) in content for sample in tested)
        among = f"test {data.media_in_words} of {data.dataset} are among the videos that {card.model} was pretrained on"
        return f"{count:,} of {len(tested):,} {among}" if count else ""
    custom = [name for name in card.pretraining_data if name.endswith(CUSTOM_VIDEOS)]
    if not custom or data.data_source != "user":
        return ""
    return (
        f"model '{card.model}' was pretrained on {', '.join(custom)}, and the folder of its run does not state their "
        f"content; check that the test {data.media_in_words} of {data.dataset} are not among them"
    )


def _unstated_groups(session: Session) -> str:
    """A sentence if custom data without groups are divided by folds, or by the folders of their splits."""
    samples = [sample for split in session.splits for sample in split.samples]
    is_divided = session.task.folds != "official" or (len(session.splits) > 1 and _is_split_by_folders(session))
    if session.manifest.data_source != "user" or not is_divided or any(one.group != one.id for one in samples):
        return ""
    return (
        f"{session.manifest.dataset}: the data state no groups, so {session.manifest.media_in_words} of one person or "
        "source may be in training and test; a CSV with a column 'group' keeps them apart"
    )


def _is_split_by_folders(session: Session) -> bool:
    return all(sample.id.startswith("train/") for sample in session.splits[0].samples)
