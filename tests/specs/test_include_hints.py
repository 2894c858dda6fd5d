"""Names that the current folder declares, but that are not included."""

from pathlib import Path

import pytest

from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.board import load_board
from sigma_bench.specs.catalogue import load_protocol, load_task


def test_a_name_that_the_current_folder_declares_is_found_by_include(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    for folder, name in (("tasks", "gait"), ("boards", "walks"), ("tasks/protocols", "means@1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.yaml").touch()
    hint = (
        r"tasks/gait.yaml in this folder declares it: use 'sigma-bench .*', or in Python sigma_bench.include\('.'\)\."
    )
    with pytest.raises(ValueError, match=rf"no task 'gait/knn'. {hint}$"):
        load_task("gait/knn")
    with pytest.raises(ValueError, match=r"no board 'walks'. boards/walks.yaml in this folder declares it"):
        load_board("walks")
    words = r"no protocol 'means@1'. tasks/protocols/means@1.yaml in this folder declares it: use 'sigma"
    with pytest.raises(ValueError, match=words):
        load_protocol("means@1")
    with pytest.raises(ValueError, match=r"no protocol 'means@2'. Known: "):
        load_protocol("means@2")
    with pytest.raises(ValueError, match=r"no task 'gate/knn'. Did you mean"):
        load_task("gate/knn")
