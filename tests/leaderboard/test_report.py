"""The report: well-formed, self-contained, every number linked, nothing unescaped."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.report import render_report
from sigma_bench.leaderboard.select import record_id, select
from sigma_bench.records.record import Record
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, mini_records, published, tiny_board

PNG = b"\x89PNG not really"
CURVES = {"mini_videomae": [{"step": 0.0, "loss": 1.0}, {"step": 1.0, "loss": 0.5}]}
_VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects ids, local links and resources, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.anchors += [found["href"] or ""] if "href" in found else []
        self.sources += [found["src"] or ""] if "src" in found else []
        if tag == "img":
            assert found["alt"]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(records: list[tuple[Path, Record]], subtitle: str = "All records of one evening.") -> str:
    board = mini_board()
    table = aggregate(board, select(records, board), published())
    overlays = [("Sequence 3, by three models", PNG)]
    return render_report(table, records, curves=CURVES, overlays=overlays, title="Mini report", subtitle=subtitle)


@pytest.fixture(scope="module")
def text() -> str:
    return report(mini_records())


def test_page_is_well_formed_and_every_link_has_its_target(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert all(anchor.startswith("#") for anchor in page.anchors)
    assert {anchor[1:] for anchor in page.anchors} <= set(page.ids)


def test_page_fetches_nothing(text: str) -> None:
    assert Page(text).sources and all(source.startswith("data:image/") for source in Page(text).sources)
    assert not re.search(r"https?://|@import|url\(|<link|<iframe", text)


def test_every_record_is_linked_and_listed(text: str) -> None:
    page = Page(text)
    for _, record in mini_records():
        anchor = f"record-{record_id(record)}"
        assert f"#{anchor}" in page.anchors and anchor in page.ids


def test_page_shows_numbers_intervals_counts_and_marks(text: str) -> None:
    words = Page(text).text
    for expected in (
        *("73.8 68.8–78.8 ±1.0, n=3", "73.8†", "published, full-size data, not comparable with the mini world"),
        *("UCF101 (appearance)", "top1 knn@1", "7/8", "ucf101 (mini world): expected 100, found 100, scored 100."),
        *("C = 1 (chosen)", "did not converge", '"neighbours": 10', "torch 2.0.0", "commit abc1234"),
        *("sigma-bench evaluate mini_videomae ssv2/knn", "records/mini_videomae/ssv2/knn/", "Sequence 3"),
        *("not separable from the best", "95 % bootstrap, 1000 replicates over 100 test units (sample)"),
    ):
        assert expected in words, expected
    assert "store/records" not in words


def test_strangers_text_is_escaped() -> None:
    label = "<script>alert(1)</script>"
    page = report([(Path("x.json"), make_record(label))], subtitle="a & <b>")
    assert label not in page and "&lt;script&gt;alert(1)" in page and "a &amp; &lt;b&gt;" in page


def test_a_board_without_records_is_a_page_too() -> None:
    board = tiny_board()
    table = aggregate(board, select([], board), published())
    page = Page(render_report(table, [], curves={}, overlays=[], title="Empty", subtitle=""))
    assert "No record fits this board yet." in page.text and page.sources == []


def test_a_record_behind_the_table_must_be_given() -> None:
    board = tiny_board()
    record = make_record()
    table = aggregate(board, select([(Path("x.json"), record)], board))
    with pytest.raises(ValueError, match=f"not given: {record_id(record)}"):
        render_report(table, [], curves={}, overlays=[], title="t", subtitle="")


def test_the_same_input_gives_the_same_page(text: str) -> None:
    assert report(mini_records()) == text
