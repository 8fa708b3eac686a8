"""Parts of the user's own: found by import path, told apart by version or source, refused where they fail."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from madray.errors import BadInput
from madray.keys import digest
from madray.spec.generators import ImportedGenerator
from madray.spec.imported import Imported, load_object
from madray.spec.loops import ImportedLoop
from madray.spec.metrics import ImportedExtractor, ImportedMetric
from madray.spec.problems import first_problem
from madray.spec.reading import parse_sweep
from madray.spec.references import ImportedReference

MINE = '''
class VAE:
    """A model."""

    def __init__(self, *, width=3): ...


class Whole(VAE):
    takes_zero_bias = True
    needs_labels_for_bias = True
    milliseconds = True
    chunk = 7
    version = 2


class Cloud: ...


class Sharpness:
    names = ("sharpness", "contrast")
    needs_samples = False
    needs_real = False


class Nameless: ...


class Numbered:
    names = (1, 2)


class Loop:
    has_synthetic = False


def features(samples): ...


class Outer:
    class Inner: ...
'''

SWEEP = """
name: mine
chain:
  reference: {kind: "mine_of_test:Cloud", points: 5}
  generator: {kind: "mine_of_test:VAE", width: 8, layers: [1, 2]}
  loop: mine_of_test:Loop
  extractor: mine_of_test:features
  metrics: [fid, "mine_of_test:Sharpness"]
  n_ini: 10
  n_r: 10
  generations: 2
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's module, importable for one test."""
    file = tmp_path / "mine_of_test.py"
    file.write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_of_test", raising=False)
    load_object.cache_clear()
    return file


def generator(name: str, **settings: Any) -> ImportedGenerator:
    return ImportedGenerator.model_validate({"kind": f"mine_of_test:{name}", **settings})


def test_parts_of_a_sweep_may_be_the_users_own(mine: Path) -> None:
    (cell,) = parse_sweep(SWEEP, name="x.yaml").cells
    chain = cell.chain
    assert isinstance(chain.reference, ImportedReference)
    assert isinstance(chain.generator, ImportedGenerator)
    assert isinstance(chain.loop, ImportedLoop)
    assert isinstance(chain.extractor, ImportedExtractor)
    assert isinstance(chain.measured[1], ImportedMetric)
    assert (chain.reference.kind, chain.reference.settings) == ("mine_of_test:Cloud", {"points": 5})
    assert (chain.generator.kind, chain.generator.settings) == (
        "mine_of_test:VAE",
        {"width": 8, "layers": [1, 2]},
    )
    assert chain.generator.implementation == "mine_of_test:VAE"
    assert chain.generator.load().__name__ == "VAE"
    assert chain.loop.written() == "mine_of_test:Loop"


def test_a_part_says_of_itself_what_its_class_says(mine: Path) -> None:
    plain, whole = generator("VAE"), generator("Whole")
    assert (plain.takes_zero_bias, plain.needs_labels_for_bias, plain.milliseconds, plain.chunk) == (
        False,
        False,
        False,
        1000,
    )
    assert (whole.takes_zero_bias, whole.needs_labels_for_bias, whole.milliseconds, whole.chunk) == (
        True,
        True,
        True,
        7,
    )
    metric = ImportedMetric.model_validate({"kind": "mine_of_test:Sharpness"})
    assert (metric.names, metric.needs_samples, metric.needs_real) == (
        ("sharpness", "contrast"),
        False,
        False,
    )
    loop = ImportedLoop.model_validate({"kind": "mine_of_test:Loop"})
    assert (loop.has_real, loop.has_synthetic) == (True, False)
    reference = ImportedReference.model_validate({"kind": "mine_of_test:Cloud"})
    assert (reference.finite, reference.from_data) == (False, False)


def test_settings_may_say_the_size_of_a_chunk(mine: Path) -> None:
    assert generator("Whole", chunk=3).chunk == 3
    for chunk in (0, -1, "3", 1.5):
        with pytest.raises(
            BadInput, match=r"expected mine_of_test:Whole\.chunk to be an integer of 1 or more"
        ):
            _ = generator("Whole", chunk=chunk).chunk


@pytest.mark.parametrize("name", ["Nameless", "Numbered"])
def test_a_metric_says_which_numbers_it_reports(mine: Path, name: str) -> None:
    with pytest.raises(
        BadInput, match=rf"expected mine_of_test:{name}\.names to say which numbers it reports"
    ):
        _ = ImportedMetric.model_validate({"kind": f"mine_of_test:{name}"}).names


