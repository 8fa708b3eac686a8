"""The table of a sweep: the same bytes however it came about, and every number in it exact."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madray.keys import canonical
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.table import table, to_csv, to_json, to_parquet

COLUMNS = ["fid", "recall"]


def record(
    points: Sequence[Mapping[str, Any]], seeds: Sequence[int] = (0,), generations: int = 2
) -> SweepRecord:
    chains = [
        ChainRecord(
            id=f"{json.dumps(point, sort_keys=True)}/{seed}",
            point=point,
            seed=seed,
            generations=[f"g{t}" for t in range(1, generations + 1)],
            rows=[f"r{t}" for t in range(1, generations + 1)],
            parameters={},
        )
        for point in points
        for seed in seeds
    ]
    return SweepRecord("s", 0.0, "", {}, COLUMNS, {}, chains)


def rows_of(sweep: SweepRecord, number: float = 0.5) -> dict[tuple[str, int, str], Row]:
    rows = [
        Row(chain.id, t, key, f"g{t}", {"fid": number + t, "recall": 1 / 3}, "", "l", 1, 1.0, 1.0)
        for chain in sweep.chains
        for t, key in enumerate(chain.rows, start=1)
    ]
    return {(row.chain, row.t, row.key): row for row in rows}


def lines(made: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(made.decode())))


def test_the_columns_are_the_grid_then_seed_and_generation_then_the_measurements() -> None:
    sweep = record([{"loop": "fresh_data", "lambda": 0.5}])
    made = lines(to_csv(table(sweep, rows_of(sweep))))
    assert made[0] == ["loop", "lambda", "seed", "generation", "fid", "recall"]
    assert made[1:] == [
        ["fresh_data", "0.5", "0", "1", "1.5", "0.3333333333333333"],
        ["fresh_data", "0.5", "0", "2", "2.5", "0.3333333333333333"],
    ]


def test_where_rows_tell_of_calculations_there_is_no_generation() -> None:
    sweep = replace(record([{"n_s": 5}, {"n_s": 0}], generations=1), row="calculation")
    made = lines(to_csv(table(sweep, rows_of(sweep))))
    assert made[0] == ["n_s", "seed", "fid", "recall"]
    assert [line[:3] for line in made[1:]] == [["0", "0", "1.5"], ["5", "0", "1.5"]]
    assert lines(to_csv(table(sweep, {}))) == [made[0]]


def test_rows_are_sorted_by_the_grids_values_as_numbers_then_seed_then_generation() -> None:
    points = [{"n_s": n, "lambda": bias} for n in (100, 20, 3) for bias in (1.0, 0.5)]
    sweep = record(points, seeds=(10, 9))
    made = table(sweep, rows_of(sweep))
    place = list(zip(*(made.column(name).to_pylist() for name in made.column_names[:4]), strict=True))
    assert place == sorted(place)
    assert len(place) == 24


VALUES = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2).map(lambda value: round(value, 2)),
    st.sampled_from(["fresh_data", "", "λ", "a,b", 'say "so"']),
    st.sampled_from([{"real": "fresh"}, [1, 2], None, True, False]),
)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(VALUES, min_size=1, max_size=5, unique_by=canonical),
    chosen=st.randoms(use_true_random=False),
)
def test_the_bytes_do_not_depend_on_the_order_of_cells_chains_or_rows(
    values: list[Any], chosen: random.Random
) -> None:
    points = [{"loop": value, "n_s": n} for value in values for n in (2, 1)]
    sweep = record(points, seeds=(0, 1))
    rows = rows_of(sweep)
    expected = to_csv(table(sweep, rows))
    chains, places = list(sweep.chains), list(rows)
    chosen.shuffle(chains)
    chosen.shuffle(places)
    shuffled = SweepRecord("s", 0.0, "", {}, COLUMNS, {}, chains)
    again = table(shuffled, {place: rows[place] for place in places})
    assert to_csv(again) == expected
    assert to_parquet(again) == to_parquet(table(sweep, rows))
    assert to_json(again) == to_json(table(sweep, rows))


def test_a_row_does_not_change_while_others_are_being_made() -> None:
    sweep = record(
        [{"lambda": 1, "loop": "a"}, {"lambda": 0.5, "loop": {"real": "fresh"}}, {"lambda": 2, "loop": 3}]
    )
    rows = rows_of(sweep)
    whole = lines(to_csv(table(sweep, rows)))
    for place, row in rows.items():
        alone = lines(to_csv(table(sweep, {place: row})))
        assert alone[0] == whole[0]
        assert alone[1] in whole[1:]


def test_a_field_of_mixed_values_is_text_with_mappings_as_json() -> None:
    points = [{"loop": value} for value in (1.0, 0.5, "fresh_data", {"real": "fresh", "n": 1.0}, True, None)]
    sweep = record(points, generations=1)
    made = [line[0] for line in lines(to_csv(table(sweep, rows_of(sweep))))[1:]]
    assert made == ["0.5", "1", "fresh_data", "null", "true", '{"n":1,"real":"fresh"}']


def test_integers_and_floats_of_one_field_are_floats() -> None:
    sweep = record([{"lambda": 1}, {"lambda": 0.25}], generations=1)
    assert [line[0] for line in lines(to_csv(table(sweep, rows_of(sweep))))[1:]] == ["0.25", "1.0"]


def test_a_number_without_value_is_nan_and_one_that_nobody_measured_as_well() -> None:
    sweep = record([{}], generations=1)
    [place] = rows_of(sweep)
    row = Row(*place, "g1", {"fid": math.nan}, "", "l", 1, 1.0, 1.0)
    made = table(sweep, {place: row})
    assert lines(to_csv(made))[1] == ["0", "1", "nan", "nan"]
    assert json.loads(to_json(made)) == [{"seed": 0, "generation": 1, "fid": None, "recall": None}]


def test_infinity_is_said_in_every_format_and_the_json_stays_json() -> None:
    sweep = record([{}], generations=1)
    made = table(sweep, rows_of(sweep, math.inf))
    assert float(lines(to_csv(made))[1][2]) == math.inf
    told = json.loads(to_json(made), parse_constant=pytest.fail)
    assert float(told[0]["fid"]) == math.inf
    assert pq.read_table(io.BytesIO(to_parquet(made))).column("fid").to_pylist() == [math.inf]


@settings(max_examples=200, deadline=None)
@given(number=st.floats(allow_nan=False), seed=st.integers(0, 2**40))
def test_every_number_reads_back_exactly_from_every_format(number: float, seed: int) -> None:
    sweep = record([{"lambda": 0.1}], seeds=(seed,), generations=1)
    [(place, row)] = rows_of(sweep).items()
    made = table(
        sweep, {place: Row(*place, row.generation, {"fid": number, "recall": 0.0}, "", "l", 1, 1, 1)}
    )
    read = lines(to_csv(made))[1]
    assert (float(read[0]), int(read[1]), float(read[3])) == (0.1, seed, number)
    assert math.copysign(1, float(read[3])) == math.copysign(1, number)
    assert float(json.loads(to_json(made))[0]["fid"]) == number
    assert pq.read_table(io.BytesIO(to_parquet(made))).equals(made)


def test_only_finished_generations_have_a_row() -> None:
    sweep = record([{"lambda": 1.0}, {"lambda": 0.5}], generations=3)
    rows = {place: row for place, row in rows_of(sweep).items() if place[1] == 2}
    assert table(sweep, rows).column("generation").to_pylist() == [2, 2]


@pytest.mark.parametrize("points", [[], [{}], [{"lambda": 0.5}, {"lambda": 1.0}], [{"loop": "a"}]])
def test_a_sweep_without_a_finished_generation_has_the_heading_alone(points: list[dict[str, Any]]) -> None:
    made = table(record(points), {})
    heading = [*(points[0] if points else {}), "seed", "generation", "fid", "recall"]
    assert to_csv(made).decode() == ",".join(heading) + "\n"
    assert json.loads(to_json(made)) == []
    assert pq.read_table(io.BytesIO(to_parquet(made))).num_rows == 0
