"""The page in headless Chromium: sort, filter, open a record, dark mode, a phone's width, and nothing leaves it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.fill import fill_published
from sigma_bench.leaderboard.report import FIRST_ROWS, render_report
from sigma_bench.leaderboard.select import select
from sigma_bench.specs.board import load_board
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, mini_records, published, tiny_board

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
STRANGER = "</script><img src=x onerror=alert(1)>"
"""A model's name that wants out of the JSON."""
PHONE = {"width": 390, "height": 844}
LINEAR, RC = 2, 8
"""Cells of a row: UCF101 linear on the mini board, UCF-RC on the board of SEVERE."""
CONTRAST = """selector => {
  const luminance = ([r, g, b]) => [r, g, b].reduce((sum, c, i) => {
    c /= 255; const linear = c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return sum + [0.2126, 0.7152, 0.0722][i] * linear; }, 0);
  const rgb = (words) => words.match(/[\\d.]+/g).map(Number);
  const behind = (element) => { const found = rgb(getComputedStyle(element).backgroundColor);
    return found.length === 4 && found[3] === 0 ? behind(element.parentElement) : found; };
  const ratio = (element) => { const [a, b] = [rgb(getComputedStyle(element).color), behind(element)].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  return Math.min(...[...document.querySelectorAll(selector)].map(ratio)); }"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of two boards, with every origin and a hostile name."""
    records = [*mini_records(), (Path("x.json"), make_record(STRANGER, "ucf101/linear", 0.1))]
    table = aggregate(mini_board(), select(records, mini_board()), published())
    boards = [table, fill_published(load_board("severe"))]
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_report(boards, records, curves={}, pictures={}, title="Boards"))
    return file.as_uri()


def many(folder: Path, num_models: int) -> str:
    """Address of a page of so many models, of which the last is the best."""
    values = [(f"model_{index}", 0.1 + 0.8 * index / num_models) for index in range(num_models)]
    records = [(Path(f"{name}.json"), make_record(name, "ucf101/knn", value)) for name, value in values]
    table = aggregate(tiny_board(), select(records, tiny_board()), published())
    file = folder / f"{num_models}.html"
    file.write_text(render_report([table], records, curves={}, pictures={}, title="Many"))
    return file.as_uri()


