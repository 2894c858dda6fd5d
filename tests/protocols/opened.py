"""Evaluations opened for tests that call the ``run`` of a protocol themselves."""

from pathlib import Path
from typing import Any

from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.specs.task import ResolvedTask


def opened(
    encoder: Encoder, task: ResolvedTask, manifest: Manifest, cache: Path, folder: Path | None = None
) -> Evaluation[Any]:
    """An evaluation on one process with seed 0; its folder is that of the cache unless given."""
    session = open_session(encoder.card, task, manifest, seed=0)
    return session.evaluation(encoder, FeatureCache(cache), folder=folder or cache)
