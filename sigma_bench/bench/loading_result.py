"""What a loading benchmark found, and its table.  Serialises to JSON."""

from collections.abc import Iterator

from sigma_bench.bench.result import Spread
from sigma_bench.specs.strict import Spec

COLUMNS = ("", "workers", "clips/s", "x plain", "range", "CPU ms/clip", "x plain", "range", "same pixels")
PAGE = """# Loading clips: {title}

{pattern} All sides draw the same {clips} clips a round, {rounds} rounds in turn; figures are medians, ratios are
medians of per-round ratios to the plain loop (range: lowest to highest; above 1 is faster than plain), by the clock and
by processor time, which does not suffer from whatever else is running. Files are in the system's cache; every file is
opened as if for the first time; the time to start workers counts.

{table}

{facts}
"""


class LoadingSide(Spec):
    """One way of reading the same clips."""

    name: str
    num_workers: int
    has_equal_pixels: bool
    """Whether its clips are those of the plain loop; reduced frames are not, and the floor has none."""
    clips_per_second: Spread
    cpu_ms_per_clip: Spread
    """Of all its processes."""
    times_plain: Spread
    """Its clips per second over the plain loop's, by the clock."""
    cpu_times_plain: Spread
    """The plain loop's processor time over its own."""


class LoadingBenchmark(Spec):
    """One dataset on one machine."""

    dataset: str
    world: str
    num_videos: int
    num_left_out: int
    """Videos of which decord gives other frames than ours, or none."""
    clips_per_round: int
    rounds: int
    num_frames: int
    stride_frames: int
    image_size: int
    sides: tuple[LoadingSide, ...]
    """The first is the plain loop."""
    hardware: str
    load_average: float
    """Of the last minute before; above 0, others were at work as well."""
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    started_utc: str


def slug(result: LoadingBenchmark) -> str:
    """Name of the files of a result; they state the hardware inside."""
    return f"loading_{result.dataset}" + ("" if result.world == "official" else f"_{result.world}")


def title(result: LoadingBenchmark) -> str:
    """What was measured, in a line."""
    return f"{result.dataset} ({result.world}), {result.num_videos} videos"


def rows(result: LoadingBenchmark) -> Iterator[tuple[str, ...]]:
    """One row per side."""
    for side in result.sides:
        yield (
            side.name,
            str(side.num_workers) if side.num_workers else "-",
            f"{side.clips_per_second.median:.1f}",
            *_ratio(side.times_plain),
            f"{side.cpu_ms_per_clip.median:.1f}",
            *_ratio(side.cpu_times_plain),
            "yes" if side.has_equal_pixels else "no",
        )


def facts(result: LoadingBenchmark) -> Iterator[tuple[str, str]]:
    """Label and sentence of what the table does not say."""
    plain = result.sides[0].cpu_ms_per_clip.median
    floor = result.sides[-1].cpu_ms_per_clip.median
    yield (
        "floor",
        f"decoding alone, of what the frames wanted need, takes {floor:.1f} ms of a processor per clip, "
        f"{floor / plain:.0%} of the plain loop's {plain:.1f}: on one processor no exact loader is more than "
        f"{plain / floor:.2f} times as fast",
    )
    if result.num_left_out:
        yield "left out", f"{result.num_left_out} videos of which decord gives other frames, or none"
    names = ("decord", "av", "ffmpeg", "torch")
    tools = ", ".join(f"{name} {result.versions[name]}" for name in names if name in result.versions)
    yield "machine", f"{result.hardware}; load average before {result.load_average:.1f}; {tools}"
    commit = f"commit {result.commit[:12]}{' with changes' if result.dirty else ''}, " if result.commit else ""
    yield "when", f"{commit}{result.started_utc}"


def markdown(result: LoadingBenchmark) -> str:
    """A page with the table and the facts."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---:|---:|---:|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(result)]
    return PAGE.format(
        title=title(result),
        pattern=f"One clip of a video: {result.num_frames} frames, {result.stride_frames} apart, at a random place; "
        f"one random crop, resized to {result.image_size} x {result.image_size}.",
        clips=result.clips_per_round,
        rounds=result.rounds,
        table="\n".join(lines),
        facts="\n".join(f"- {label}: {sentence}" for label, sentence in facts(result)),
    )


def _ratio(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:.2f}", f"{spread.low:.2f} to {spread.high:.2f}"