@pytest.fixture(scope="module")
def window() -> Iterator["playwright.Page"]:
    """One window for all tests: starting a browser costs more than all they do in it."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page()
        browser.close()


@pytest.fixture
def page(window: "playwright.Page", address: str) -> Iterator["playwright.Page"]:
    """The page, opened anew; afterwards nothing was complained about and nothing else was asked for."""
    said: list[str] = []
    asked: list[str] = []
    listeners = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
        "request": lambda request: asked.append(request.url),
    }
    for event, listener in listeners.items():
        window.on(event, listener)
    window.set_viewport_size({"width": 1280, "height": 900})
    window.emulate_media(color_scheme="light")
    window.goto(address)
    yield window
    window.goto("about:blank")
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    assert said == []
    assert set(asked) - {"about:blank"} == {address}


def models(page: "playwright.Page", origin: str, board: int = 1) -> list[str]:
    """Models of the visible rows of an origin, from top to bottom."""
    rows = page.locator(f"#board-{board} tr[data-origin={origin}]:visible")
    return [name.removesuffix(" †") for name in rows.evaluate_all("rows => rows.map(row => row.dataset.label)")]


def header(page: "playwright.Page", column: int, board: int = 1) -> "playwright.Locator":
    return page.locator(f"#board-{board} th[data-column='{column}']")


def dress(page: "playwright.Page", scheme: Literal["light", "dark"]) -> None:
    """The system turns light or dark."""
    page.emulate_media(color_scheme=scheme)
    page.locator(f"html[data-theme={scheme}]").wait_for()


def test_sorting_by_click_keeps_sections_apart_and_gaps_last(page: "playwright.Page") -> None:
    before = models(page, "measured")
    header(page, LINEAR).get_by_role("button").click()
    measured = ["SIGMA-MLP", "VideoMAE", "mini_random_init", STRANGER]
    assert models(page, "measured") == [*measured, "SIGMA-DINO", "DINO"]
    assert models(page, "published") == ["SIGMA-DINO ViT-B", "SIGMA-MLP ViT-B", "VideoMAE ViT-B"]
    assert header(page, LINEAR).get_attribute("aria-sort") == "descending"
    assert "UCF101 (appearance) linear, descending" in page.get_by_role("status").inner_text()
    header(page, LINEAR).get_by_role("button").click()
    assert models(page, "measured") == [*measured[::-1], "SIGMA-DINO", "DINO"]
    last = page.locator("#board-1 tbody").first.locator("tr").last
    assert last.get_attribute("data-origin") == "reference"
    assert page.locator("th[aria-sort]").count() == 1
    page.get_by_role("button", name="Reset").click()
    assert models(page, "measured") == before and page.locator("th[aria-sort]").count() == 0


def test_sorting_by_keyboard_puts_the_smallest_error_first(page: "playwright.Page") -> None:
    header(page, RC, board=2).get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert header(page, RC, board=2).get_attribute("aria-sort") == "ascending"
    assert models(page, "published", board=2)[::5] == ["SIGMA-DINO", "SVT"]


def test_filters_by_board_model_and_origin(page: "playwright.Page") -> None:
    status = page.get_by_role("status")
    assert status.inner_text() == "15 of 15 rows"
    page.get_by_label("Model", exact=True).fill("videoMAE")
    assert models(page, "measured") == ["VideoMAE"] and models(page, "published", board=2) == ["VideoMAE"]
    assert status.inner_text() == "3 of 15 rows"
    page.get_by_label("Model", exact=True).fill("mini_Video")  # the name in records
    assert models(page, "measured") == ["VideoMAE"] and models(page, "published") == []
    page.get_by_label("Model", exact=True).fill("videoMAE")
    page.get_by_label("published").uncheck()
    assert models(page, "published") == [] and status.inner_text() == "1 of 15 rows"
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Board").select_option(label="SEVERE generalisation benchmark")
    assert status.inner_text() == "6 of 15 rows" and not page.locator("#board-1").is_visible()


def test_a_number_opens_its_records_by_mouse(page: "playwright.Page") -> None:
    page.locator("#board-1").get_by_role("button", name="73.8: 3 records of SIGMA-MLP").click()
    dialog = page.get_by_role("dialog", name="SIGMA-MLP (mini_sigma_mlp_long), ucf101/knn")
    shown = dialog.inner_text()
    for words in (
        "sigma-bench evaluate mini_sigma_mlp_long ucf101/knn",
        "67.8–77.8",
        '"neighbours": 10',
        "torch 2.0.0",
    ):
        assert words in shown
    assert "pretraining 0" in shown
    dialog.get_by_role("button", name="74.8").click()
    assert "pretraining 2" in dialog.inner_text()
    second = next(r.id for _, r in mini_records() if r.model.pretraining_seed == 2)
    page.wait_for_url(lambda url: url.endswith(f"#record-{second}"))
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    page.wait_for_url(lambda url: "#" not in url)


def test_a_number_opens_by_keyboard_and_gets_the_focus_back(page: "playwright.Page") -> None:
    number = page.get_by_role("button", name="60.0: record of VideoMAE, UCF101 (appearance) kNN")
    number.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="VideoMAE (mini_videomae_long), ucf101/knn")
    assert dialog.is_visible() and dialog.evaluate("it => it.contains(document.activeElement)")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert number.evaluate("it => it === document.activeElement")


def test_a_link_opens_the_record_and_the_selection_grid(page: "playwright.Page", address: str) -> None:
    wanted = next(
        r for _, r in mini_records() if r.task.task == "ssv2/linear" and r.model.model == "mini_videomae_long"
    )
    page.evaluate(f"location.hash = 'record-{wanted.id}'")
    dialog = page.get_by_role("dialog", name="VideoMAE (mini_videomae_long), ssv2/linear")
    assert "C = 1 (chosen)" in dialog.inner_text() and "did not converge" in dialog.inner_text()


def test_published_numbers_say_where_they_stand(page: "playwright.Page") -> None:
    page.locator("#board-2").get_by_role("button", name="0.169: source of SIGMA-DINO").click()
    words = page.get_by_role("dialog").inner_text()
    assert "SIGMA, ECCV 2024, arXiv 2407.15447: table severe" in words and "published" in words


def test_a_hostile_name_stays_a_name(page: "playwright.Page") -> None:
    page.locator("tr.measured", has_text=STRANGER).locator(".number").click()
    assert page.get_by_role("dialog").get_by_role("heading").first.inner_text() == f"{STRANGER}, ucf101/linear"
    assert page.locator("img[src=x]").count() == 0


def test_dark_mode_follows_the_system_and_the_button(page: "playwright.Page") -> None:
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    dress(page, "dark")
    assert page.evaluate(background) != light
    page.get_by_role("button", name="Dark mode", pressed=True).click()
    assert page.evaluate(background) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page: "playwright.Page", scheme: Literal["light", "dark"]) -> None:
    """WCAG AA asks for 4.5."""
    dress(page, scheme)
    for selector in ("h1", ".quiet", "small", ".number", ".notes li", "#filters label", "td.about", "th button"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector


def test_a_phone_scrolls_tables_and_never_the_page(page: "playwright.Page") -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sizes = "it => [it.scrollWidth, it.clientWidth]"
    assert page.locator("html").evaluate(sizes) == [360, 360]
    inner, outer = page.locator("#board-1 .scroll").first.evaluate(sizes)
    assert inner > outer
    page.get_by_role("button", name="60.0: record of VideoMAE").click()
    assert page.locator("html").evaluate(sizes)[0] == 360
    assert page.locator("#record-body").evaluate("it => it.scrollWidth - it.clientWidth") == 0


def test_names_on_a_phone_break_between_words_and_leave_room_for_scores(page: "playwright.Page") -> None:
    page.set_viewport_size(PHONE)
    words = page.locator("#board-1 th[scope=row] span")
    assert words.count() > 10
    assert set(words.evaluate_all("words => words.map(it => it.getClientRects().length)")) == {1}
    widest = words.evaluate_all("words => Math.max(...words.map(it => it.offsetWidth))")
    assert widest < page.locator("#board-1 tr.measured th").first.bounding_box()["width"] < widest + 30


def test_a_name_of_one_very_long_word_does_not_fill_a_phone(window: "playwright.Page", tmp_path: Path) -> None:
    record = make_record("identifier_" * 4, "ucf101/knn")
    table = aggregate(tiny_board(), select([(Path("0.json"), record)], tiny_board()))
    file = tmp_path / "long.html"
    file.write_text(render_report([table], [(Path("0.json"), record)], curves={}, pictures={}, title="Long"))
    window.set_viewport_size(PHONE)
    window.goto(file.as_uri())
    assert window.locator("#board-1 tr.measured th").first.bounding_box()["width"] < PHONE["width"] / 2
    assert window.locator("html").evaluate("it => it.scrollWidth") == PHONE["width"]


def test_the_summary_stands_before_the_filters(page: "playwright.Page") -> None:
    summary = page.get_by_role("region", name="Summary")
    words = summary.inner_text()
    assert "SIGMA-MLP has the highest score in all 4 columns" in words and "SEVERE" not in words
    assert summary.bounding_box()["y"] < page.locator("#filters").bounding_box()["y"]


def test_tables_say_what_their_cells_are(page: "playwright.Page") -> None:
    assert page.get_by_role("table", name="Mini world").is_visible()
    assert page.locator("table.scores th:not([scope])").count() == 0
    assert page.locator(".scroll:not([tabindex='0'][aria-label])").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the scores"


def test_what_a_browser_lays_out_does_not_grow_with_the_records(window: "playwright.Page", tmp_path: Path) -> None:
    nodes = []
    for num_models in (FIRST_ROWS + 5, FIRST_ROWS + 40):
        window.goto(many(tmp_path, num_models))
        nodes.append(window.locator("*").count())
        assert window.get_by_role("status").inner_text() == f"{FIRST_ROWS + 1} of {num_models + 2} rows"
    assert nodes[0] == nodes[1]


def test_rows_that_wait_are_found_sorted_and_shown(window: "playwright.Page", tmp_path: Path) -> None:
    num_models = FIRST_ROWS + 5
    address, best = many(tmp_path, num_models), f"model_{num_models - 1}"
    window.goto(address)
    window.get_by_role("button", name="Show 6 more rows").click()
    assert (
        window.evaluate("document.activeElement.closest('tr').dataset.label") == models(window, "measured")[FIRST_ROWS]
    )
    assert len(models(window, "measured")) == num_models + 1 and window.locator("tr.more").count() == 0
    window.goto(address)
    window.get_by_label("Model", exact=True).fill("MODEL_3")
    assert len(models(window, "measured")) == 11
    window.get_by_role("button", name="Reset").click()
    assert len(models(window, "measured")) == num_models + 1
    window.goto(address)
    for _ in range(2):
        header(window, 1).get_by_role("button").click()
    assert models(window, "measured")[0] == "model_0"
    header(window, 1).get_by_role("button").click()
    assert models(window, "measured")[0] == best
    window.locator(f"tr[data-label={best}] .number").click()
    assert window.get_by_role("dialog", name=f"{best}, ucf101/knn").is_visible()
