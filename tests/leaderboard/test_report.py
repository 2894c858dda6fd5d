"""The report: well-formed, self-contained, every number linked, nothing unescaped."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.record_view import Texts, record_view
from sigma_bench.leaderboard.report import render_report
from sigma_bench.leaderboard.select import select
from sigma_bench.records.record import Candidate, Record, Selection, SplitReading
from tests.factories import make_record
from tests.leaderboard.samples import LINEAR, mini_board, mini_records, published, tiny_board

PNG = b"\x89PNG not really"
CURVES = {"mini_videomae_long": [[{"step": 0.0, "loss": 1.0}, {"step": 1.0, "loss": 0.5}]]}
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


def stored(text: str) -> dict[str, Any]:
    """The records that travel in the page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def report(records: list[tuple[Path, Record]], title: str = "Mini report") -> str:
    board = mini_board()
    table = aggregate(board, select(records, board), published())
    pictures = {"Segmentation examples": [("Sequence 3, by three models", PNG)]}
    return render_report([table], records, curves=CURVES, pictures=pictures, title=title)


@pytest.fixture(scope="module")
def text() -> str:
    return report(mini_records())


def test_page_is_well_formed_and_every_link_has_its_target(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    local = [anchor for anchor in page.anchors if anchor != "data:,"]
    assert local and all(anchor.startswith("#") for anchor in local)
    assert {anchor[1:] for anchor in local} <= set(page.ids)


def test_page_fetches_nothing(text: str) -> None:
    assert Page(text).sources and all(source.startswith("data:image/") for source in Page(text).sources)
    assert not re.search(r"https?://|@import|url\(|<iframe", text)


def test_every_record_has_a_button_and_its_words(text: str) -> None:
    data = stored(text)
    buttons = {name for names in re.findall(r'data-records="([^"]+)"', text) for name in names.split()}
    assert buttons == set(data["records"]) == {record.id for _, record in mini_records()}
    for path, record in mini_records():
        view = data["records"][record.id]
        facts = {data["texts"][term]: data["texts"][words] for term, words in view["facts"]}
        assert facts["Task fingerprint"] == record.fingerprint and facts["Record file"] == str(path)[len("store/") :]
        assert json.loads(data["texts"][view["protocol"]])["protocol"] == record.task.protocol.protocol


def test_texts_that_records_share_are_stored_once(text: str) -> None:
    texts = stored(text)["texts"]
    assert len(texts) == len(set(texts))
    assert sum('"neighbours": 10' in words for words in texts) == 1


def test_page_shows_numbers_intervals_counts_and_marks(text: str) -> None:
    words = Page(text).text
    for expected in (
        *("73.8 [68.8, 78.8] ±1.0, n=3", "73.8†", "published, full-size data, not comparable with the mini world"),
        *("UCF101 (appearance)", "top1 knn@1", "7/8", "ucf101 (mini world): expected 100, found 100, scored 100."),
        *("SIGMA-MLP 1.5 M parameters, pretrained on k400", "not separable from the best", "Sequence 3"),
    ):
        assert expected in words, expected
    for expected in (
        *("C = 1 (chosen)", "python 3.11.0, torch 2.0.0", "sigma-bench 0.1.0, commit abc1234"),
        *(
            "sigma-bench evaluate mini_videomae_long ssv2/knn",
            "95 % bootstrap, 1000 replicates over 100 test units (sample)",
        ),
    ):
        assert expected in stored(text)["texts"], expected
    assert "store/records" not in text


def test_a_score_on_the_test_is_not_called_held_out() -> None:
    grid = tuple(Candidate(setting={"epoch": epoch}, test_top1=0.5) for epoch in (1, 2))
    selection = Selection(rule="on the TEST", grid=grid, chosen={"epoch": 1})
    controls = {"error_of_mean_cycle_of_train": 0.24, "chance": 0.1}
    texts = Texts()
    record = make_record(controls=controls).model_copy(update={"selections": (selection,)})
    view = record_view(Path("0.json"), record, texts)
    assert [texts.list[place] for place in view["tables"][-1]["head"]] == ["Setting", "Test top-1 (%)"]
    assert "error_of_mean_cycle_of_train 0.240, chance 10.0 %" in texts.list
    with pytest.raises(ValueError, match="either a held-out score or one on the test"):
        Candidate(setting={"epoch": 1})


def test_a_record_shows_decoders_ffmpeg_and_frames_if_it_holds_them() -> None:
    record, texts = make_record(), Texts()
    assert "Reading" not in [
        texts.list[table["caption"]] for table in record_view(Path("0.json"), record, texts)["tables"]
    ]
    assert not {"ffmpeg", "reading"} & record.model_dump(mode="json")["provenance"].keys()  # ids of older records
    reading = {
        "train": SplitReading(decoders={"decord": 1200, "pyav_sequential": 3}, frames=9624),
        "test": SplitReading(decoders={}, frames=80),
    }
    provenance = record.provenance.model_copy(
        update={"ffmpeg": {"decord": "4.1.6", "pyav": "8.1.2"}, "reading": reading}
    )
    view = record_view(Path("0.json"), record.model_copy(update={"provenance": provenance}), texts)
    (rows,) = (table["rows"] for table in view["tables"] if texts.list[table["caption"]] == "Reading")
    assert [[texts.list[cell] for cell in row] for row in rows] == [
        ["train", "decord (FFmpeg 4.1.6): 1,200, pyav_sequential (FFmpeg 8.1.2): 3", "9,624"],
        ["test", "no videos", "80"],
    ]


def test_a_record_of_custom_data_is_described_without_empty_words() -> None:
    record, texts = make_record(world="user"), Texts()
    train = record.data.splits["train"].model_copy(update={"scored": 0})
    seconds = {"evaluate": 2.784, "predicted_low": 0.836, "predicted_high": 3.04}
    changed = {
        "task": record.task.model_copy(update={"asks": "unspecified"}),
        "model": record.model.model_copy(update={"checkpoint_sha256": hashlib.sha256().hexdigest()}),
        "data": record.data.model_copy(update={"splits": record.data.splits | {"train": train}}),
        "provenance": record.provenance.model_copy(update={"seconds": seconds, "command": ("script.py",)}),
    }
    view = record_view(Path("0.json"), record.model_copy(update=changed), texts)
    facts = {texts.list[term]: texts.list[words] for term, words in view["facts"]}
    assert facts["Task"] == "UCF101, the split of the data"
    assert facts["Wall time"] == "2.8 s; predicted 0.8 to 3.0 s"
    assert facts["Checkpoint (MODEL)"] == f"no weights; digest of the code: {'c' * 64}"
    rows = [[texts.list[cell] for cell in row] for row in view["tables"][1]["rows"]]
    assert [row[:4] for row in rows] == [["train", "200", "200", "–"], ["test", "100", "100", "100"]]
    plain = {
        texts.list[term]: texts.list[words]
        for term, words in record_view(Path("0.json"), make_record(), texts)["facts"]
    }
    assert (plain["Task"], plain["Wall time"]) == ("UCF101, asks for appearance, folds official", "features 1.5 s")
    assert "Checkpoint" in plain and "Checkpoint (MODEL)" not in plain


def test_text_of_records_is_escaped() -> None:
    label = "</script><script>alert('1')</script>"
    page = report([(Path("x.json"), make_record(label))], title="a & <b>")
    assert label not in page and "&lt;script&gt;alert(" in page and "a &amp; &lt;b&gt;" in page
    assert f"{label}, ucf101/knn" in stored(page)["texts"]
    assert page.count("<script") == page.count("</script") == 2


def test_names_of_metrics_and_protocols_are_shown_without_control_characters() -> None:
    board, records = mini_board(), mini_records()
    table = aggregate(board, select(records, board), published())
    first = replace(table.columns[0], metric="top1\x1b[31m", protocol="knn\u202e@1")
    page = render_report(
        [replace(table, columns=(first, *table.columns[1:]))], records, curves={}, pictures={}, title=""
    )
    assert "\x1b" not in page and "\u202e" not in page and "top1\\x1b[31m" in page


def test_the_policy_of_the_page_allows_its_own_script_and_style_only(text: str) -> None:
    for kind, tag in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        content = re.findall(tag, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert len(content) == 1 and f"{kind}-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text and not re.search(r"<[^>]+ (style|on[a-z]+)=", text.split("<body>")[1])


def test_imported_rows_are_an_origin_of_their_own() -> None:
    board = tiny_board()
    theirs = published()[0].model_copy(
        update={"origin": "imported", "source": "mail", "method": "Theirs", **LINEAR, "value": 0.9}
    )
    page = render_report(
        [aggregate(board, select([], board), (*published(), theirs))],
        [],
        curves={},
        pictures={},
        title="t",
    )
    assert 'value="imported"' in page and 'value="published"' in page
    assert re.search(r'data-origin="imported" data-label="Theirs [^"]+"', page)


def test_the_caption_of_dots_stands_above_them_and_names_only_what_is_drawn() -> None:
    board = tiny_board()
    seeds = [make_record("m", "ucf101/knn", value=0.5 + seed / 10, pretraining_seed=seed) for seed in (0, 1)]
    seeds[1] = seeds[1].model_copy(update={"controls": {"chance": 0.1}})
    dots = "<figcaption>Dots: scores; bars: 95 % bootstrap intervals over test units"
    for own, more in ((seeds[:1], ""), (seeds, "; ticks: single seeds; dashed lines: reference values such as chance")):
        records = [(Path(f"{number}.json"), record) for number, record in enumerate(own)]
        page = render_report([aggregate(board, select(records, board))], records, curves={}, pictures={}, title="t")
        assert f"{dots}{more}.</figcaption>" in page
        assert page.index("<figcaption>") < page.index("<img")


def test_a_board_of_very_many_models_says_that_it_is_not_drawn() -> None:
    board = tiny_board()
    records = [(Path(f"{i}.json"), make_record(f"m{i}", value=0.5)) for i in range(41)]
    page = render_report([aggregate(board, select(records, board))], records, curves={}, pictures={}, title="t")
    assert "No dot plot: it holds 40 models at most." in page and Page(page).sources == []


def test_a_board_without_records_is_a_page_too() -> None:
    board = tiny_board()
    table = aggregate(board, select([], board), published())
    page = Page(render_report([table], [], curves={}, pictures={}, title="Empty"))
    assert "No record fits this board yet." in page.text and page.sources == [] and "Summary" not in page.text


def test_the_summary_of_each_board_has_its_data_source_unless_it_is_official() -> None:
    board = tiny_board()
    for source, words in (("mini", "Data: mini world (generated miniature datasets)."), ("official", "")):
        records = [(Path("0.json"), make_record("m", value=0.5, world=source))]
        page = Page(
            render_report([aggregate(board, select(records, board))], records, curves={}, pictures={}, title="")
        )
        assert " ".join(f"Summary {words} Appearance".split()) in page.text
        assert "m has the highest score in UCF101 kNN 50.0 [45.0, 55.0] (no other model is measured)." in page.text


def test_a_record_behind_the_table_must_be_given() -> None:
    board = tiny_board()
    record = make_record()
    table = aggregate(board, select([(Path("x.json"), record)], board))
    with pytest.raises(ValueError, match=f"not given: {record.id}"):
        render_report([table], [], curves={}, pictures={}, title="t")


def test_the_same_input_gives_the_same_page(text: str) -> None:
    assert report(mini_records()) == text
