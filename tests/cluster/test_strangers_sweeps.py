"""Which commands import what a sweep file names, as cluster/SECURITY.md has it; code in the store is never run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sweeps import make

from madray import cli
from madray.spec.imported import load_object
from madray.store import Store

PLANTED = """
from pathlib import Path
from patient_generator import Patient

Path({marks!r}, "imported").touch()

class Generator(Patient):
    def __init__(self, **settings):
        Path({marks!r}, "called").touch()
        super().__init__(steps=1, pause=0.0, **settings)
"""

PLANTED_FILE = """name: other
chain:
  reference: {kind: gaussian, d: 2}
  generator: "planted:Generator"
  loop: fresh_data
  n_ini: 61
  n_r: 30
  n_s: 30
  generations: 1
"""


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the marks of a class that is imported or called, beside a store with a sweep of it."""
    folder = tmp_path / "marks"
    folder.mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "planted.py").write_text(PLANTED.format(marks=str(folder)))
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "plugins")
    monkeypatch.chdir(tmp_path)
    # In the store, code that is never run.
    make(Store.open(tmp_path / "store"), "theirs", chain={"generator": "planted:Generator"})
    (tmp_path / "store" / "planted.py").write_text("raise SystemExit('code from the store')")
    (tmp_path / "other.yaml").write_text(PLANTED_FILE)
    forget(folder)
    return folder


def forget(marks: Path) -> None:
    sys.modules.pop("planted", None)
    load_object.cache_clear()
    for mark in marks.iterdir():
        mark.unlink()


def left_by(marks: Path, work: Callable[[], object]) -> set[str]:
    """The marks that a piece of work leaves."""
    forget(marks)
    work()
    return {mark.name for mark in marks.iterdir()}


def run(*words: str) -> Callable[[], None]:
    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["madray", *words])
            try:
                cli.main()
            except SystemExit as ended:
                assert not ended.code, words

    return work


NOTHING = [["status"], ["status", "theirs"], ["table", "theirs"], ["remove", "theirs"]]
IMPORT = [["gc"], ["export", "theirs", "copy"]]
SUBMIT = ["submit", "other.yaml", "--kubernetes", "--image", "mine:1", "--output", "job.yaml"]


@pytest.mark.parametrize("words", NOTHING, ids=" ".join)
def test_who_looks_imports_nothing_that_a_sweep_names(marks: Path, words: list[str]) -> None:
    assert left_by(marks, run(*words, "--store", "store")) == set()


@pytest.mark.parametrize("words", IMPORT, ids=" ".join)
def test_who_needs_keys_imports_and_calls_nothing(marks: Path, words: list[str]) -> None:
    assert left_by(marks, run(*words, "--store", "store")) == {"imported"}


def test_submit_and_import_do_so_too(marks: Path) -> None:
    assert left_by(marks, run(*SUBMIT, "--store", "/s")) == {"imported"}
    run("export", "theirs", "copy", "--store", "store")()
    assert left_by(marks, run("import", "copy", "--store", "new")) == {"imported"}


def test_a_dry_run_imports(marks: Path) -> None:
    assert "imported" in left_by(marks, run("sweep", "other.yaml", "--dry-run", "--store", "store"))


def test_the_page_names_them_all() -> None:
    page = (Path(__file__).parents[2] / "cluster" / "SECURITY.md").read_text("utf-8")
    nothing, keys, work = re.findall(r"^\| (`madray .+?) \|", page, re.MULTILINE)
    assert set(re.findall(r"[a-z-]+", nothing)) == {"madray", *(words[0] for words in NOTHING)}
    assert set(re.findall(r"[a-z-]+", keys)) == {
        "madray",
        *(words[0] for words in IMPORT),
        "import",
        "submit",
    }
    assert {"sweep", "--dry-run", "resume"} <= set(re.findall(r"[a-z-]+", work))
