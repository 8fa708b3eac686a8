"""Export, then import into an empty store: the same table, and nothing left to make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_sweeps import all_files, make, table_of

from madray.engine.needs import needs_of
from madray.engine.prepare import prepare
from madray.errors import BadInput
from madray.ledger import Ledger
from madray.spec.generators import Flow, Gaussian
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


def test_what_rows_say_was_made_and_is_not_there_is_told_of(stores: list[Store]) -> None:
    first, carried, second = stores
    make(first, "moved")
    assert copy(first, second, "moved").missing == 0
    chain = Ledger(first, "moved").record().chains[0]
    first.delete("generations", chain.generations[1])
    first.drop("generations", chain.generations[2], keep=["record.json"])
    copied = copy(first, carried, "moved")
    assert (copied.missing, copied.damaged, copied.is_all) == (2, 0, True)


def test_of_an_unfinished_sweep_nothing_is_missing_that_was_not_made(stores: list[Store]) -> None:
    first, carried, second = stores
    make(first, "moved", keep="last")
    record = Ledger(first, "moved").record()
    rows = [row for row in Ledger(first, "moved").rows().values() if row.t < 3]
    first.remove_folder("sweeps/moved/rows")
    Ledger(first, "moved").append(rows)
    assert copy(first, carried, "moved").missing == 0
    first.delete("generations", record.chains[0].generations[0])  # that of both chains
    first.delete("pictures", rows[0].picture)
    assert copy(first, second, "moved").missing == 2


@pytest.mark.parametrize("generator", ["gaussian", {"kind": "flow", "layers": 2, "width": 8, "epochs": 1}])
def test_a_sweep_is_copied_by_the_keys_it_was_made_under_when_a_version_is_raised(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch, generator: object
) -> None:
    first, carried, second = stores
    make(first, "moved", chain={"generator": generator})
    copy(first, second, "moved")
    with monkeypatch.context() as raised:
        for settings in (Flow, Gaussian):
            raised.setattr(settings, "version", 99)
        copied = copy(first, carried, "moved")
    assert (copied.damaged, copied.missing, copied.is_all) == (0, 0, False)
    whole = copy(carried, Store.open(Path(first.uri).with_name("third")), "moved")
    assert (whole.damaged, whole.missing, whole.is_all) == (0, 0, True)
    needed = needs_of(first, "moved").files
    assert carried.markers(needed).keys() == second.markers(needed).keys() == needed.keys()


def test_of_a_sweep_whose_file_cannot_be_read_what_record_and_rows_name_is_copied(
    stores: list[Store],
) -> None:
    first, carried, _ = stores
    make(first, "moved")
    ledger = Ledger(first, "moved")
    ledger.write_record(replace(ledger.record(), text="name: moved\nchain: {generator: gone:Gone}"))
    copied = copy(first, carried, "moved")
    assert (copied.damaged, copied.missing, copied.is_all) == (0, 0, False)
    assert table_of(carried, "moved") == table_of(first, "moved")
    record = ledger.record()
    named = {("generations", key) for chain in record.chains for key in chain.generations}
    named |= {("pictures", row.picture) for row in ledger.rows().values() if row.picture}
    assert carried.markers(named).keys() == named
    key = record.chains[0].generations[0]
    assert carried.read("generations", key) == first.read("generations", key)
    first.delete("generations", key)
    assert copy(first, carried, "moved").missing == 1


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
