"""LaTeX: what is special is escaped, columns add up, and pdflatex takes it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.fill import fill_published
from sigma_bench.leaderboard.latex import escaped, latex, latex_document
from sigma_bench.leaderboard.select import select
from sigma_bench.specs.board import load_board
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, mini_records, published, tiny_board


def test_special_characters_are_escaped() -> None:
    assert escaped(r"a_b & 5 % {x} #1 $ \ ~ ^") == (
        r"a\_b \& 5 \% \{x\} \#1 \$ \textbackslash{} \textasciitilde{} \textasciicircum{}"
    )
    assert escaped("70–71 † ±0.1 ↓") == r"70--71 \textsuperscript{$\dagger$} $\pm$0.1 $\downarrow$"


def test_a_name_is_no_argument_of_the_line_before() -> None:
    board = tiny_board()
    text = latex(aggregate(board, select([(Path("a"), make_record("[1pt] mine"))], board), ()))
    assert "\n{}[1pt] mine & " in text


def test_a_small_table_by_hand() -> None:
    board = tiny_board()
    records = [(Path("a"), make_record("mini_sigma_mlp", value=0.7384, low=0.7012, high=0.7719))]
    text = latex(aggregate(board, select(records, board), published()))
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert lines == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"& \multicolumn{2}{c}{UCF101 (appearance)} \\",
        r"\cmidrule(lr){2-3}",
        r"Model & kNN & linear \\",
        r"\midrule",
        r"mini\_sigma\_mlp & \textbf{73.8} {\scriptsize [70.1, 77.2]} & -- \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\textit{\textsuperscript{$\dagger$} published, not comparable}} \\",
        r"SIGMA-MLP ViT-B \textsuperscript{$\dagger$} & -- & 73.8\textsuperscript{$\dagger$} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_takes_all_boards(tmp_path: Path) -> None:
    board = mini_board()
    names = (r"a_b%{$\#&~^<|>", "[v2] mine", "[1pt] mine", "*mine", "λ-net, 日本", "two\n\nlines\x0b")
    strange = [(Path(f"{i}"), make_record(name, "ucf101/knn", 0.5)) for i, name in enumerate(names)]
    tables = [fill_published(load_board(name)) for name in ("severe", "finetune_ssv2", "segmentation")]
    tables.append(aggregate(board, select(mini_records() + strange, board), published()))
    names = [f"{table.name}.tex" for table in tables]
    for table, name in zip(tables, names, strict=True):
        (tmp_path / name).write_text(latex(table), encoding="utf-8")
    (tmp_path / "preview.tex").write_text(latex_document(tables, names), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "preview.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Output written on preview.pdf (4 pages" in done.stdout.replace("\n", "")
