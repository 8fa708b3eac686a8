"""`madray gc`, `remove`, `status`, `import` and `export` where a store is not as it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_sweeps import all_files, make, table_of

from madray.cli import app
from madray.engine import sweep as driver
from madray.engine.events import Event, GenerationMade, Note
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.errors import BadInput
from madray.ledger import Ledger
from madray.running import Nothing
from madray.spec.reading import parse_sweep
from madray.store import Store
from madray.store_format import CLAIM, claim_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def madray(*arguments: str, store: Store) -> None:
    app([*arguments, "--store", store.uri], standalone_mode=False)


class Removes(Nothing):
    """Somebody who removes the sweep as soon as a number of generations were made."""

    def __init__(self, store: Store, name: str, *, after: int) -> None:
        self.left = after
        self.notes: list[str] = []
        self._store = store
        self._name = name

    def event(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)
        self.left -= isinstance(event, GenerationMade)
        if self.left == 0:
            self.left = -1
            madray("remove", self._name, store=self._store)


@pytest.mark.parametrize("after", [1, 3, 5])
@pytest.mark.parametrize("flush_seconds", [0.0, 1000.0])
def test_a_sweep_that_is_removed_while_it_runs_is_there_whole_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int, flush_seconds: float
) -> None:
    make(store, "undisturbed")
    expected = sorted(table_of(store, "undisturbed").values(), key=str)
    text = Ledger(store, "undisturbed").record().text
    store.remove_folder("sweeps/undisturbed")
    monkeypatch.setattr(driver, "_FLUSH_SECONDS", flush_seconds)
    alone = Store.open(Path(store.uri).with_name("alone"))
    prepared = prepare(parse_sweep(text, name="undisturbed"), store=alone, data=None)
    display = Removes(alone, "undisturbed", after=after)
    assert not driver.run(prepared, executor=execute_here, display=display).failures
    assert display.left < 0
    assert sorted(table_of(alone, "undisturbed").values(), key=str) == expected
    assert Ledger(alone, "undisturbed").record() == prepared.record
    [note] = [*display.notes, *alone.notes]
    assert note.startswith("undisturbed was removed while it ran; ")


def test_a_damaged_record_stops_no_command_and_remove_clears_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    make(store, "whole")
    make(store, "broken", chain={"n_s": 31})
    [record] = (Path(store.uri) / "sweeps" / "broken" / "records").iterdir()
    record.write_bytes(record.read_bytes().replace(b'"seed"', b'"sead"', 1))
    target = Store.open(Path(store.uri).with_name("target"))
    for command in (["status", "--json"], ["gc", "--json", "--older-than", "0"]):
        madray(*command, store=store)
        told = capsys.readouterr()
        assert f"a whole record of broken in {store.uri}, found a damaged one" in told.err
        assert json.loads(told.out)
    madray("import", store.uri, store=target)
    told = capsys.readouterr()
    assert "whole: " in told.out
    assert Ledger.names(target) == ["whole"]
    madray("remove", "broken", store=store)
    capsys.readouterr()
    madray("gc", "--delete", "--older-than", "0", store=store)
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.splitlines()[-1].endswith(" deleted")
    assert {file.split("/")[1] for file in all_files(store)} == {
        file.split("/")[1] for file in all_files(target)
    }


def test_gc_lists_as_deleted_what_was_deleted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    make(store, "gone")
    everything = all_files(store)
    madray("remove", "gone", store=store)
    capsys.readouterr()
    madray("gc", "--delete", "--older-than", "0", "--json", store=store)
    told = json.loads(capsys.readouterr().out)
    assert told["deleted"]
    assert {file["path"] for file in told["files"]} == {
        path for path in everything if not path.startswith("sweeps/")
    }
    assert all_files(store) == set()


def test_export_says_what_is_missing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    make(store, "moved")
    target = str(Path(store.uri).with_name("target"))
    madray("export", "moved", target, store=store)
    assert "were made" not in capsys.readouterr().out
    store.delete("generations", Ledger(store, "moved").record().chains[0].generations[2])
    madray("export", "moved", target + "2", store=store)
    assert (
        f"1 that its rows say were made are not in {store.uri}; make them again "
        f"(madray resume moved --store {store.uri}), and copy once more"
    ) in capsys.readouterr().out


def test_remove_of_an_unknown_name_says_which_there_are(store: Store) -> None:
    make(store, "there")
    for name in ("never", "..", "there/records"):
        with pytest.raises(BadInput, match="there are: there"):
            madray("remove", name, store=store)
    assert Ledger.names(store) == ["there"]


@pytest.mark.parametrize(
    "command",
    [
        ["gc", "--delete", "--older-than", "0"],
        ["status"],
        ["table", "s"],
        ["remove", "s"],
        ["export", "s", "{other}"],
        ["import", "{other}"],
    ],
    ids=lambda command: command[0],
)
def test_a_store_of_another_format_is_left_alone(store: Store, command: list[str]) -> None:
    make(store, "s")
    other = Store.open(Path(store.uri).with_name("other"))
    make(other, "s")
    store.put(CLAIM, claim_of(2))
    before = [all_files(each) for each in (store, other)]
    with pytest.raises(BadInput, match=r"expected a store of format 1 in .*, got \{"):
        madray(*(part.format(other=other.uri) for part in command), store=store)
    if "{other}" in command:  # and the other way round
        with pytest.raises(BadInput, match="expected a store of format 1"):
            madray(*(part.format(other=store.uri) for part in command), store=other)
    assert [all_files(each) for each in (store, other)] == before
