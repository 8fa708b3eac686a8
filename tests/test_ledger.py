"""The ledger: write-once files, of which the newest whole one counts, read from anywhere."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.ledger import ChainRecord, Failure, Ledger, Row, SweepRecord, finished
from madray.store import Store

CHAIN = ChainRecord(
    id="c1",
    point={
        "loop": {"real": "fresh", "synthetic": "none"},
        "lambda": 0.5,
        "n_s": 3,
        "flag": True,
        "none": None,
    },
    seed=2,
    generations=["g1", "g2"],
    rows=["r1", "r2"],
    parameters={"lambda": "0.5"},
)
RECORD = SweepRecord(
    name="s",
    created=1700000000.125,
    text="name: s  # λ\n",
    content={"digits": "abc"},
    columns=["fid", "w2"],
    floors={"fid": "f"},
    chains=[CHAIN],
)
ROW = Row(
    chain="c1",
    t=1,
    key="r1",
    generation="g1",
    numbers={"fid": 0.1 + 0.2, "w2": math.nan, "most": math.inf},
    picture="p1",
    like="l",
    n=100,
    seconds=1.5,
    size_bytes=1000,
)
FAILURE = Failure("g2", 2, ["c1"], "ValueError: λ", "Traceback …")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, "s")


def files(store: Store, part: str) -> list[str]:
    return store.names(f"sweeps/s/{part}")


def test_a_record_comes_back_as_it_was_written(ledger: Ledger, store: Store) -> None:
    assert ledger.find() is None
    ledger.write_record(RECORD)
    assert ledger.find() == RECORD
    assert Ledger(store, "s").record() == RECORD
    assert Ledger.names(store) == ["s"]


def test_the_same_record_is_written_once(ledger: Ledger, store: Store) -> None:
    for _ in range(3):
        ledger.write_record(RECORD)
        Ledger(store, "s").write_record(RECORD)
    assert len(files(store, "records")) == 1


def test_a_record_of_a_version_that_knew_generations_alone_says_the_same(
    ledger: Ledger, store: Store
) -> None:
    told = {name: value for name, value in asdict(RECORD).items() if name != "row"}
    data = json.dumps(told).encode()
    store.put(f"sweeps/s/records/{1:020d}-{hashlib.sha256(data).hexdigest()[:24]}.json", data)
    assert ledger.record() == RECORD
    ledger.write_record(RECORD)
    assert len(files(store, "records")) == 1


def test_the_newest_record_counts_and_none_is_overwritten(ledger: Ledger, store: Store) -> None:
    for number in range(5):
        ledger.write_record(replace(RECORD, text=f"{number}"))
        assert ledger.record().text == f"{number}"
    ledger.write_record(replace(RECORD, text="0"))  # back to how it was: that is news as well
    assert ledger.record().text == "0"
    assert len(files(store, "records")) == 6


def test_a_damaged_record_is_passed_over_with_a_note(ledger: Ledger, store: Store, tmp_path: Path) -> None:
    ledger.write_record(RECORD)
    ledger.write_record(replace(RECORD, text="newer"))
    newest = tmp_path / "sweeps" / "s" / "records" / files(store, "records")[-1]
    whole = newest.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40], whole + b" ", whole.replace(b"newer", b"nawer")):
        newest.write_bytes(damaged)
        store.notes.clear()
        assert ledger.find() == RECORD
        assert len(store.notes) == 1
        assert newest.name in store.notes[0]
    ledger.write_record(replace(RECORD, text="newer"))
    assert ledger.record().text == "newer"


def test_a_sweep_that_nobody_knows_is_bad_input_and_names_those_there_are(
    ledger: Ledger, store: Store
) -> None:
    with pytest.raises(BadInput, match="none"):
        ledger.record()
    ledger.write_record(RECORD)
    with pytest.raises(BadInput, match=r"'other'.*there are: s"):
        Ledger(store, "other").record()


def test_a_name_without_a_whole_record_is_passed_over_and_said(
    ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    ledger.write_record(RECORD)
    other, removed = Ledger(store, "other"), Ledger(store, "removed")
    other.write_record(replace(RECORD, name="other"))
    removed.append([ROW])
    [record] = (tmp_path / "sweeps" / "other" / "records").iterdir()
    record.write_bytes(b"")
    store.notes.clear()
    assert Ledger.known(store) == {"s": RECORD}
    assert [note for note in store.notes if note.startswith("expected")] == [
        f"expected a whole record of other in {tmp_path}, found a damaged one; "
        "run its file again, or madray remove other; it is passed over",
        f"expected a whole record of removed in {tmp_path}, found none; "
        "run its file again, or madray remove removed; it is passed over",
    ]
    for each in (other, removed):
        each.check_known()
        with pytest.raises(BadInput, match=f"madray remove {each.name}$"):
            each.record()
    with pytest.raises(BadInput, match="there are: other, removed, s"):
        Ledger(store, "never").check_known()


@pytest.mark.parametrize("what", ["rows", "a failure"])
def test_a_sweep_that_was_removed_while_it_ran_comes_back_with_what_it_made(
    ledger: Ledger, store: Store, what: str
) -> None:
    Ledger(store, "s").append([replace(ROW, t=99)])  # by an earlier run
    ledger.write_record(RECORD)
    rows = [replace(ROW, t=t) for t in range(1, 41)]
    for row in rows[:-1]:
        ledger.append([row])
    store.remove_folder("sweeps/s")
    if what == "rows":
        ledger.append(rows[-1:])
    else:
        ledger.write_failure(FAILURE)
    assert Ledger(store, "s").record() == RECORD
    last = 40 if what == "rows" else 39
    assert [repr(row) for row in Ledger(store, "s").rows().values()] == [repr(row) for row in rows[:last]]
    assert ledger.failures() == ([] if what == "rows" else [FAILURE])
    [note] = store.notes
    assert "s was removed while it ran; its record and the rows of this run were written again" in note
    ledger.append([replace(ROW, t=41)])
    assert len(store.notes) == 1
    assert len(files(store, "records")) == 1


def test_a_record_that_another_run_found_written_is_written_again_too(ledger: Ledger, store: Store) -> None:
    ledger.write_record(RECORD)
    later = Ledger(store, "s")
    later.write_record(replace(RECORD, created=5.0))  # says the same, and writes nothing
    store.remove_folder("sweeps/s")
    later.append([ROW])
    assert Ledger(store, "s").record().text == RECORD.text


def test_to_look_whether_a_sweep_was_removed_is_one_listing(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.write_record(RECORD)
    listed: list[str] = []
    names, get = store.names, store.get
    monkeypatch.setattr(store, "names", lambda folder: listed.append(folder) or names(folder))  # type: ignore[func-returns-value]
    monkeypatch.setattr(store, "get", lambda path: listed.append(path) or get(path))  # type: ignore[func-returns-value]
    ledger.append([])
    assert listed == []
    ledger.append([ROW])
    assert listed == ["sweeps/s/records"]


def test_a_clock_that_goes_backwards_does_not_reorder_what_one_writer_writes(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([500, 500, 400, 100, 1000, 2])
    monkeypatch.setattr("madray.write_once.time.time_ns", lambda: next(clock))
    for number in range(6):
        ledger.write_failure(replace(FAILURE, error=f"{number}"))
        assert [failure.error for failure in ledger.failures()] == [f"{number}"]
    assert len(files(store, "failures")) == 6


def test_the_record_written_last_counts_though_another_machines_clock_is_ahead(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10**18, 5])
    monkeypatch.setattr("madray.write_once.time.time_ns", lambda: next(clock))
    Ledger(store, "s").write_record(RECORD)
    Ledger(store, "s").write_record(replace(RECORD, text="later"))
    assert Ledger(store, "s").record().text == "later"


def test_rows_come_back_with_every_float_exact(ledger: Ledger) -> None:
    ledger.append([ROW])
    [row] = ledger.rows().values()
    assert repr(row) == repr(ROW)
    assert row.numbers["fid"] == 0.30000000000000004
    assert math.isnan(row.numbers["w2"]) and row.numbers["most"] == math.inf


def test_appending_nothing_writes_nothing(ledger: Ledger, store: Store) -> None:
    ledger.append([])
    assert files(store, "rows") == []
    assert ledger.rows() == {}


def test_rows_appended_twice_count_once(ledger: Ledger, store: Store) -> None:
    ledger.append([ROW, replace(ROW, t=2, key="r2")])
    ledger.append([ROW])
    Ledger(store, "s").append([ROW])
    assert set(ledger.rows()) == {("c1", 1, "r1"), ("c1", 2, "r2")}
    assert len(files(store, "rows")) == 3


@pytest.mark.parametrize("knows_first", [True, False])
def test_of_two_rows_that_say_the_same_the_one_that_knows_its_time_counts(
    ledger: Ledger, knows_first: bool
) -> None:
    unknown = replace(ROW, seconds=math.nan, size_bytes=math.nan)
    for row in (ROW, unknown) if knows_first else (unknown, ROW):
        ledger.append([row])
    [row] = ledger.rows().values()
    assert (row.seconds, row.size_bytes) == (1.5, 1000)


def test_rows_that_know_what_they_took_and_rows_that_do_not_fit_one_file(ledger: Ledger) -> None:
    ledger.append([ROW, replace(ROW, t=2, seconds=math.nan, size_bytes=math.nan)])
    assert [row.t for row in ledger.rows().values()] == [1, 2]


def test_a_damaged_rows_file_is_passed_over_with_a_note_and_the_others_count(
    ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    for t in (1, 2, 3):
        ledger.append([replace(ROW, t=t, key=f"r{t}")])
    path = tmp_path / "sweeps" / "s" / "rows" / files(store, "rows")[1]
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:4] + b"\xff" + whole[5:]):
        path.write_bytes(damaged)
        store.notes.clear()
        assert [row.t for row in ledger.rows().values()] == [1, 3]
        assert len(store.notes) == 1
        assert path.name in store.notes[0]


def test_the_newest_failure_of_each_generation_is_kept_with_its_traceback(ledger: Ledger) -> None:
    assert ledger.failures() == []
    ledger.write_failure(FAILURE)
    ledger.write_failure(replace(FAILURE, generation="g3", t=3))
    ledger.write_failure(replace(FAILURE, error="KeyError: 1", traceback="newer"))
    found = {failure.generation: failure for failure in ledger.failures()}
    assert found == {
        "g2": replace(FAILURE, error="KeyError: 1", traceback="newer"),
        "g3": replace(FAILURE, generation="g3", t=3),
    }


def test_sweeps_of_one_store_know_nothing_of_each_other(store: Store) -> None:
    one, two = Ledger(store, "one"), Ledger(store, "two")
    one.write_record(replace(RECORD, name="one"))
    one.append([ROW])
    two.write_failure(FAILURE)
    assert two.find() is None
    assert two.rows() == {}
    assert one.failures() == []
    assert Ledger.names(store) == ["one", "two"]


def test_finished_are_the_rows_that_the_record_asks_for_in_its_order(ledger: Ledger) -> None:
    stale = replace(ROW, key="measured otherwise")
    strange = replace(ROW, chain="c9")
    second = replace(ROW, t=2, key="r2")
    ledger.append([second, stale, strange, ROW])
    found = list(finished(RECORD, ledger.rows()))
    assert [(chain.id, t, row.key) for chain, t, row in found] == [("c1", 1, "r1"), ("c1", 2, "r2")]


def test_many_small_files_of_rows_become_few_large_ones(ledger: Ledger, store: Store) -> None:
    rows = [replace(ROW, t=t, numbers={"fid": t / 3}) for t in range(1, 32 * 32 + 40)]
    for row in rows:
        ledger.append([row])
    assert list(ledger.rows().values()) == rows
    assert len(files(store, "rows")) == 1 + 1 + 7  # 1,024, 32 and 7 single ones


def test_what_runs_before_left_in_many_files_is_tidied_into_one(ledger: Ledger, store: Store) -> None:
    known = replace(ROW, numbers={"fid": 0.1})
    for t in range(1, 41):
        Ledger(store, "s").append([replace(known, t=t), replace(known, t=t, seconds=math.nan)])
    before = ledger.rows()
    ledger.tidy()
    assert len(files(store, "rows")) == 1
    assert ledger.rows() == before
    ledger.tidy()
    assert len(files(store, "rows")) == 1


def test_tidying_leaves_damaged_files_to_gc_and_few_files_alone(
    ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    for t in range(1, 33):
        Ledger(store, "s").append([replace(ROW, t=t)])
    ledger.tidy()
    assert len(files(store, "rows")) == 32
    Ledger(store, "s").append([replace(ROW, t=33)])
    Ledger(store, "s").append([replace(ROW, t=34)])
    damaged = tmp_path / "sweeps" / "s" / "rows" / files(store, "rows")[0]
    damaged.write_bytes(b"")
    ledger.tidy()
    assert ledger.damaged() == [f"sweeps/s/rows/{damaged.name}"]
    assert [row.t for row in ledger.rows().values()] == [*range(2, 35)]


def test_rows_that_are_put_together_while_they_are_read_are_not_missed(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for t in range(1, 41):
        Ledger(store, "s").append([replace(ROW, t=t)])
    listed = store.names

    def then_tidied(folder: str) -> list[str]:
        names = listed(folder)
        monkeypatch.setattr(store, "names", listed)
        Ledger(Store.open(store.uri), "s").tidy()
        return names

    monkeypatch.setattr(store, "names", then_tidied)
    assert [row.t for row in ledger.rows().values()] == [*range(1, 41)]


def test_two_writers_that_put_the_same_rows_together_lose_none(ledger: Ledger, store: Store) -> None:
    other = Ledger(store, "s")
    for t in range(1, 64):
        (ledger if t % 2 else other).append([replace(ROW, t=t)])
        if t % 10 == 0:
            Ledger(store, "s").tidy()
    ledger.tidy()
    assert sorted(row.t for row in other.rows().values()) == [*range(1, 64)]
