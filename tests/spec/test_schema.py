"""The JSON Schema of sweep files: valid, complete enough for editors, and of one mind with reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from madray.spec.chain import Chain
from madray.spec.reading import read_sweep
from madray.spec.schema import sweep_schema
from madray.spec.sweep import Resources, Sweep
from madray.spec.theory import KINDS

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))

EXAMPLE = """
name: mnist-lambda
chain:
  reference: mnist
  generator: {kind: ddpm, timesteps: 500}
  loop: fully_synthetic
  lambda: 1.0
  n_ini: 6000
  n_r: 6000
  n_s: 6000
  n_eval: 5000
  memory: 1
  generations: 10
grid:
  loop: [fully_synthetic, synthetic_augmentation, fresh_data]
  lambda: [1.0, 0.8, 0.5]
seeds: 3
resources: {cpus: 1, gpus: 0.25, concurrent: 4}
"""


THEORY = """
name: figure
theory: {kind: limit, d: 100, rtol: 0.01}
grid:
  lambda: [1.0, 0.95]
  n_r: [10, 100]
  n_s: [0, 900]
seeds: 2
"""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return sweep_schema()


def errors(schema: Mapping[str, Any], text: str, *overrides: str) -> list[str]:
    """What a validator says of a sweep; overrides replace fields at the top, of `chain` by `chain.x`."""
    raw = yaml.safe_load(text)
    for override in overrides:
        path, _, value = override.partition("=")
        head, _, field = path.partition(".")
        place = raw.setdefault(head, {}) if field else raw
        place[field or head] = yaml.safe_load(value)
    validator = jsonschema.Draft202012Validator(schema)
    return [error.json_path for error in validator.iter_errors(raw)]


def test_it_is_a_json_schema_of_2020_12(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_it_accepts_the_issues_example(schema: dict[str, Any]) -> None:
    assert errors(schema, EXAMPLE) == []


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.name)
def test_it_accepts_every_sweep_that_comes_with_madray(schema: dict[str, Any], file: Path) -> None:
    assert errors(schema, file.read_text(encoding="utf-8")) == []
    assert read_sweep(file).cells


ACCEPTED = [
    "seeds=[0, 5]",
    "keep=last",
    "keep=every 3",
    "keep={every: 3}",
    "chain.lambda=1",
    "chain.n_r=null",
    "chain.reference={kind: gaussian, d: 3, mean: [0, 0, 1], covariance: 2}",
    "chain.reference={kind: images, path: here, size: 16}",
    "chain.generator=gmm",
    "chain.generator={kind: 'json:JSONDecoder', anything: [1, {b: 2}]}",
    "chain.generator=json:JSONDecoder",
    "chain.loop={real: fixed+fresh, synthetic: accumulate}",
    "chain.loop={kind: synthetic_augmentation, synthetic: accumulate}",
    "chain.loop=json:JSONDecoder",
    "chain.metrics=[fid, {kind: precision_recall, k: 3}, w2]",
    "chain.measure_bias=[1, 0.5]",
    "grid.generator.timesteps=[100, 500]",
    "grid.generator=[ddpm, {kind: ddpm, timesteps: 100}]",
    "grid.loop=[{real: fresh, synthetic: latest}, real_only]",
]


@pytest.mark.parametrize("override", ACCEPTED)
def test_it_accepts_what_may_be_written(schema: dict[str, Any], override: str) -> None:
    assert errors(schema, EXAMPLE, override) == []


REFUSED = [
    ("nme=x", "$"),
    ("name=3", "$.name"),
    ("name=a b", "$.name"),
    ("chain=3", "$.chain"),
    ("chain.lamda=1", "$.chain"),
    ("chain.bias=1", "$.chain"),
    ("chain.lambda=high", "$.chain.lambda"),
    ("chain.lambda=1.5", "$.chain.lambda"),
    ("chain.p=2", "$.chain.p"),
    ("chain.n_ini=0", "$.chain.n_ini"),
    ("chain.n_ini=many", "$.chain.n_ini"),
    ("chain.n_s=1.5", "$.chain.n_s"),
    ("chain.memory=0", "$.chain.memory"),
    ("chain.generations=-1", "$.chain.generations"),
    ("chain.labels=some", "$.chain.labels"),
    ("chain.reference=minst", "$.chain.reference"),
    ("chain.reference={kind: minst}", "$.chain.reference"),
    ("chain.reference={d: 3}", "$.chain.reference"),
    ("chain.reference={kind: images, path: here}", "$.chain.reference"),
    ("chain.generator={kind: ddpm, timestep: 5}", "$.chain.generator"),
    ("chain.generator={kind: ddpm, timesteps: many}", "$.chain.generator"),
    ("chain.generator={timesteps: 5}", "$.chain.generator"),
    ("chain.generator={}", "$.chain.generator"),
    ("chain.generator=[ddpm]", "$.chain.generator"),
    ("chain.loop=fresh", "$.chain.loop"),
    ("chain.loop={real: fresh}", "$.chain.loop"),
    ("chain.loop={real: old, synthetic: latest}", "$.chain.loop"),
    ("chain.metrics=fid", "$.chain.metrics"),
    ("chain.metrics=[fdi]", "$.chain.metrics"),
    ("grid.lambda=[]", "$.grid.lambda"),
    ("grid.lambda=0.5", "$.grid.lambda"),
    ("grid.lambda=[high]", "$.grid.lambda[0]"),
    ("grid.lamda=[1]", "$.grid"),
    ("grid.generations=[1, 2]", "$.grid"),
    ("grid.generator.timesteps=[]", "$.grid['generator.timesteps']"),
    ("seeds=0", "$.seeds"),
    ("seeds=few", "$.seeds"),
    ("keep=some", "$.keep"),
    ("resources.gpu=1", "$.resources"),
    ("resources.cpus=0", "$.resources.cpus"),
]


@pytest.mark.parametrize(("override", "place"), REFUSED)
def test_it_refuses_what_reading_would(schema: dict[str, Any], override: str, place: str) -> None:
    assert errors(schema, EXAMPLE, override) == [place]


THEORY_ACCEPTED = [
    "theory={kind: simulate, n_ini: 50, generations: 3, replicates: 9, real: none, d: 3}",
    "theory={kind: boundary, d: 3}",
    "grid.replicates=[5, 10]",
    "grid.memory=[1, 2]",
    "grid.real=[fresh, fixed]",
    "theory.split=equal",
]


@pytest.mark.parametrize("override", ["seeds=2", *THEORY_ACCEPTED])
def test_it_accepts_sweeps_of_theory(schema: dict[str, Any], override: str) -> None:
    assert errors(schema, THEORY, override) == []


THEORY_REFUSED = [
    ("theory={}", "$.theory"),
    ("theory={kind: limt}", "$.theory"),
    ("theory={kind: boundary, n_s: 3}", "$.theory"),
    ("theory.lambda=0", "$.theory"),
    ("theory.rtol=high", "$.theory"),
    ("theory=limit", "$.theory"),
    ("chain={}", "$"),
    ("grid.lambda=[0]", "$.grid.lambda[0]"),
    ("grid.kind=[limit]", "$.grid"),
    ("grid.generations=[2, 3]", "$.grid"),
    ("grid.generator=[ddpm]", "$.grid"),
]


@pytest.mark.parametrize(("override", "place"), THEORY_REFUSED)
def test_it_refuses_what_reading_a_sweep_of_theory_would(
    schema: dict[str, Any], override: str, place: str
) -> None:
    assert errors(schema, THEORY, override) == [place]


EXTENDING = [
    "",
    "name: b",
    "chain: {n_s: 5, generator: {timesteps: 5}, loop: {synthetic: accumulate}, reference: {size: 8}}",
    "chain: {generator: {kind: gmm}, extractor: lenet}",
    "chain: {generator: {latent: 8}}",
    "grid: {lambda: [1.0, 0.5]}",
    "grid: {rtol: [0.1]}",
    "theory: {n_s: 3}",
    "seeds: 3",
]


@pytest.mark.parametrize("text", EXTENDING)
def test_what_a_file_that_is_extended_may_give_need_not_stand_there(
    schema: dict[str, Any], text: str
) -> None:
    assert errors(schema, f"extends: a.yaml\n{text}") == []


EXTENDING_REFUSED = [
    ("extends: 3", "$.extends"),
    ("extends: ''", "$.extends"),
    ("extends: [a.yaml, b.yaml]", "$.extends"),
    ("extends: a.yaml\nchain: {n_s: many}", "$.chain.n_s"),
    ("extends: a.yaml\nchain: {lamda: 1}", "$.chain"),
    ("extends: a.yaml\nchain: {generator: {kind: ddpm, timestep: 5}}", "$.chain.generator"),
    ("extends: a.yaml\nchain: {generator: dpdm}", "$.chain.generator"),
    ("extends: a.yaml\nchain: {n_s: 3}\ngrid: {lamda: [1]}", "$.grid"),
    ("extends: a.yaml\ngrid: [1]", "$.grid"),
    ("extends: a.yaml\ntheory: {kind: limt}", "$.theory"),
    ("extends: a.yaml\ntheory: {}\nchain: {}", "$"),
    ("extends: a.yaml\nseeds: 0", "$.seeds"),
]


@pytest.mark.parametrize(("text", "place"), EXTENDING_REFUSED)
def test_a_file_that_extends_another_is_checked_all_the_same(
    schema: dict[str, Any], text: str, place: str
) -> None:
    assert errors(schema, text) == [place]


def test_it_wants_a_chain_or_theory(schema: dict[str, Any]) -> None:
    assert errors(schema, "name: neither") == ["$"]


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All schemas of objects with properties, and where they stand."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield path, schema["properties"]
        for name, inner in schema.items():
            yield from objects(inner, f"{path}/{name}")
    elif isinstance(schema, list):
        for place, inner in enumerate(schema):
            yield from objects(inner, f"{path}/{place}")


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    undescribed = [
        f"{path}/{name}"
        for path, properties in objects(schema)
        for name, field in properties.items()
        if not field.get("description")
    ]
    assert undescribed == []


def test_every_field_of_the_file_is_there(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    assert list(properties) == ["extends", *Sweep.model_fields]
    chain = ["lambda" if name == "bias" else name for name in Chain.model_fields]
    assert list(properties["chain"]["properties"]) == chain
    assert list(schema["$defs"]["Resources"]["properties"]) == list(Resources.model_fields)
    kinds = {name for each in KINDS for name in each.known_fields().values()}
    told = {name for each in properties["theory"]["anyOf"] for name in each["properties"]}
    assert told == kinds
    assert set(schema["then"]["properties"]["grid"]["properties"]) == kinds - {"kind", "generations"}
    one_for_all = {"generations", "n_eval", "metrics", "extractor", "measure_bias"}
    assert set(schema["else"]["else"]["properties"]["grid"]["properties"]) == set(chain) - one_for_all


def test_every_family_can_be_completed(schema: dict[str, Any]) -> None:
    for field, families in [
        (
            "reference",
            {"gaussian", "gmm25", "rosenbrock", "digits", "mnist", "fashion_mnist", "cifar10", "images"},
        ),
        ("generator", {"gaussian", "gmm", "ddpm"}),
        ("loop", {"fully_synthetic", "synthetic_augmentation", "fresh_data", "real_only"}),
    ]:
        members = schema["properties"]["chain"]["properties"][field]["anyOf"]
        assert families <= set(members[0]["enum"])


def defaults(schema: Any, path: str = "") -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Every default, and the schema of its field."""
    if isinstance(schema, dict):
        if "default" in schema:
            yield path, schema["default"], schema
        for name, inner in schema.items():
            yield from defaults(inner, f"{path}/{name}")
    elif isinstance(schema, list):
        for place, inner in enumerate(schema):
            yield from defaults(inner, f"{path}/{place}")


def test_every_default_may_be_written_out(schema: dict[str, Any]) -> None:
    found = list(defaults(schema))
    assert len(found) > 50
    for path, default, field in found:
        validator = jsonschema.Draft202012Validator({**field, "$defs": schema["$defs"]})
        assert validator.is_valid(default), path
