"""Pictures and small tables as files that are the same whenever they are made from the same numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure


def to_png(figure: Figure) -> bytes:
    """A picture. No date, nor matplotlib's version, stands in it."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def to_csv(frame: pd.DataFrame) -> bytes:
    """A small table as comma-separated values, numbers to six digits."""
    text: str = frame.to_csv(index=False, float_format="%.6g", na_rep="nan", lineterminator="\n")
    return text.encode()


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """A small table for people, numbers to four digits.

    >>> print(frame_to_markdown(pd.DataFrame({"n_r": [10], "n_s_star": [math.inf]})), end="")
    | n_r | n_s_star |
    | --- | --- |
    | 10 | ∞ |
    """
    return to_markdown(list(frame.columns), (map(_short, line) for line in frame.itertuples(index=False)))


def to_markdown(header: Sequence[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars and line breaks inside a cell do not break it.

    >>> print(to_markdown(["|z|"], [["2"]]), end="")
    | \\|z\\| |
    | --- |
    | 2 |
    """
    rows = [list(header), ["---"] * len(header), *map(list, lines)]
    told = [" | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in told)


def _short(value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        # Six digits and more are written out where they are those of a whole number, such as n.
        return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
    return str(value)
