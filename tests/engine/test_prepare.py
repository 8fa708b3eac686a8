"""Before work starts: what is wrong is said, what is there is found, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from madray.engine.prepare import Prepared, changes, prepare
from madray.errors import BadInput
from madray.running import run_chain
from madray.spec.reading import check_sweep
from madray.store import Store

CHAIN: dict[str, Any] = {
    "reference": "digits",
    "generator": {
        "kind": "ddpm",
        "timesteps": 3,
        "steps": 5,
        "warmup": 1,
        "width": 8,
        "depth": 1,
        "chunk": 40,
    },
    "loop": "fully_synthetic",
    "n_ini": 100,
    "n_s": 90,
    "n_eval": 50,
    "generations": 2,
}


def prepared(
    store: Store | Path, grid: Mapping[str, Any] | None = None, *, data: Path | None = None, **changed: Any
) -> Prepared:
    """A sweep, prepared; fields of the chain by name, those of the sweep with an underscore before."""
    chain = {name: value for name, value in changed.items() if not name.startswith("_")}
    outside = {name[1:]: value for name, value in changed.items() if name.startswith("_")}
    raw = {"name": "s", "chain": {**CHAIN, **chain}, "grid": dict(grid or {}), **outside}
    raw["chain"] = {name: value for name, value in raw["chain"].items() if value is not None}
    place = store if isinstance(store, Store) else Store.open(store)
    return prepare(check_sweep(raw, name="test"), store=place, data=data)


# Nothing is written


def test_preparing_writes_nothing(tmp_path: Path) -> None:
    assert len(prepared(tmp_path / "store").plan.fits) == 2
    assert not (tmp_path / "store").exists()


def test_preparing_a_sweep_of_large_models_loads_neither_torch_nor_ray(tmp_path: Path) -> None:
    code = """
import sys
from madray.engine.prepare import prepare
from madray.spec.reading import check_sweep
from madray.store import Store
chain = {"reference": "digits", "generator": "ddpm", "loop": "fresh_data", "n_ini": 90, "n_r": 9, "n_s": 90}
file = check_sweep({"name": "s", "chain": {**chain, "n_eval": 90, "generations": 2}}, name="x")
assert len(prepare(file, store=Store.open(sys.argv[1]), data=None).plan.fits) == 2
assert not {"torch", "ray", "mlflow"} & set(sys.modules)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# What is wrong


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"n_ini": 1798}, "chain.n_ini"),
        ({"loop": "fresh_data", "n_r": 1798}, "chain.n_r"),
        ({"loop": "fresh_data", "p": 0.9, "n": 1999, "n_s": None}, "chain.n_r"),
        (
            {"loop": {"real": "fixed+fresh", "synthetic": "latest"}, "n_r": 5, "n_fixed": 1798},
            "chain.n_fixed",
        ),
        ({"n_eval": 1798}, "chain.n_eval"),
    ],
)
def test_more_than_a_finite_reference_has_is_bad_input(tmp_path: Path, changed: Any, field: str) -> None:
    with pytest.raises(
        BadInput, match=rf"^{field}: expected at most the 1797 samples of digits, got 1\d\d\d$"
    ):
        prepared(tmp_path, **changed)


def test_all_of_a_finite_reference_may_be_asked_for(tmp_path: Path) -> None:
    assert prepared(tmp_path, n_ini=1797, loop="fresh_data", n_r=1797, n_s=10**4, n_eval=1797).plan.fits


def test_n_eval_is_free_where_nothing_is_compared_with_real_samples(tmp_path: Path) -> None:
    assert prepared(tmp_path, metrics=["variance"], n_eval=10**6).plan.fits


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"extractor": "lenet"}, "extractor"), ({"metrics": ["label_accuracy"]}, "metrics")],
)
def test_images_of_another_shape_are_refused_for_lenet(tmp_path: Path, changed: Any, field: str) -> None:
    with pytest.raises(BadInput, match=rf"^chain\.{field}: expected samples of shape \(1, 28, 28\)"):
        prepared(tmp_path, **changed)


