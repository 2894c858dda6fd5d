"""Fuzzing of files of unknown origin: every file is read, or refused in one sentence.

By default each kind has a few mutations; ``SIGMA_BENCH_FUZZ=2000 pytest tests/test_fuzz.py`` makes 2000 of each.
Mutations are read in worker processes, so that a crash is noticed.  Each has ten seconds and may write into its own
folder only.
"""

import csv
import hashlib
import io
import json
import logging
import multiprocessing
import os
import pickle
import random
import re
import resource
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pebble import ProcessPool
from rich.console import Console

from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.ledger import Ledger, LedgerEntry
from sigma_bench.data.media_opening import open_media
from sigma_bench.leaderboard import paired_bootstrap
from sigma_bench.leaderboard.exports import jsonl, table_files
from sigma_bench.leaderboard.figures import score_dots
from sigma_bench.leaderboard.fill import UnusableRecordsError, fill, keep_records
from sigma_bench.leaderboard.mteb import mteb_files
from sigma_bench.leaderboard.render import terminal_table
from sigma_bench.leaderboard.report import render_report
from sigma_bench.models.checkpoints import FORMAT, save_checkpoint
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore, cache_entries
from sigma_bench.records.published import read_published
from sigma_bench.records.record import PredictionsRef
from sigma_bench.records.store import Store, reduced_file
from sigma_bench.records.verification import verify_store
from sigma_bench.resources import INCLUDE_VARIABLE, declarations
from sigma_bench.specs.board import load_board
from sigma_bench.specs.catalogue import (
    load_dataset,
    load_dataset_file,
    load_recipe,
    load_task,
    load_variants,
    resolve,
)
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import EncoderSpec
from tests.conftest import tiny_recipe
from tests.data.test_fuzz import mutated
from tests.leaderboard.samples import tiny_board
from tests.records.filled import add, predictions

NUM_MUTATIONS = int(os.environ.get("SIGMA_BENCH_FUZZ", "12"))
SECONDS = 10
GROWTH_MIB = 1500
FRAGMENTS = (
    *(b"../", b"/etc/passwd", b"\0", b"\x1b[2J", b"\x1b]0;x\x07", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"-Infinity"),
    *(b"1e999", b"-1", b"0", b"1" + b"0" * 30, b"9" * 5000, b"999999999", b"null", b"true", b"{}", b"[]", b'""'),
    *(b"[" * 3000, b'{"a":' * 3000, b"&a [*a, *a]", b"!!python/object/apply:os.system", b"- " * 3000, b"x" * 70_000),
    *(b",\n" * 50, b'"', b"'", b"\r", b"#", b"\x85" * 3000, b"cos\nsystem\n(S'true'\ntR.", b"r\xff\xff\xff\x7f"),
    *(b"cnumpy\nndarray\n", b"\x8d" + b"\xff" * 8),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 5.0, 0.5, 10**9, 10**18, 10**30, 1.2e6, float("inf"), float("nan"), "", "x", "../x", "/x"),
    *("x" * 5000, "\x1b[31m", "$\\frac$", "\ud800", [], {}, [[[[]]]], {"a": {"b": {}}}, [0] * 2000),
)
NAME_PARTS = (
    *("$\\frac$", "$", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))"),
    *("![](x)", "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1+1", "\t=1", "../../escape", "a/b\\c", "%s{x}#&_~^"),
    *("\\input{/etc/passwd}", "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "\r", "\n", "| x |", "`code`", "**", "_"),
    *("--", "[bold]", "[/]", "{{ 7*7 }}", "\u202egnp.exe", "\u2066", "\u200b", "\ufeff", "ï", "日本", "😀", "\"'"),
    *("&lt;", "&#60;", "</style>", "-->", "]]>", "x" * 90, ""),
)


def spliced(content: bytes, rng: np.random.Generator) -> bytes:
    """Mutated bytes, or a hostile fragment in place of a part, which is usually one whole value."""
    if rng.random() < 0.4:
        return mutated(content, rng)
    fragment = FRAGMENTS[int(rng.integers(len(FRAGMENTS)))]
    tokens = list(re.finditer(rb"[\w.+-]+", content))
    if tokens and rng.random() < 0.7:
        place = tokens[int(rng.integers(len(tokens)))]
        return content[: place.start()] + fragment + content[place.end() :]
    start = int(rng.integers(len(content) + 1))
    return content[:start] + fragment + content[start + int(rng.integers(8)) :]


def changed(content: Any, rng: np.random.Generator) -> Any:
    """JSON-like content with a few of its values, keys or items replaced."""
    content = json.loads(json.dumps(content))
    for _ in range(int(rng.integers(1, 4))):
        place: Any = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[int(rng.integers(len(keys)))]
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.85:
                place = place[key]
                continue
            if rng.random() < 0.1:
                del place[key]
            else:
                place[key] = VALUES[int(rng.integers(len(VALUES)))]
            break
    return content


