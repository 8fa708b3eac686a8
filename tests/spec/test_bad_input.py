"""Bad input that reading finds: one line with the file, the field, what was expected and what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.spec.reading import SweepFile, check_sweep, parse_sweep, read_sweep

SWEEP = """
name: small
chain:
  reference: gaussian
  generator: gaussian
  loop: fully_synthetic
  n_ini: 10
  n_s: 10
  generations: 2
"""


def refused(text: str = SWEEP, *overrides: str) -> str:
    """What a sweep file is refused with."""
    with pytest.raises(BadInput) as error:
        parse_sweep(text, name="x.yaml", overrides=overrides)
    told = str(error.value)
    assert "\n" not in told
    assert error.value.exit_code == 2
    return told


def read(*overrides: str) -> SweepFile:
    return parse_sweep(SWEEP, name="x.yaml", overrides=overrides)


def test_the_sweep_that_these_tests_break_is_whole() -> None:
    assert len(read().cells) == 1


FIELDS = "extractor, generations, generator, labels, lambda, loop, measure_bias, memory, metrics, n, n_eval, "
FIELDS += "n_fixed, n_ini, n_r, n_s, p, reference"

UNKNOWN_FIELDS = {
    "chain.lamda=1": "chain.lamda: expected a known field, got 'lamda'; did you mean lambda?",
    "chain.bias=0.5": "chain.bias: expected a known field, got 'bias'; did you mean lambda?",
    "chain.xyz=1": f"chain.xyz: expected a known field, got 'xyz'; there are {FIELDS}",
    "chain.generator.covariance=1": "chain.generator.covariance: expected a known field, got 'covariance'; there are chunk, kind",
    "chain.loop.reel=fixed": "chain.loop.reel: expected a known field, got 'reel'; did you mean real?",
    "chain.metrics=[{kind: w2, k: 5}]": "chain.metrics.0.k: expected a known field, got 'k'; there are kind",
    "resources.gpu=1": "resources.gpu: expected a known field, got 'gpu'; did you mean gpus or cpus?",
    "grid.lamda=[0.5]": "grid.lamda: expected a known field, got 'lamda'; did you mean lambda? (in the cell lamda=0.5)",
    "grid.generator.timesteps=[5]": "grid.generator.timesteps: expected a known field, got 'timesteps'; there are chunk, kind (in the cell generator.timesteps=5)",
}

WRONG_TYPES = {
    "name=3": "name: expected text, got 3",
    "chain=3": "chain: expected a mapping, got 3",
    "chain.n_ini=many": "chain.n_ini: expected an integer, got 'many'",
    "chain.n_ini=1.5": "chain.n_ini: expected an integer, got 1.5",
    "chain.n_ini=true": "chain.n_ini: expected an integer, got True",
    "chain.n_s=[1]": "chain.n_s: expected an integer, got [1]",
    "chain.lambda=high": "chain.lambda: expected a number, got 'high'",
    "chain.lambda=[0.5, 1]": "chain.lambda: expected a number, got [0.5, 1]",
    "chain.metrics=fid": "chain.metrics: expected a list, got 'fid'",
    "chain.labels=some": "chain.labels: expected uniform or empirical, got 'some'",
    "chain.reference=3": "chain.reference: expected the name of a reference, or a mapping with `kind`, got 3",
    "chain.reference={d: 3}": "chain.reference: expected the name of a reference, or a mapping with `kind`, got {'d': 3}",
    "chain.generator=null": "chain.generator: expected the name of a generator, or a mapping with `kind`, got None",
    "chain.loop=[fresh_data]": "chain.loop: expected the name of a loop, or a mapping with `real` and `synthetic`, got ['fresh_data']",
    "chain.loop={real: old, synthetic: latest}": "chain.loop.real: expected none, fixed, fresh or fixed+fresh, got 'old'",
    "grid=[lambda]": "grid: expected a mapping, got ['lambda']",
    "grid.lambda=0.5": "grid.lambda: expected a list, got 0.5",
    "seeds=few": "seeds: expected an integer or a list, got 'few'",
    "seeds=[0, one]": "seeds.1: expected an integer, got 'one'",
    "resources.cpus=all": "resources.cpus: expected a number, got 'all'",
    "keep=some": "keep: expected all, last, or every n, got 'some'",
    "keep={every: 0}": "keep: expected all, last, or every n, got 'every 0'",
    "keep={often: 2}": "keep: expected all, last, or every n, got {'often': 2}",
    "keep=every 0": "keep: expected all, last, or every n, got 'every 0'",
    "name=a b": "name: expected letters, digits, dots, dashes and underscores, at most 100, got 'a b'",
    "name=../up": "name: expected letters, digits, dots, dashes and underscores, at most 100, got '../up'",
}

LAMBDAS = {
    "chain.lambda=1.5": "chain.lambda: expected λ in [0, 1] for gaussian, got 1.5",
    "chain.lambda=-0.1": "chain.lambda: expected λ in [0, 1] for gaussian, got -0.1",
    "chain.lambda=.nan": "chain.lambda: expected a finite number, got nan",
    "chain.lambda=.inf": "chain.lambda: expected a finite number, got inf",
    "chain.measure_bias=[1, 2]": "chain.measure_bias: expected λ in [0, 1] for gaussian, got 2.0",
    "grid.lambda=[1, 1.5]": "grid.lambda: expected λ in [0, 1] for gaussian, got 1.5 (in the cell lambda=1.5)",
}

SIZES = {
    "chain.n_ini=0": "chain.n_ini: expected a number above 0, got 0",
    "chain.n_s=-1": "chain.n_s: expected a number above 0, got -1",
    "chain.n_r=0": "chain.n_r: expected a number above 0, got 0",
    "chain.n_fixed=0": "chain.n_fixed: expected a number above 0, got 0",
    "chain.n_eval=0": "chain.n_eval: expected a number above 0, got 0",
    "chain.generations=0": "chain.generations: expected a number above 0, got 0",
    "chain.memory=0": "chain.memory: expected a number above 0, got 0",
    "chain.memory=-3": "chain.memory: expected a number above 0, got -3",
    "chain.generator.chunk=0": "chain.generator.chunk: expected a number above 0, got 0",
    "grid.n_s=[5, 0]": "grid.n_s: expected a number above 0, got 0 (in the cell n_s=0)",
    "chain.generator=gmm": "chain.n_ini: expected at least 25 real samples for gmm with as many components, got 10",
    "grid.generator=[{kind: gmm, components: 10}, {kind: gmm, components: 11}]": 'chain.n_ini: expected at least 11 real samples for gmm with as many components, got 10 (in the cell generator={"components":11,"kind":"gmm"})',
    "seeds=0": "seeds: expected a number above 0, got 0",
    "seeds=[0, -1]": "seeds.1: expected a number of at least 0, got -1",
    "resources.cpus=0": "resources.cpus: expected a number above 0, got 0",
    "resources.gpus=-1": "resources.gpus: expected a number of at least 0, got -1",
    "resources.concurrent=0": "resources.concurrent: expected a number above 0, got 0",
}

LISTS = {
    "grid.lambda=[]": "grid.lambda: expected at least one value, got an empty list",
    "seeds=[]": "seeds: expected a list of different seeds, got []",
    "seeds=[1, 1]": "seeds: expected a list of different seeds, got [1, 1]",
    "grid.lambda=[0.5, 0.5]": "grid: expected different cells, got one twice (lambda=0.5)",
    "grid.lambda=[1, 1.0]": "grid: expected different cells, got one twice (lambda=1)",
    "grid.generations=[2, 3]": "grid.generations: expected one value for all cells, got a list in the grid; put it under chain",
    "grid.n_eval=[2, 3]": "grid.n_eval: expected one value for all cells, got a list in the grid; put it under chain",
    "grid.metrics=[[fid]]": "grid.metrics: expected one value for all cells, got a list in the grid; put it under chain",
}

NAMES = {
    "chain.generator=dpdm": "chain.generator: expected a known generator or an import path, got 'dpdm'; did you mean ddpm?",
    "chain.generator={kind: gausian}": "chain.generator: expected a known generator or an import path, got 'gausian'; did you mean gaussian?",
    "chain.generator=xyz": "chain.generator: expected a known generator or an import path, got 'xyz'; there are ddpm, flow, gaussian, gmm, wgan_gp",
    "chain.reference=minst": "chain.reference: expected a known reference or an import path, got 'minst'; did you mean mnist?",
    "chain.loop=fully_synthetc": "chain.loop: expected a known loop or an import path, got 'fully_synthetc'; did you mean fully_synthetic?",
    "chain.metrics=[w2, fdi]": "chain.metrics.1: expected a known metric or an import path, got 'fdi'; did you mean fid?",
    "chain.extractor=inception": "chain.extractor: expected a known extractor or an import path, got 'inception'; there are identity, lenet, standardised",
    "chain.generator=not_there:VAE": "chain.generator.kind: expected an import path that works, got 'not_there:VAE': ModuleNotFoundError: No module named 'not_there'; is its folder on PYTHONPATH?",
    "chain.generator=json:VAE": "chain.generator.kind: expected an import path that works, got 'json:VAE': AttributeError: module 'json' has no attribute 'VAE'; is its folder on PYTHONPATH?",
    "grid.loop=[fully_synthetic, 'not_there:Loop']": "grid.loop.kind: expected an import path that works, got 'not_there:Loop': ModuleNotFoundError: No module named 'not_there'; is its folder on PYTHONPATH? (in the cell loop=not_there:Loop)",
}

PARTS = {
    "chain.n_r=5": "chain.n_r: expected a cell whose loop has a real part, got none; leave n_r out",
    "grid.n_r=[5, 6]": "grid.n_r: expected a cell whose loop has a real part, got none; leave n_r out",
    "chain.n_fixed=5": "chain.n_fixed: expected a cell whose loop has the real part fixed+fresh, got none; leave n_fixed out",
    "chain.loop=fresh_data": "chain.n_r: expected a number of real samples for fresh_data, got none",
    "grid.loop=[fully_synthetic, fresh_data]": "chain.n_r: expected a number of real samples for fresh_data, got none (in the cell loop=fresh_data)",
    "chain.n_s=null": "chain.n_s: expected a number of synthetic samples for fully_synthetic, got none",
    "chain.loop={real: none, synthetic: none}": "chain.loop: expected a real part, a synthetic part, or both, got neither",
    "chain.loop={real: fresh}": "chain.loop.synthetic: expected a value, got none",
    "chain.memory=2, chain.loop.synthetic=accumulate": "chain.memory: expected 1 where the synthetic part is accumulate, which remembers all generations, got 2",
    "chain.n_r=5, chain.loop={real: fixed+fresh, synthetic: latest}": "chain.n_fixed: expected the fixed real samples beside the fresh ones, got none",
    "chain.p=0.5": "chain.n: expected p and n together, or neither, got one of them; give n_r and n_s instead",
    "chain.n=9": "chain.p: expected p and n together, or neither, got one of them; give n_r and n_s instead",
    "chain.p=0.5, chain.n=9": "chain.n: expected sizes either as p and n or as n_r and n_s, got both; leave one pair out",
    "chain.n_s=null, chain.n=9, chain.p=1.5": "chain.p: expected a number of at most 1, got 1.5",
    "chain.n_s=null, chain.n=9, chain.p=1": "chain.p: expected a training set of 1 or more for fully_synthetic, got 1.0",
    "chain.n_s=null, chain.n=9, chain.p=0, chain.loop=real_only": "chain.p: expected a training set of 1 or more for real_only, got 0.0",
}


def split(overrides: str) -> list[str]:
    return overrides.split(", chain.") if overrides.startswith("chain.") else [overrides]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        pytest.param(overrides, told, id=overrides)
        for table in (UNKNOWN_FIELDS, WRONG_TYPES, LAMBDAS, SIZES, LISTS, NAMES, PARTS)
        for overrides, told in table.items()
    ],
)
def test_bad_input_is_told_in_one_line(overrides: str, told: str) -> None:
    first, *others = split(overrides)
    assert refused(SWEEP, first, *(f"chain.{other}" for other in others)) == f"x.yaml: {told}"


@pytest.mark.parametrize("field", ["reference", "generator", "loop", "n_ini", "generations"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    lines = [line for line in SWEEP.splitlines() if not line.startswith(f"  {field}:")]
    assert refused("\n".join(lines)) == f"x.yaml: chain.{field}: expected a value, got none"


@pytest.mark.parametrize(("raw", "field"), [({"chain": {}}, "name"), ({"name": "x"}, "chain")])
def test_a_sweep_has_a_name_and_a_chain(raw: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput, match=rf"^x\.yaml: {field}: expected a value, got none$"):
        check_sweep(raw, name="x.yaml")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("nothing", "--set: expected path=value, got 'nothing'; try --set chain.generations=3"),
        ("=1", "--set: expected path=value, got '=1'; try --set chain.generations=3"),
        (
            "generations=3",
            "--set generations: expected a field of the sweep to begin it, got 'generations'; "
            "did you mean chain.generations?",
        ),
        (
            "lambda=0.5",
            "--set lambda: expected a field of the sweep to begin it, got 'lambda'; did you mean chain.lambda?",
        ),
        (
            "resource.gpus=1",
            "--set resource.gpus: expected a field of the sweep to begin it, got 'resource'; "
            "did you mean resources?",
        ),
        ("chain.n_s.x=1", "--set chain.n_s.x: expected a mapping at n_s, got 10"),
        ("chain.loop=[", "--set chain.loop: expected a YAML value, got '['"),
    ],
)
def test_an_override_that_cannot_be_is_told_by_its_path(overrides: str, told: str) -> None:
    assert refused(SWEEP, overrides) == told


def test_an_override_of_a_grid_that_is_none_is_told() -> None:
    told = "--set grid.lambda: expected a mapping at grid, got ['lambda']"
    assert refused(SWEEP + "grid: [lambda]", "grid.lambda=[1]") == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a mapping with name and chain, got None"),
        ("- name", "expected a mapping with name and chain, got ['name']"),
        ("name", "expected a mapping with name and chain, got 'name'"),
        ("name: a\nname: b", "expected YAML, got 'name' stands twice (line 2, column 1)"),
        ("chain:\n  n_s: 1\n  loop: x\n  n_s: 2", "expected YAML, got 'n_s' stands twice (line 4, column 3)"),
        (
            "name: [a",
            "expected YAML, got while parsing a flow sequence: expected ',' or ']', but got '<stream end>' "
            "(line 1, column 9)",
        ),
        (
            "name: a\n\tb: c",
            "expected YAML, got while scanning for the next token: found character '\\t' that cannot start any "
            "token (line 2, column 1)",
        ),
        (
            "[a]: b",
            "expected YAML, got while constructing a mapping: found unhashable key (line 1, column 1)",
        ),
        (
            "name: !!python/name:os.system x",
            "expected YAML, got could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system' (line 1, column 7)",
        ),
        (
            "a: 1\n---\nb: 2",
            "expected YAML, got expected a single document in the stream: "
            "but found another document (line 2, column 1)",
        ),
    ],
)
def test_a_text_that_is_no_sweep_is_told_with_its_line(text: str, told: str) -> None:
    assert refused(text) == f"x.yaml: {told}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing\.yaml: expected a sweep file, got \[Errno 2\] No such file"):
        read_sweep(tmp_path / "missing.yaml")
    with pytest.raises(BadInput, match=r": expected a sweep file, got \[Errno 21\] Is a directory"):
        read_sweep(tmp_path)
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        BadInput, match=r"picture\.yaml: expected a sweep file, got 'utf-8' codec can't decode"
    ):
        read_sweep(tmp_path / "picture.yaml")


def test_the_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    with pytest.raises(BadInput) as error:
        read_sweep(file, ["chain.n_s=0"])
    assert str(error.value) == f"{file}: chain.n_s: expected a number above 0, got 0"


def test_lambda_0_is_refused_where_the_model_has_no_modes_to_sample() -> None:
    told = "chain.lambda: expected λ in (0, 1] for ddpm, got 0.0"
    assert refused(SWEEP, "chain.generator=ddpm", "chain.lambda=0") == f"x.yaml: {told}"
    assert read("chain.lambda=0").cells[0].chain.bias == 0
    grid = refused(SWEEP, "grid.generator=[gaussian, ddpm]", "chain.lambda=0")
    assert grid == f"x.yaml: {told} (in the cell generator=ddpm)"


def test_n_r_is_allowed_where_one_cell_has_a_real_part() -> None:
    file = read("chain.n_r=5", "grid.loop=[fully_synthetic, fresh_data]")
    assert [cell.chain.real_size for cell in file.cells] == [0, 5]


def test_n_s_is_refused_where_no_cell_has_a_synthetic_part() -> None:
    told = "chain.n_s: expected a cell whose loop has a synthetic part, got none; leave n_s out"
    assert refused(SWEEP, "chain.loop=real_only", "chain.n_r=5") == f"x.yaml: {told}"
    assert len(read("chain.n_r=5", "grid.loop=[real_only, fresh_data]").cells) == 2
