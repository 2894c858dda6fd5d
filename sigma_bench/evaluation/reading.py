"""How the files of a record were read: decoders, FFmpeg, and the number of frames."""

from collections import Counter
from collections.abc import Collection

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.video import SPARSE_DECODER
from sigma_bench.evaluation.session import Session
from sigma_bench.records.record import SplitReading
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass


def readings(session: Session, card: EncoderCard, failures: Collection[str]) -> dict[str, SplitReading]:
    """How the samples of every split of a session were read.

    Numbers of frames follow from the passes of the protocol, so they do not depend on the number of processes or on
    features in the cache.

    Args:
        failures: ids of the samples that cannot be read.
    """
    found = {}
    for split in session.splits:
        passes = [pass_ for pass_ in session.passes if pass_.split == split.name]
        samples = [sample for sample in split.samples if sample.id not in failures]
        decoders = Counter(name for sample in samples for name in _decoders(sample, passes))
        frames = sum(_num_frames(session, samples, pass_, card) for pass_ in passes)
        found[split.name] = SplitReading(decoders=dict(decoders), frames=frames)
    return found


def _decoders(sample: Sample, passes: list[Pass]) -> set[str]:
    sparse = SPARSE_DECODER.get(sample.decoder, sample.decoder)
    return {name for pass_ in passes if (name := sparse if pass_.sparse else sample.decoder) is not None}


def _num_frames(session: Session, samples: list[Sample], pass_: Pass, card: EncoderCard) -> int:
    """Number of frames of all clips of a pass; of a pass with one clip per frame, the number of frames."""
    if pass_.clip is None and pass_.clips_per_sample is None:
        return sum(map(_length, samples))
    folds = set(session.split(pass_).folds) if pass_.is_training else ()
    times = max(1, len(folds) - 1)  # every sample is left out of the training of one fold
    return len(samples) * pass_.num_clips(0) * (pass_.num_frames or card.num_frames) * times


def _length(sample: Sample) -> int:
    try:
        return len(open_media(sample))
    except DecodeError:
        return 0