def test_a_part_inside_a_class_is_found(mine: Path) -> None:
    assert generator("Outer.Inner").load().__qualname__ == "Outer.Inner"


def test_lambda_0_is_for_models_that_say_so(mine: Path) -> None:
    text = SWEEP.replace("  n_ini", "  lambda: 0\n  n_ini")
    with pytest.raises(
        BadInput, match=r"^x\.yaml: chain\.lambda: expected λ in \(0, 1\] for mine_of_test:VAE"
    ):
        parse_sweep(text, name="x.yaml")
    assert parse_sweep(text.replace(":VAE", ":Whole"), name="x.yaml").cells[0].chain.bias == 0


# --- keys ---


def test_a_key_holds_import_path_settings_and_version(mine: Path) -> None:
    assert generator("Whole", width=3).canonical() == {
        "kind": "mine_of_test:Whole",
        "version": 2,
        "settings": {"width": 3},
    }


def test_settings_called_as_parts_of_the_key_do_not_hide_them(mine: Path) -> None:
    several = [generator("Whole", **given).canonical() for given in ({}, {"version": 2}, {"version": 3})]
    several.append(generator("Whole", settings={}).canonical())
    assert len({digest(each) for each in several}) == 4
    assert {each["version"] for each in several} == {2}


def test_without_a_version_editing_the_module_changes_the_key(mine: Path) -> None:
    def keys() -> tuple[str, str]:
        module = sys.modules.get("mine_of_test")
        if module is not None:
            importlib.reload(module)
        load_object.cache_clear()
        return digest(generator("VAE").canonical()), digest(generator("Whole").canonical())

    unversioned, versioned = keys()
    assert keys() == (unversioned, versioned)
    mine.write_text(MINE + "\n# Another word at the end.\n")
    edited, still = keys()
    assert edited != unversioned
    assert still == versioned
    mine.write_text(MINE)
    assert keys()[0] == unversioned


def test_the_key_of_a_module_is_the_same_in_every_process(mine: Path) -> None:
    code = (
        "from madray.keys import digest; from madray.spec.generators import ImportedGenerator; "
        "print(digest(ImportedGenerator(kind='mine_of_test:VAE').canonical()))"
    )
    folders = os.pathsep.join([str(mine.parent), str(Path(__file__).parents[2])])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout.strip() == digest(generator("VAE").canonical())


def test_a_part_without_source_or_version_is_refused() -> None:
    with pytest.raises(BadInput, match="expected math:sqrt to have a source file or an attribute `version`"):
        Imported(kind="math:sqrt").canonical()


# --- failures ---


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def broken(:", "SyntaxError: invalid syntax (broken_of_test.py, line 1)"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("import sys; sys.exit('a script')", "SystemExit: a script"),
        ("", "AttributeError: module 'broken_of_test' has no attribute 'VAE'"),
    ],
)
def test_an_import_that_fails_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str
) -> None:
    (tmp_path / "broken_of_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_of_test", raising=False)
    with pytest.raises(ValidationError) as refused:
        ImportedGenerator.model_validate({"kind": "broken_of_test:VAE"})
    assert first_problem(refused.value, at="chain.generator") == (
        "chain.generator.kind",
        f"expected an import path that works, got 'broken_of_test:VAE': {told}; is its folder on PYTHONPATH?",
    )
    with pytest.raises(BadInput, match=r"expected 'broken_of_test:VAE' to import, got .*; try PYTHONPATH=\."):
        load_object("broken_of_test:VAE")


@pytest.mark.parametrize("path", ["json:", ":VAE", ".json:VAE", "json:JSONDecoder:x", "json:JSONDecoder..x"])
def test_a_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(BadInput, match="to import, got"):
        load_object(path)


@pytest.mark.parametrize(
    ("value", "found"), [("2020-01-01", "datetime.date(2020, 1, 1)"), (".nan", "nan"), ("{1: a}", "{1: 'a'}")]
)
def test_settings_that_cannot_stand_in_a_key_are_refused(mine: Path, value: str, found: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_sweep(SWEEP, name="x.yaml", overrides=[f"chain.generator.width={value}"])
    assert str(refused.value) == (
        f"x.yaml: chain.generator.width: expected text, numbers, true, false, lists and mappings, got {found}"
    )
