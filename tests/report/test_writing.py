"""Files of a report are the same whenever they are made from the same numbers, and can be read by people."""

from __future__ import annotations

import io
import math

import pandas as pd
from PIL import Image

from madray.report.claims import Claim, claims_to_markdown
from madray.report.style import house_style, new_figure
from madray.report.writing import frame_to_markdown, to_csv, to_markdown, to_png


def some_picture() -> bytes:
    with house_style():
        figure = new_figure(height=1.0, width=2.0)
        figure.subplots().plot([1, 2, 3])
        return to_png(figure)


def test_a_picture_has_the_same_bytes_each_time_and_says_nothing_of_when_and_how_it_was_made() -> None:
    made = some_picture()
    assert made == some_picture()
    assert set(Image.open(io.BytesIO(made)).info) <= {"dpi"}


def test_a_picture_is_of_the_size_that_was_asked_for() -> None:
    assert Image.open(io.BytesIO(some_picture())).size == (400, 200)


def test_tables_have_numbers_to_six_digits_for_programs_and_to_four_for_people() -> None:
    frame = pd.DataFrame({"n": [10**6], "x": [1 / 3], "none": [math.nan], "all": [math.inf]})
    assert to_csv(frame) == b"n,x,none,all\n1000000,0.333333,nan,inf\n"
    assert frame_to_markdown(frame).splitlines()[2] == "| 1000000 | 0.3333 | – | ∞ |"


def test_whole_numbers_stay_whole() -> None:
    frame = pd.DataFrame({"n_s_star": [40721120.0, -math.inf]})
    assert frame_to_markdown(frame).splitlines()[2:] == ["| 40721120 |", "| −∞ |"]


def test_a_cell_does_not_break_its_table() -> None:
    assert to_markdown(["a"], [["|z| < 4\nsure"]]) == "| a |\n| --- |\n| \\|z\\| < 4 sure |\n"


def test_claims_that_fail_stand_out() -> None:
    claims = [Claim("it rises", True, "by 2"), Claim("it falls", False, "by −2")]
    told = claims_to_markdown(claims).splitlines()[2:]
    assert told == ["| yes | it rises | by 2 |", "| **no** | it falls | by −2 |"]
