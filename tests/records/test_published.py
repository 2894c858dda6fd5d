"""Published numbers: all 157, exactly, and no bad row gets through."""

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from sigma_bench.records.published import PublishedScore, load_published, read_published

CSV = Path(__file__).resolve().parents[2] / "results" / "published" / "sigma_eccv2024.csv"
HEADER = (
    "source,table,method,backbone,pretrain_data,pretrain_epochs,extra_data,motion_guided,task,dataset,metric,value\n"
)
ROW = "Paper,frozen,SIGMA-MLP,vit_b,k400,,,,linear_probe,ucf101,top1,73.8\n"


@pytest.fixture(scope="module")
def scores() -> tuple[PublishedScore, ...]:
    return read_published(CSV)


def one(scores: tuple[PublishedScore, ...], **wanted: object) -> float:
    (found,) = (s for s in scores if all(getattr(s, key) == value for key, value in wanted.items()))
    return found.value


def refuse(tmp_path: Path, text: str) -> str:
    path = tmp_path / "paper.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_published(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_all_numbers_are_there(scores: tuple[PublishedScore, ...]) -> None:
    assert Counter(score.table for score in scores) == {
        **{"frozen": 36, "severe": 54, "segmentation": 32},
        **{"finetune_ssv2": 22, "finetune_k400": 13},
    }
    assert len(scores) == 157
    assert {score.origin for score in scores} == {"published"}


def test_every_number_is_the_printed_one(scores: tuple[PublishedScore, ...]) -> None:
    with CSV.open(encoding="utf-8", newline="") as stream:
        printed = [(row["metric"], Decimal(row["value"])) for row in csv.DictReader(stream)]
    assert [score.value for score in scores] == [
        float(value if metric == "counting_error" else value / 100) for metric, value in printed
    ]


def test_known_numbers(scores: tuple[PublishedScore, ...]) -> None:
    frozen = {"table": "frozen", "dataset": "ucf101"}
    assert one(scores, method="SIGMA-MLP", **frozen) == 0.738
    assert one(scores, method="SIGMA-DINO", **frozen) == 0.807
    assert one(scores, method="VideoMAE", **frozen) == 0.586
    davis = {"table": "segmentation", "backbone": "vit_b", "dataset": "davis", "method": "SIGMA-MLP"}
    assert one(scores, task="segmentation/clustering", **davis) == 0.302
    assert one(scores, task="segmentation/overclustering", **davis) == 0.529


def test_counting_error_stays_a_fraction_and_lower_is_better(scores: tuple[PublishedScore, ...]) -> None:
    errors = [score for score in scores if score.metric == "counting_error"]
    assert len(errors) == 6 and not any(score.higher_is_better for score in errors)
    assert one(scores, method="SIGMA-DINO", metric="counting_error") == 0.169


def test_what_a_table_does_not_say_is_none(scores: tuple[PublishedScore, ...]) -> None:
    assert {score.pretrain_data for score in scores if score.table == "segmentation"} == {None}
    tuned = [s for s in scores if s.table == "finetune_ssv2" and s.method == "MGMAE"]
    assert [(s.pretrain_epochs, s.extra_data, s.motion_guided) for s in tuned] == [(800, None, True)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW.replace("73.8", "high"), "line 2: value must be a number, got 'high'"),
        (ROW.replace("73.8", "nan"), "line 2: value must be a number from 0 upwards"),
        (ROW.replace("73.8", "738"), "line 2: top1 is printed in percent, at most 100"),
        (ROW.replace("73.8", "-1"), "line 2: value must be a number from 0 upwards"),
        (ROW.replace("top1", "top-1"), "line 2: there is no published metric 'top-1'. Did you mean 'top1'"),
        (ROW.replace("SIGMA-MLP", ""), "line 2: the cell 'method' is empty"),
        (ROW.replace("ucf101", " ucf101"), "line 2: the cell 'dataset'"),
        (ROW.replace("k400,,", "k400,many,"), "line 2: pretrain_epochs must be a whole number"),
        (ROW.replace(",,,linear", ",,True,linear"), "line 2: motion_guided must be yes, no or empty"),
        (ROW.replace(",top1", ""), "line 2: 11 cells where 12 are expected"),
        (ROW + ROW.replace("73.8", "73.9"), "line 3: the same quantity stands in line 2"),
    ],
)
def test_a_bad_row_names_file_and_line(tmp_path: Path, row: str, words: str) -> None:
    assert words in refuse(tmp_path, HEADER + row)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    assert "line 1: the columns must be" in refuse(tmp_path, "a,b\n1,2\n")
    assert "line 1" in refuse(tmp_path, "")
    with pytest.raises(ValueError, match="cannot be read"):
        read_published(tmp_path / "none.csv")


def test_published_files_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigma_bench.records.published.declarations", lambda folder: CSV.parents[1])
    assert len(load_published("sigma_eccv2024")) == 157
    with pytest.raises(ValueError, match="Did you mean 'sigma_eccv2024'"):
        load_published("sigma_eccv24")
