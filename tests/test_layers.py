"""The layers: imports run one way, from the top of the house to its bottom; and what loads what.

A unit is a module or a package directly under madray/. All imports count: those inside functions, and those
for type checkers alone.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from madray.spec import generators, metrics, references
from madray.spec.imported import load_object

HOUSE = Path(__file__).parents[1] / "madray"

LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"display", "status", "submit", "verify"},
    {"running", "garbage", "transfer"},
    {"engine", "tracking", "report"},
    {"estimates", "results"},
    {"plan", "calculations", "chain"},
    {"growth", "kept_models"},
    {"batches", "checkpoints", "forest", "table", "testing"},
    {"ledger", "loops"},
    {"write_once"},
    {"store"},
    {"files", "bundles", "tables"},
    {"artifacts", "store_format", "generators", "references", "metrics", "theory", "pictures"},
    {"samples"},
    {"spec"},
    {"keys", "parquet", "streams"},
    {"errors", "filesystems"},
]
"""From top to bottom. A unit imports from the layers below its own, never from its own or from above."""

FORBIDDEN: dict[str, set[str]] = {
    # What is to be made is known from settings alone: plan knows nobody that makes or looks at samples.
    "plan": {"generators", "references", "metrics", "theory", "samples", "pictures", "tables", "checkpoints"},
    "calculations": {"generators", "references", "metrics", "theory", "samples", "pictures", "tables"},
    "growth": {
        "generators",
        "references",
        "metrics",
        "theory",
        "samples",
        "pictures",
        "tables",
        "checkpoints",
    },
    "forest": {"generators", "references", "metrics", "theory", "samples", "store", "artifacts"},
    "loops": {"generators", "references", "metrics", "theory", "samples", "store", "artifacts", "pictures"},
    # A chain makes generations through whatever keeps artifacts, be it a store or a batch.
    "chain": {"store", "bundles", "ledger", "estimates", "table"},
    "kept_models": {"store", "bundles", "ledger", "estimates", "table"},
    # The store keeps bytes under keys and knows of no samples or sweeps.
    "store": {"samples", "spec", "streams", "pictures"},
    "files": {"samples", "spec", "streams", "pictures"},
    "bundles": {"samples", "spec", "streams"},
    "ledger": {"samples", "spec", "streams", "generators", "references", "metrics"},
    # Arithmetic that stands by itself.
    "theory": {"samples", "spec", "keys"},
}

HEAVY = ("torch", "torchvision", "ray", "mlflow")

HOMES: dict[str, set[str]] = {
    "ray": {"engine", "submit"},
    "matplotlib": {"report"},
    "mlflow": {"tracking"},
    "torchvision": {"references"},
    "torch": {"generators", "metrics", "theory", "samples", "streams", "testing", "engine"},
    "typer": {"cli"},
    "pydantic": {"spec"},
    "yaml": {"spec", "submit"},
    "sklearn": {"generators", "references", "metrics", "report"},
}
"""The units that may import a package at all."""


@dataclass(frozen=True)
class Import:
    """An import of a module, by a file of madray's."""

    file: str
    line: int
    by: str
    module: str
    at_once: bool
    """Whether it happens when the file is imported: outside functions, and not for type checkers alone."""

    @property
    def unit(self) -> str | None:
        """The unit of madray's that is imported, if it is one."""
        head, _, rest = self.module.partition(".")
        return rest.partition(".")[0] if head == "madray" else None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def unit_of(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_in(node: ast.AST, file: Path, *, at_once: bool = True) -> Iterator[Import]:
    for inner in ast.iter_child_nodes(node):
        modules: list[str] = []
        if isinstance(inner, ast.Import):
            modules = [alias.name for alias in inner.names]
        if isinstance(inner, ast.ImportFrom):
            assert inner.level == 0, f"{file}:{inner.lineno}: madray imports by whole names"
            # `from madray import table` imports a unit, `from madray.table import to_csv` a part of one.
            names = [f"madray.{alias.name}" for alias in inner.names]
            modules = names if inner.module == "madray" else [inner.module or ""]
        for module in modules:
            yield Import(str(file.relative_to(HOUSE.parent)), inner.lineno, unit_of(file), module, at_once)
        function = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports_in(inner, file, at_once=at_once and not function and not for_type_checkers(inner))


@cache
def imports() -> list[Import]:
    """All imports of all files of madray's, but those of the package's front door."""
    files = [file for file in HOUSE.rglob("*.py") if file != HOUSE / "__init__.py"]
    assert len(files) > 30
    return [each for file in sorted(files) for each in imports_in(ast.parse(file.read_text("utf-8")), file)]


def layer(unit: str) -> int:
    return next(place for place, units in enumerate(LAYERS) if unit in units)


def test_every_unit_stands_in_one_layer() -> None:
    units = {unit_of(file) for file in HOUSE.rglob("*.py")} - {"__init__"}
    placed = [unit for units in LAYERS for unit in units]
    assert len(placed) == len(set(placed))
    assert units - set(placed) == set()


def test_no_import_runs_up_or_sideways() -> None:
    upwards = [
        f"{each}, which is not below {each.by}"
        for each in imports()
        if each.unit not in (None, "", "__version__", each.by) and layer(each.unit or "") <= layer(each.by)
    ]
    assert upwards == []


def test_units_know_only_what_they_are_about() -> None:
    known = [f"{each}" for each in imports() if each.unit in FORBIDDEN.get(each.by, ())]
    assert known == []


def test_madray_uses_of_its_own_front_door_the_version_alone() -> None:
    used = {
        (str(file.relative_to(HOUSE)), node.attr)
        for file in HOUSE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "madray"
    }
    assert {attribute for _, attribute in used} <= {"__version__"}, used


@pytest.mark.parametrize("package", HOMES)
def test_a_package_is_imported_at_its_homes_alone(package: str) -> None:
    found = [each for each in imports() if each.module.partition(".")[0] == package]
    assert found, f"nobody imports {package}"
    assert [str(each) for each in found if each.by not in HOMES[package]] == []


def test_heavy_packages_are_loaded_at_once_only_by_those_whose_trade_they_are() -> None:
    at_once = [each for each in imports() if each.at_once and each.module.partition(".")[0] in HEAVY]
    assert at_once, "the check sees no imports at all"
    assert {each.by for each in at_once} <= {"engine", "tracking", "generators", "theory"}


def loaded(code: str, *names: str) -> list[str]:
    """Which of these modules are loaded after this code, in a process of its own."""
    told = f"import sys\n{code}\nprint('\\nloaded:', *[name for name in {names!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", told],
        env={**os.environ, "PYTHONPATH": str(HOUSE.parent)},
        capture_output=True,
        check=True,
        text=True,
    )
    return found.stdout.splitlines()[-1].split()[1:]