@lru_cache
def sound(kind: str) -> Any:
    """The files to mutate, made once per process."""
    folder = Path(os.environ["SIGMA_BENCH_FUZZ_FOLDER"]) / f"sound-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    if kind in ("checkpoint", "pickle"):
        recipe = tiny_recipe()
        assert isinstance(recipe.encoder, EncoderSpec)
        vit = VideoViT(recipe.encoder)
        tensors = {f"encoder.{name}": tensor for name, tensor in vit.state_dict().items()}
        if kind == "pickle":
            torch.save({"model": tensors, "args": {"num_heads": 1}, "epoch": 3}, folder / "x.pth")
            return (folder / "x.pth").read_bytes()
        save_checkpoint(folder / "x.safetensors", tensors, recipe, seed=0, identity="x")
        return (folder / "x.safetensors").read_bytes()
    store = Store(folder / "store")
    add(store, predictions(0.9), model="good")
    path, record = add(store, predictions(0.3, seed=1), model="bad")
    return store.root, path.relative_to(store.root), record


def fuzz_checkpoint(folder: Path, rng: np.random.Generator) -> None:
    content: bytes = sound("checkpoint")
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.6:
        header = json.loads(content[8 : 8 + length])
        about = header["__metadata__"][FORMAT]
        if rng.random() < 0.7:
            header["__metadata__"][FORMAT] = json.dumps(changed(json.loads(about), rng))
        else:
            header["__metadata__"][FORMAT] = spliced(about.encode(), rng).decode("latin1")
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + content[8 + length :]
    else:
        content = mutated(content, rng)
    (folder / "model.safetensors").write_bytes(content)
    load_encoder(str(folder / "model.safetensors"))


def fuzz_pickle(folder: Path, rng: np.random.Generator) -> None:
    content: bytes = sound("pickle")
    (folder / "model.pth").write_bytes(spliced(content, rng))
    load_encoder(str(folder / "model.pth"))


def fuzz_cifar(folder: Path, rng: np.random.Generator) -> None:
    home = folder / "cifar100" / "cifar-100-python"
    home.mkdir(parents=True)
    content = {
        "data": np.zeros((4, 3072), np.uint8),
        "fine_labels": [0, 1, 0, 1],
        "filenames": ["a.png", "b.png", "c.png", "d.png"],
        "coarse_labels": [0] * 4,
    }
    names = {
        "train": content,
        "test": {**content, "filenames": ["e", "f", "g", "h"]},
        "meta": {"fine_label_names": ["x", "y"]},
    }
    protocol = int(rng.integers(2, 6))
    for name, values in names.items():
        (home / name).write_bytes(pickle.dumps(values, protocol=protocol))
    (home.parent / "miniworld.json").write_text('{"samples": {"cifar100": {"train": 4, "test": 4}}}')
    broken = home / list(names)[int(rng.integers(3))]
    broken.write_bytes(spliced(broken.read_bytes(), rng))
    manifest = open_dataset(load_dataset("cifar100"), folder)
    for sample in manifest.splits["train"].samples:
        open_media(sample).frames([0])


def use_store(store: Store, folder: Path) -> None:
    """Verify, fill, write and keep, as the commands do."""
    result = verify_store(store)
    assert all(sentence.count("\n") == 0 for sentence in result.problems)
    problems: list[ValueError] = []
    records = list(store.records(on_problem=lambda path, error: problems.append(error)))
    try:
        filled = fill(tiny_board(), store, records)
    except UnusableRecordsError as error:
        records = [pair for pair in records if pair[0] not in error.paths]
        filled = fill(tiny_board(), store, records)
    keep_records([filled], store, folder / "kept")
    for name, text in (table_files(filled.table, "table") | mteb_files(r for _, r in records)).items():
        (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / name).write_text(text)
    assert all("good" in path.parts for path, _ in records) or len(records) == 2


def fuzz_record(folder: Path, rng: np.random.Generator) -> None:
    root, relative, _ = sound("store")
    shutil.copytree(root, folder / "store")
    path = folder / "store" / relative
    content = path.read_bytes()
    if rng.random() < 0.6:
        data = changed(json.loads(content), rng)
        path.unlink()
        try:
            path = path.with_name(f"{digest(data)[:12]}.json")  # the name fits, so only the content shows the change
        except ValueError:
            path = path.with_name("0" * 12 + ".json")
        path.write_text(json.dumps(data))
    else:
        path.write_bytes(spliced(content, rng))
    use_store(Store(folder / "store"), folder)


