"""Cautions: facts about data and model by which a test score may be higher than on new videos.

They are logged once for all tasks of an evaluation and stop nothing.
"""

import logging
from collections.abc import Iterable

from sigma_bench.evaluation.session import Session

logger = logging.getLogger(__name__)


def log_cautions(sessions: Iterable[Session]) -> None:
    """Log each caution about these evaluations of one encoder once."""
    for sentence in dict.fromkeys(_unstated_groups(session) for session in sessions):
        if sentence:
            logger.warning("%s", sentence)


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
