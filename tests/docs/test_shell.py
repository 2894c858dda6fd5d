"""What the tests of pages would notice: wrong commands, and blocks that are run, parsed or written to a file."""

import os
from pathlib import Path

import pytest

from sigma_bench.resources import INCLUDE_VARIABLE
from tests.docs.pages import Block, blocks, commands, headings
from tests.docs.shell import Reader, require_sound, split_settings

WRONG = (
    *("sigma-bench evaluat model", "sigma-bench evaluate model --dat DATA", "sigma-bench data prepar DATA"),
    *("sigma-bench evaluate random:mini_sigma --task ucf101/knn", "sigma-bench evaluate model --suite fast"),
    *("sigma-bench slurm --gpus 1 -- pretrain mini_dino --date DATA", "python -m sigma_bench tasks --jso"),
    *("make demos", 'pip install -e ".[hugging]"', "pip install 'sigma-bench[hf,docss]'", "sgma-bench tasks"),
)
RIGHT = (
    *(
        "sigma-bench",
        "sigma-bench --include DIR tasks  # a comment",
        "sigma-bench models runs",
        "sigma-bench --version",
    ),
    *("OMP_NUM_THREADS=1 sigma-bench tasks --json | head -3", "sigma-bench tasks --include=DIR > tasks.txt"),
    *("make demo PYTHON=python3.12", 'pip install -c constraints.txt -e ".[hf,slurm]"', "export A=1", "cd x"),
)
PAGE = """# Title

<!-- parsed only: needs a GPU -->

```sh
sigma-bench doctor
```

- text

  ```python
  # mine/spec.py
  x = 1
  ```

(target)=

## Two `words`, here
"""


@pytest.mark.parametrize("command", WRONG)
def test_a_wrong_command_is_noticed(command: str) -> None:
    with pytest.raises(Exception):  # noqa: B017 - of the command line, or an assertion
        require_sound(command)


@pytest.mark.parametrize("command", RIGHT)
def test_a_right_command_is_not(command: str) -> None:
    require_sound(command)


def test_blocks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second = blocks(page)
    assert (first.language, first.line, first.is_run, first.file) == ("sh", 5, False, None)
    assert (second.language, second.line, second.is_run, second.file) == ("python", 11, True, "mine/spec.py")
    assert headings(page) == ["title", "two-words-here", "target"]


def test_commands_of_a_block() -> None:
    text = "a --b \\\n  c\n# only a comment\n\ncat > x.csv <<EOF\npath,label\n# no comment\nEOF\nd 'e # f' # g\n"
    assert commands(text) == ["a --b    c", "cat > x.csv <<EOF\npath,label\n# no comment\nEOF", "d 'e # f' # g"]
    assert split_settings("A=1 B='x y' d 'e # f' --g=1 | h  # i") == ({"A": "1", "B": "x y"}, ["d", "e # f", "--g=1"])


def test_a_reader_runs_blocks_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    reader = Reader(tmp_path, tmp_path / "data")
    reader.run(Block("yaml", "# mine/tasks/suites/one.yaml\nsuite: one\nsummary: s\ntasks: [ssv2/knn]\n", 1, True))
    reader.run(
        Block(
            "sh", "sigma-bench --include mine tasks one > one.json  # it's\ncat one.json | head -1 > first.txt", 1, True
        )
    )
    assert (tmp_path / "first.txt").read_text() == "{\n" and '"suite": "one"' in (tmp_path / "one.json").read_text()
    assert os.environ[INCLUDE_VARIABLE] == ""
    reader.run(Block("python", "from pathlib import Path\nroot = Path('DATA')\n", 1, True))
    reader.run(Block("python", "def name():\n    return root.name\n\n\nfound = name()\n", 9, True))
    assert reader.names["root"] == tmp_path / "data" and reader.names["found"] == "data"
    for text in ("sigma-bench tasks two", "ls nothing", "torchrun x.py"):
        with pytest.raises(AssertionError):
            reader.run(Block("sh", text, 1, True))
