"""Clips per second of the encoders of a frozen pass, without decoding, and of the search for nearest neighbours."""

import time
from collections.abc import Mapping

import faiss
import numpy as np
import torch

from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.models.recipe_encoder import random_encoder
from sigma_bench.protocols.clip_batches import BatchEncoder
from sigma_bench.protocols.neighbours import nearest
from sigma_bench.specs.passes import Precision
from sigma_bench.specs.recipe import EncoderSpec

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
NEIGHBOURS = 20
COMPARED_QUERIES = 256


def encoders_of(spec: EncoderSpec) -> dict[str, EncoderSpec]:
    """The encoder of a recipe, and one with the widths, depth and heads of ViT-L for clips of the same size."""
    large = spec.model_copy(update={"width": 1024, "depth": 24, "num_heads": 16})
    return {f"width {each.width}, depth {each.depth}": each for each in (spec, large)}


def measure_encoding(encoders: Mapping[str, EncoderSpec], num_clips: int, device: torch.device) -> BenchmarkResult:
    """Measure encoders with initial weights on random clips.

    Args:
        encoders: name of a row -> geometry.
        num_clips: number of clips that are encoded after one warm-up.
    """
    before = circumstances()
    rows = [
        {"encoder": name, "precision": precision, **_encoded(spec, num_clips, precision, device)}
        for name, spec in encoders.items()
        for precision in PRECISIONS
    ]
    return BenchmarkResult(
        name="encoding",
        title=f"Encoding {num_clips} clips, {device.type}",
        method="Random clips are encoded twice by a network with initial weights, and the second time is measured.",
        rows=tuple(rows),
        num_threads=torch.get_num_threads(),
        **before,
    )


def _encoded(
    spec: EncoderSpec, num_clips: int, precision: Precision, device: torch.device
) -> dict[str, str | float | None]:
    encoder = random_encoder(spec, seed=0).to(device)
    batches = BatchEncoder(encoder, precision, "auto")
    size = (num_clips, spec.num_frames, 3, spec.image_size, spec.image_size)
    frame_BTCHW = torch.from_numpy(np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8))
    seconds = 0.0
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        started = time.perf_counter()
        for token_BND in batches.tokens(frame_BTCHW):
            token_BND.mean(1).cpu()
        seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return {"clips at once": f"{batches.num_clips}", "clips/s": num_clips / seconds, "peak, MiB": peak}


def measure_neighbours(num_bank: int, num_queries: int, width: int) -> BenchmarkResult:
    """Measure the exact search of the protocols, which uses a GPU if FAISS finds one, and FAISS's search on the CPU."""
    before, rng = circumstances(), np.random.default_rng(0)
    bank_SD, query_QD = (rng.standard_normal((rows, width), np.float32) for rows in (num_bank, num_queries))
    started = time.perf_counter()
    _, index_QK = nearest(bank_SD, query_QD, NEIGHBOURS)
    exact_seconds = time.perf_counter() - started
    for rows_D in (bank_SD, query_QD):
        faiss.normalize_L2(rows_D)
    index: faiss.Index = faiss.IndexFlatIP(width)
    index.add(bank_SD)
    few = min(COMPARED_QUERIES, num_queries)
    started = time.perf_counter()
    _, plain_QK = index.search(query_QD[:few], NEIGHBOURS)
    plain_seconds = (time.perf_counter() - started) * num_queries / few
    where = f"{faiss.get_num_gpus()} GPU" if faiss.get_num_gpus() else "the CPU"
    return BenchmarkResult(
        name="neighbours",
        title=f"{NEIGHBOURS} nearest of {num_bank:,} features of width {width} for {num_queries:,} queries",
        method=(
            "Random features.  The search of the protocols computes the cosines of its candidates again in float64.  "
            f"FAISS's search is measured with {few} queries, and its time is multiplied by {num_queries / few:g}."
        ),
        rows=(
            {"search": f"of the protocols, FAISS on {where}", "seconds": exact_seconds},
            {"search": "FAISS on the CPU, float32", "seconds": plain_seconds},
        ),
        remarks=(f"neighbours that differ between the two: {(index_QK[:few] != plain_QK).mean():.2%}",),
        num_threads=torch.get_num_threads(),
        **before,
    )
