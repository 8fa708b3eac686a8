"""Events travel as JSON and come back as they were."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from madray.engine.events import (
    CalculationMade,
    Event,
    GenerationMade,
    Note,
    Progress,
    WorkFailed,
    WorkMade,
    from_json,
    to_json,
)

NUMBERS = st.floats(allow_nan=False)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Progress,
        st.text(),
        st.integers(0, 9),
        st.sampled_from(["fit", "sample"]),
        st.integers(),
        st.integers(),
    ),
    st.builds(
        GenerationMade,
        st.text(),
        st.booleans(),
        NUMBERS,
        st.integers(0),
        st.dictionaries(st.text(), st.dictionaries(st.text(), NUMBERS)),
    ),
    st.builds(CalculationMade, st.text(), NUMBERS, st.dictionaries(st.text(), st.lists(NUMBERS))),
    st.builds(WorkMade, st.text(), NUMBERS),
    st.builds(WorkFailed, st.text(), st.text(), st.integers(0, 9), st.text(), st.text(), st.booleans()),
    st.builds(Note, st.text()),
)


@given(st.lists(EVENTS))
def test_events_come_back_as_they_were_and_in_order(events: list[Event]) -> None:
    text = to_json(events)
    assert from_json(text) == events
    assert isinstance(json.loads(text), list)


def test_a_number_without_value_comes_back_without_value() -> None:
    [event] = from_json(to_json([GenerationMade("g", True, 1.0, 2, {"m": {"w2": math.nan}})]))
    assert isinstance(event, GenerationMade)
    assert math.isnan(event.numbers["m"]["w2"])
