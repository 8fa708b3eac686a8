"""Checkpoints of long fits: the newest whole one counts, whoever left it, and nothing else stays."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from madray.checkpoints import StoredCheckpoint, no_checkpoints
from madray.generators.protocol import State
from madray.store import Store

STATE: State = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "step": np.array(3, dtype=np.int64),
    "mask": np.array([True, False]),
    "double": np.array([np.pi, np.nan, np.inf]),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def test_a_state_comes_back_bit_for_bit_for_whoever_comes_next(store: Store, tmp_path: Path) -> None:
    StoredCheckpoint(store, "fit", seconds=0).offer(7, lambda: STATE)
    restored = StoredCheckpoint(Store.open(tmp_path), "fit", seconds=60).restore()
    assert restored is not None
    step, state = restored
    assert step == 7
    assert set(state) == set(STATE)
    for name, array in STATE.items():
        assert (state[name].dtype, state[name].shape) == (array.dtype, array.shape)
        assert state[name].tobytes() == array.tobytes()


def test_where_there_is_none_the_fit_begins_anew(store: Store) -> None:
    assert StoredCheckpoint(store, "fit", seconds=0).restore() is None
    StoredCheckpoint(store, "another fit", seconds=0).offer(1, lambda: STATE)
    assert StoredCheckpoint(store, "fit", seconds=0).restore() is None


def test_the_newest_counts_and_the_others_are_gone(store: Store, tmp_path: Path) -> None:
    checkpoint = StoredCheckpoint(store, "fit", seconds=0)
    for step in range(1, 5):
        checkpoint.offer(step, lambda step=step: {"x": np.full(2, step)})  # type: ignore[misc]
    restored = checkpoint.restore()
    assert restored is not None
    assert (restored[0], restored[1]["x"].tolist()) == (4, [4, 4])
    assert len([path for path in (tmp_path / "work" / "fit").iterdir() if path.is_dir()]) == 1


def test_before_it_is_time_no_state_is_asked_for(store: Store) -> None:
    def never() -> State:
        raise AssertionError("expected no state to be asked for")

    checkpoint = StoredCheckpoint(store, "fit", seconds=3600)
    for step in range(100):
        checkpoint.offer(step, never)
    assert checkpoint.restore() is None


def test_after_one_was_left_the_time_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("madray.checkpoints.time.monotonic", lambda: now)
    checkpoint = StoredCheckpoint(store, "fit", seconds=10)
    left = []
    for step in range(35):
        now = float(step)
        checkpoint.offer(step, lambda step=step: left.append(step) or {"x": np.zeros(1)})  # type: ignore[misc, func-returns-value]
    assert left == [10, 20, 30]


def test_who_may_have_to_go_leaves_one_at_once_and_goes_on(store: Store) -> None:
    soon = threading.Event()
    checkpoint = StoredCheckpoint(store, "fit", seconds=1000, soon=soon)
    left = []
    for step in range(6):
        if step in (2, 4):
            soon.set()
        checkpoint.offer(step, lambda step=step: left.append(step) or {"x": np.zeros(1)})  # type: ignore[misc, func-returns-value]
    assert left == [2, 4]


def test_a_damaged_checkpoint_is_noted_and_the_fit_begins_anew(store: Store, tmp_path: Path) -> None:
    for name in ("state.safetensors", "step.json"):
        checkpoint = StoredCheckpoint(store, name, seconds=0)
        checkpoint.offer(1, lambda: STATE)
        [path] = tmp_path.glob(f"work/{name}/*/{name}")
        path.write_bytes(path.read_bytes()[:-1])
        store.notes.clear()
        assert checkpoint.restore() is None
        assert len(store.notes) == 1
        checkpoint.offer(2, lambda: STATE)
        assert checkpoint.restore() is not None


def test_a_short_fit_leaves_nothing(store: Store) -> None:
    checkpoint = no_checkpoints("fit")
    checkpoint.offer(1, lambda: STATE)
    assert checkpoint.restore() is None
    assert store.names("work") == []