def fuzz_predictions(folder: Path, rng: np.random.Generator) -> None:
    root, relative, record = sound("store")
    shutil.copytree(root, folder / "store")
    store = Store(folder / "store")
    path = store.root / record.predictions.file
    content = path.read_bytes()
    if rng.random() < 0.5:
        arrays = dict(np.load(io.BytesIO(content)))
        name = sorted(arrays)[int(rng.integers(len(arrays)))]
        odd = [np.zeros(0), np.zeros((60, 60)), np.full(60, np.nan), np.full(60, 2**62), np.array(["x"] * 60)]
        odd += [np.zeros(10**7, np.uint8), np.array(1), arrays[name][:7], np.full(60, -1), arrays[name].astype(str)]
        arrays[name] = odd[int(rng.integers(len(odd)))]
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        content = stream.getvalue()
    else:
        content = spliced(content, rng)
    path.unlink()
    if rng.random() < 0.5:
        (store.root / reduced_file(record.predictions)).write_bytes(content)
    else:
        sha256 = hashlib.sha256(content).hexdigest()
        reference = PredictionsRef(sha256=sha256, file=f"predictions/{sha256}.npz")
        (store.root / reference.file).write_bytes(content)
        (store.root / relative).unlink()
        store.add(record.model_copy(update={"predictions": reference}))
    use_store(store, folder)


def fuzz_yaml(folder: Path, rng: np.random.Generator) -> None:
    kinds: list[tuple[bytes, Callable[[str], Any]]] = [
        *((path.read_bytes(), load_board) for path in sorted((declarations("results") / "boards").glob("*.yaml"))),
        *((path.read_bytes(), load_recipe) for path in sorted(declarations("pretrain").glob("*.yaml"))),
        *((path.read_bytes(), load_included) for path in sorted(declarations("tasks").glob("*.yaml"))),
        (
            b"task: x/y\ndataset: ssv2\nprotocol: knn@1\nasks: motion\noverrides: {neighbours: 5}\nnote: five\n",
            load_task,
        ),
        *((path.read_bytes(), load_variants) for path in sorted((declarations("tasks") / "variants").glob("*.yaml"))),
    ]
    content, load = kinds[int(rng.integers(len(kinds)))]
    (folder / "x.yaml").write_bytes(spliced(content, rng))
    load(str(folder / "x.yaml"))