HELP = """
sys.argv = ["madray", *{arguments!r}]
from madray.cli import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
"""


def test_import_madray_loads_next_to_nothing() -> None:
    assert loaded("import madray", *HEAVY, "pyarrow", "pandas", "numpy", "scipy", "sklearn", "pydantic") == []


def test_help_loads_nothing_heavy() -> None:
    for arguments in (["--help"], ["sweep", "--help"]):
        code = HELP.format(arguments=arguments)
        assert loaded(code, *HEAVY, "pyarrow", "pandas", "numpy", "scipy", "sklearn", "typer") == ["typer"]


def test_planning_status_and_tables_load_neither_torch_nor_ray_nor_mlflow() -> None:
    code = """
import madray.cli, madray.display, madray.status, madray.results, madray.running, madray.estimates
import madray.engine.prepare, madray.engine.sweep, madray.engine.local, madray.plan, madray.chain
import madray.table, madray.store, madray.references, madray.metrics, madray.tracking, madray.pictures
from madray.spec.reading import parse_sweep
chain = "{reference: mnist, generator: ddpm, loop: fully_synthetic, n_ini: 9, n_s: 9, generations: 2}"
parse_sweep("{name: x, chain: " + chain + "}", name="x")
"""
    assert loaded(code, *HEAVY, "sklearn", "pandas", "yaml") == ["yaml"]


FAMILIES = [*references.FAMILIES, *generators.FAMILIES, *metrics.METRICS, *metrics.EXTRACTORS]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.__module__}.{family.__name__}")
def test_what_settings_name_by_import_path_is_there(family: type) -> None:
    path: str = family.implementation  # type: ignore[attr-defined]
    assert path.startswith("madray.")
    assert callable(load_object(path))