def test_no_more_neighbours_than_samples(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^chain\.n_eval: expected more than k = 5, got 5$"):
        prepared(tmp_path, n_eval=5)
    assert prepared(tmp_path, n_eval=6).plan.fits


@pytest.mark.parametrize("changed", [{"lambda": 0.5}, {"measure_bias": [0.5]}])
def test_guidance_needs_labels(tmp_path: Path, changed: Any) -> None:
    with pytest.raises(BadInput, match=r"^chain\.lambda: .*no labels"):
        prepared(tmp_path, reference="gaussian", generator="ddpm", **changed)
    assert prepared(tmp_path, reference="gaussian", generator="ddpm").plan.fits
    assert prepared(tmp_path, generator="ddpm", **changed).plan.fits


@pytest.mark.parametrize("changed", [{"lambda": 0.5}, {"measure_bias": [1.0, 0.5]}])
def test_guidance_needs_labels_that_were_dropped_in_training(tmp_path: Path, changed: Any) -> None:
    never = {**CHAIN["generator"], "label_dropout": 0.0}
    told = (
        rf"{next(iter(changed))}: expected 1 for ddpm with label_dropout 0, which leaves nothing .*, got 0\.5"
    )
    with pytest.raises(BadInput, match=told):
        prepared(tmp_path, generator=never, **changed)
    assert prepared(tmp_path, generator=never).plan.fits


def labelled(folder: Path, labels: list[int], name: str = "label") -> None:
    """A Parquet of as many samples, which do not lie all alike."""
    values = [[float(row), float(row**2 % 7)] for row in range(len(labels))]
    pq.write_table(pa.table({"x": values, name: labels}), folder / "x.parquet")


def test_a_class_without_samples_is_refused_where_a_generator_samples_it(tmp_path: Path) -> None:
    """Its weights would never be fitted, whatever λ; who knows no labels does not mind."""
    reference = {"kind": "parquet", "path": "x.parquet", "label": "kind"}
    sizes = {"n_ini": 20, "n_s": 20, "n_eval": 20, "data": tmp_path}
    labelled(tmp_path, [0, 2, 4] * 20, "kind")
    told = (
        r"^chain\.reference: expected samples of all 5 classes in column 'kind' of parquet for ddpm, which "
        r"samples each of them, got none of class 1, 3; try numbering the classes from 0 without gaps, and "
        r"`classes` as many as there are$"
    )
    for bias in (0.5, 1.0):
        for place in (
            tmp_path / "store",
            tmp_path / "another",
        ):  # where another's sweep has brought it, and not
            with pytest.raises(BadInput, match=told):
                prepared(place, reference=reference, **sizes, **{"lambda": bias})
            made = prepared(place, reference=reference, generator="flow", **sizes)
            made.sources.bring(made.targets.sources())
    labelled(tmp_path, [0, 1, 2] * 20, "kind")
    assert prepared(tmp_path / "store", reference=reference, **sizes, **{"lambda": 0.5}).plan.fits
    with pytest.raises(
        BadInput, match=r"of all 12 classes .* got none of class 3, 4, 5, 6, 7, 8 and 3 more; try"
    ):
        prepared(tmp_path / "store", reference={**reference, "classes": 12}, **sizes)


def test_the_cell_that_is_wrong_is_found_among_others(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"n_ini.*1900"):
        prepared(tmp_path, {"n_ini": [100, 1900]})


def test_missing_data_name_the_field(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^chain\.reference: "):
        prepared(tmp_path, reference={"kind": "parquet", "path": "none.parquet"}, data=tmp_path)
    with pytest.raises(BadInput, match=r"^chain\.reference: "):
        prepared(tmp_path, reference="mnist", data=tmp_path)


# What is worth saying


def test_fresh_sets_that_are_not_fresh_are_said_once(tmp_path: Path) -> None:
    grid = {"lambda": [1.0, 0.5]}
    [note] = prepared(tmp_path, grid, loop="fresh_data", n_r=90).notes
    assert "n_r = 90 out of 1797" in note and "5%" in note
    assert prepared(tmp_path, loop="fresh_data", n_r=89).notes == []  # 89 / 1797 is below 5 %
    assert prepared(tmp_path, loop="synthetic_augmentation", n_r=900).notes == []  # fixed, and meant to be


def test_an_evaluation_set_without_a_floor_is_said(tmp_path: Path) -> None:
    [note] = prepared(tmp_path, n_eval=899).notes
    assert "n_eval = 899" in note
    assert prepared(tmp_path, n_eval=898).notes == []


def test_an_infinite_reference_is_fresh_for_ever(tmp_path: Path) -> None:
    made = prepared(tmp_path, reference="gmm25", loop="fresh_data", n_r=10**6, n_eval=10**6)
    assert made.notes == []


# The record


def test_the_record_says_all_that_resume_status_and_table_need(tmp_path: Path) -> None:
    made = prepared(tmp_path, {"lambda": [1.0, 0.5], "generator.width": [8, 16]}, _seeds=[4, 9])
    record = made.record
    assert record.columns == ["fid", "precision", "recall", "variance"]
    assert set(record.floors) == {"fid", "precision", "recall"}
    assert len(record.chains) == 8
    one = record.chains[0]
    assert (one.seed, len(one.generations), len(one.rows)) == (4, 2, 2)
    assert one.point == {"lambda": 1.0, "generator.width": 8}
    assert one.parameters == {
        "reference": "digits",
        "generator": "ddpm",
        **{f"generator.{name}": str(value) for name, value in CHAIN["generator"].items() if name != "kind"},
        "loop": "fully_synthetic",
        "lambda": "1",
        "n_ini": "100",
        "n_r": "0",
        "n_s": "90",
        "memory": "1",
        "labels": "uniform",
        "n_eval": "50",
        "seed": "4",
    }
    assert list(record.content.values()) == [made.sources.content[next(iter(record.content))]]
    again = prepare(check_sweep(_yaml(record.text), name="again"), store=Store.open(tmp_path), data=None)
    assert again.targets.forest.chains == made.targets.forest.chains


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    told: dict[str, Any] = yaml.safe_load(text)
    return told


def test_columns_do_not_depend_on_the_order_of_the_cells(tmp_path: Path) -> None:
    generators = ["gaussian", {"kind": "gmm", "components": 2}]
    chain = {"reference": "gaussian", "generator": None}
    columns = [
        prepared(tmp_path, {"generator": order}, **chain).record.columns
        for order in (generators, generators[::-1])
    ]
    assert columns[0] == columns[1]
    assert set(columns[0]) == {"w2_squared", "w2", "variance", "fid", "precision", "recall"}


def test_keys_of_chains_stay_what_they_are(tmp_path: Path) -> None:
    """What earlier versions made is found again, from version 4 of `gmm` on."""
    made = prepared(
        tmp_path,
        reference="gmm25",
        generator={"kind": "gmm", "components": 2, "covariance": "diag"},
        loop="fresh_data",
        n_s=None,
        p=0.25,
        n=80,
        memory=2,
        _seeds=[3],
        **{"lambda": 0.8},
    )
    [chain] = made.record.chains
    assert chain.id == "9f4fa0db176c83141312a60501637b14fd888e08"
    assert chain.generations == [
        "6fc043795c94e1f98b743c5ae25876f2351fb3f6",
        "b32e25e7df1161d904f0781e4c6d82a2da78f93b",
    ]
    assert chain.rows == [
        "07e96a3f1a824562c12605c884fb128c80f871d4",
        "c0c62eef14e68ab1da8d05bb835f0a4459ced6a9",
    ]


def test_a_sweep_keeps_the_time_of_its_first_record(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    first = prepared(store)
    assert first.before is None
    first.ledger.write_record(first.record)
    second = prepared(store, generations=3)
    assert second.before == first.record
    assert second.record.created == first.record.created


def test_an_edit_says_what_comes_and_goes(tmp_path: Path) -> None:
    def told(before: Prepared, now: Prepared) -> list[str]:
        return changes(before.record, now.record)

    base = prepared(tmp_path, {"lambda": [1.0, 0.5]})
    assert changes(None, base.record) == []
    assert told(base, base) == []
    [came] = told(base, prepared(tmp_path, {"lambda": [1.0, 0.5, 0.25]}))
    assert came.startswith("new cells: ") and "0.25" in came and "0.5" not in came
    [went] = told(base, prepared(tmp_path, {"lambda": [1.0]}))
    assert went.startswith("cells that went") and "0.5" in went
    assert told(base, prepared(tmp_path, {"lambda": [1.0, 0.5]}, generations=5)) == ["generations: 2 → 5"]
    for change in ({"_seeds": 2}, {"n_s": 91}):
        [other] = told(base, prepared(tmp_path, {"lambda": [1.0, 0.5]}, **change))
        assert "settings or seeds" in other
    [many] = told(base, prepared(tmp_path, {"lambda": [1.0, 0.5, *(n / 100 for n in range(1, 21))]}))
    assert many.endswith("and 14 more")


def test_fits_are_alike_by_generator_and_reference_whatever_their_size(tmp_path: Path) -> None:
    def likes(**changed: Any) -> set[str]:
        forest = prepared(tmp_path, **changed).targets.forest
        return {made.effort.like for made in forest.made.values()}

    assert likes() == likes(n_ini=50, n_s=7, generations=4, **{"lambda": 0.5})
    assert len(likes()) == 1
    assert likes() != likes(generator={**CHAIN["generator"], "width": 16})
    assert likes() != likes(reference="gmm25")


# What the store holds


def test_what_is_damaged_counts_as_missing(tmp_path: Path) -> None:
    chain = {**CHAIN, "generator": "gaussian", "reference": "gmm25"}
    run_chain(chain, store=tmp_path, name="s")
    assert prepared(tmp_path, generator="gaussian", reference="gmm25").plan.complete
    [path] = tmp_path.glob("features/*/*/*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    store = Store.open(tmp_path)
    made = prepared(store, generator="gaussian", reference="gmm25")
    assert (made.plan.complete, len(made.plan.real), made.plan.segments) == (False, 1, ())
    assert ("features", path.parents[1].name) not in made.markers
    assert len(store.notes) == 1


def test_data_that_changed_make_another_sweep(tmp_path: Path) -> None:
    def write(offset: float) -> None:
        values = np.arange(200, dtype=np.float32) + np.float32(offset)
        table = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(values), 2)})
        pq.write_table(table, tmp_path / "x.parquet")

    reference = {"kind": "parquet", "path": "x.parquet"}
    keys = []
    for offset in (0.0, 0.0, 1.0):
        write(offset)
        made = prepared(tmp_path / "store", reference=reference, data=tmp_path)
        keys.append(made.targets.forest.chains[0].generations)
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])