def load_included(path: str) -> None:
    """Resolve all tasks of a dataset's file in an included folder, under the name of the file."""
    included = Path(path).with_name("included")
    (included / "tasks").mkdir(parents=True)
    content = re.sub(rb"^dataset: \w+", b"dataset: x", Path(path).read_bytes())
    (included / "tasks" / "x.yaml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(INCLUDE_VARIABLE, str(included))
        for name in load_dataset_file("x").tasks:
            resolve(load_task(f"x/{name}"))


def fuzz_csv(folder: Path, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        (folder / "x.csv").write_bytes(
            spliced(b"path,label,split,group\na.mp4,x,train,g\nb.mp4,y,train,h\nc.mp4,x,test,i\n", rng)
        )
        manifest = read_csv(folder / "x.csv")
        manifest = identified(manifest, manifest.splits.values())
        assert manifest.splits and [split.sha256 for split in manifest.splits.values()]
    else:
        content = (declarations("results") / "published" / "sigma_eccv2024.csv").read_bytes()
        (folder / "x.csv").write_bytes(spliced(content, rng))
        read_published(folder / "x.csv")


def fuzz_ledger(folder: Path, rng: np.random.Generator) -> None:
    entries = [LedgerEntry(f"{i}.mp4", 5, 7, "a" * 64, 9, 24, 32, "pyav", None, 1) for i in range(3)]
    content = "".join(entry.as_line() for entry in entries)
    if rng.random() < 0.5:
        line = changed(json.loads(entries[1].as_line()), rng)
        content = entries[0].as_line() + json.dumps(line) + "\n" + entries[2].as_line()
        (folder / "x.ledger.jsonl").write_text(content)
    else:
        (folder / "x.ledger.jsonl").write_bytes(spliced(content.encode(), rng))
    Ledger.read(folder / "x.ledger.jsonl")


def fuzz_cache(folder: Path, rng: np.random.Generator) -> None:
    """After any change to a file of an entry, the values read are those that were written."""
    value_SD = np.arange(24, dtype=np.float32).reshape(8, 3)
    layout = {"feature": ArrayLayout((3,), "float32")}
    about = {"model": "m", "split": "train", "samples": 8, "from": "/data"}

    def fill(blocks: list[range]) -> BlockStore:
        store = BlockStore(folder / "features" / "entry", 8, 4, layout, about)
        for block in blocks:
            store.write(block, {"feature": value_SD[block.start : block.stop]}, {})
        return store

    fill([range(4), range(4, 8)])
    files = sorted((folder / "features" / "entry").iterdir())
    broken = files[int(rng.integers(len(files)))]
    if rng.random() < 0.3 and broken.suffix == ".json":
        broken.write_text(json.dumps(changed(json.loads(broken.read_bytes()), rng)))
    elif rng.random() < 0.1:
        broken.unlink()
    else:
        broken.write_bytes(spliced(broken.read_bytes(), rng))
    for entry in cache_entries(folder / "features"):
        assert entry.num_bytes >= 0 and all(isinstance(words, str) for words in entry.description.values())
    store = fill(fill([]).missing())
    assert np.array_equal(store.read("feature"), value_SD)
    assert all(isinstance(reason, str) for reason in store.failures().values())


def fuzz_names(folder: Path, rng: np.random.Generator) -> None:
    name = "".join(NAME_PARTS[int(i)] for i in rng.integers(len(NAME_PARTS), size=int(rng.integers(1, 5)))) or "x"
    store = Store(folder / "store")
    add(store, predictions(0.9), model=name)
    records = list(store.records())
    filled = fill(tiny_board(), store, records)
    files = table_files(filled.table, "t") | {"t.jsonl": jsonl(filled.long)}
    page = render_report([filled.table], records, curves={}, pictures={}, title=name)
    terminal = Console(file=io.StringIO(), width=120, force_terminal=False)
    terminal.print(terminal_table(filled.table))
    assert isinstance(terminal.file, io.StringIO)
    for text in (files["t.md"], files["t.csv"], files["t.tex"], page, terminal.file.getvalue()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", text), repr(name)
    cells = [cell for row in csv.reader(io.StringIO(files["t.csv"])) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=@+-" and cell and not re.fullmatch(r"-?[\d.e-]+", cell)]
    assert not re.search(r"(?<!\\)<(?!/?ins>)", files["t.md"]) and not re.search(r"(?<!\\)\]\(", files["t.md"])
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "\\input{" not in files["t.tex"] and "\\frac" not in files["t.tex"]
    if rng.random() < 0.2:
        assert "<script" not in score_dots(filled.table)
    for place, text in mteb_files(r for _, r in records).items():
        (folder / "out" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / place).write_text(text)


KINDS = {name.removeprefix("fuzz_"): function for name, function in list(globals().items()) if name.startswith("fuzz_")}


def outcome_of(kind: str, folder: Path, seed: int) -> tuple[str, float]:
    """Result of one mutation, and by how many MiB the process grew."""
    os.environ["SIGMA_BENCH_FUZZ_FOLDER"] = str(folder.parents[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inside = folder / "inside"
    inside.mkdir(parents=True)
    random.seed(seed)
    paired_bootstrap.REPLICATES = 50  # fewer resamples for ties save most of the time and are not tested here
    try:
        KINDS[kind](inside, np.random.default_rng([seed, len(kind)]))
        outcome = "read"
    except ValueError as error:
        assert not isinstance(error, UnicodeError) and str(error), repr(error)
        outcome = "refused"
    assert [path.name for path in folder.iterdir()] == ["inside"]
    shutil.rmtree(folder)
    return outcome, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.mark.filterwarnings("ignore")
def test_whatever_is_handed_over_is_read_or_refused(tmp_path: Path) -> None:
    kinds = os.environ.get("SIGMA_BENCH_FUZZ_KINDS", " ".join(KINDS)).split()
    seed = int(os.environ.get("SIGMA_BENCH_FUZZ_SEED", "0"))
    counts: dict[tuple[str, str], int] = {}
    failures = []
    with ProcessPool(max_workers=2, context=multiprocessing.get_context("forkserver")) as pool:
        jobs = []
        for kind in kinds:
            for number in range(seed, seed + NUM_MUTATIONS):
                arguments = (kind, tmp_path / kind / str(number), number)
                jobs.append((f"{kind} {number}", kind, pool.schedule(outcome_of, arguments, timeout=SECONDS)))
        for what, kind, job in jobs:
            try:
                outcome, grown = job.result()
            except Exception as error:  # a crash, a timeout, or an error that is not a mistake of the user
                failures.append(f"{what}: {type(error).__name__} {str(error)[:200]}")
                continue
            if grown > GROWTH_MIB:
                failures.append(f"{what}: grew by {grown:.0f} MiB")
            counts[kind, outcome] = counts.get((kind, outcome), 0) + 1
    logging.getLogger(__name__).info("%s", counts)
    assert not failures, "\n".join(failures[:20])
    for kind in kinds:
        # A store goes on without what is damaged, a cache computes it again, and every name can be shown.
        is_always_read = kind in ("record", "predictions", "cache", "names")
        assert counts[kind, "read" if is_always_read else "refused"] > NUM_MUTATIONS // 2, (kind, counts)
