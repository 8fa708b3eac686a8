"""Export, then import into an empty store: the same table, and nothing left to make."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sweeps import all_files, make, table_of

from madray.engine.prepare import prepare
from madray.errors import BadInput
from madray.ledger import Ledger
from madray.spec.reading import parse_sweep
from madray.store import Store
from madray.transfer import Copied, copy_sweep


def copy(source: Store, target: Store, name: str) -> Copied:
    return copy_sweep(source, target, name, told=lambda done, total: None)


@pytest.fixture
def stores(tmp_path: Path) -> list[Store]:
    return [Store.open(tmp_path / name) for name in ("first", "carried", "second")]


@pytest.mark.parametrize("keep", ["all", "last"])
@pytest.mark.parametrize("generator", ["gaussian", {"kind": "flow", "layers": 2, "width": 8, "epochs": 1}])
def test_a_sweep_that_was_exported_and_imported_is_whole(
    stores: list[Store], keep: str, generator: object
) -> None:
    first, carried, second = stores
    make(first, "moved", keep=keep, chain={"generator": generator})
    make(first, "stays", chain={"generator": generator, "n_s": 31})
    assert copy(first, carried, "moved").damaged == 0
    copy(carried, second, "moved")
    assert Ledger.names(second) == ["moved"]
    assert table_of(second, "moved") == table_of(first, "moved")
    record = Ledger(second, "moved").record()
    assert record == Ledger(first, "moved").record()
    assert prepare(parse_sweep(record.text, name="moved"), store=second, data=None).plan.complete
    before = all_files(second)
    assert copy(carried, second, "moved") == Copied(0, 0, 0)
    assert all_files(second) == before


def test_damage_is_left_out_and_told_of(stores: list[Store]) -> None:
    first, carried, _ = stores
    make(first, "moved")
    path = sorted((Path(first.uri) / "draws").glob("*/*/samples.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert copy(first, carried, "moved").damaged == 1
    record = Ledger(carried, "moved").record()
    left = prepare(parse_sweep(record.text, name="moved"), store=carried, data=None).plan
    assert not left.complete
    make(carried, "moved")
    assert table_of(carried, "moved") == table_of(first, "moved")


def test_another_sweep_of_the_same_name_is_not_overwritten(stores: list[Store]) -> None:
    first, carried, _ = stores
    make(first, "same")
    make(carried, "same", chain={"n_s": 31})
    before = all_files(carried)
    with pytest.raises(BadInput, match=r"expected no other sweep called same in .*; try another store, or"):
        copy(first, carried, "same")
    assert all_files(carried) == before


def test_a_sweep_that_is_not_there_is_refused_with_those_that_are(stores: list[Store]) -> None:
    make(stores[0], "there")
    with pytest.raises(BadInput, match="there are: there"):
        copy(stores[0], stores[1], "gone")
