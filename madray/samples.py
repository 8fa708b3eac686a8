"""Sets of samples: values, labels, and where they come from; to and from Arrow and torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madray.errors import Damaged
from madray.keys import FORMAT_VERSION

if TYPE_CHECKING:
    import torch


COLUMNS = "columns"
"""Where the provenance of vectors has the names of their coordinates, as a JSON list."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """n samples of one shape, with a label each or none.

    Attributes:
        values: shape (n, *shape); uint8 for images (channels, height, width), float32 otherwise.
        labels: shape (n,), int64, in [0, classes), or None.
        classes: how many classes there are, None where there are no labels. A class may be empty.
        provenance: what the samples are (source, lambda, stream, key), for people and for checks.

    Raises: ValueError, if dtypes, lengths or label bounds do not agree.

    >>> SampleSet(np.zeros((3, 2), np.float32)).shape
    (2,)
    """

    values: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    classes: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.dtype not in (np.dtype(np.uint8), np.dtype(np.float32)):
            raise ValueError(f"expected values of uint8 or float32, got {self.values.dtype}")
        if self.values.ndim < 2:
            raise ValueError(f"expected values of shape (n, …), got {self.values.shape}")
        if (self.labels is None) != (self.classes is None):
            raise ValueError("expected labels and classes together, or neither")
        if self.labels is not None and self.classes is not None:
            if self.labels.shape != (len(self.values),) or self.labels.dtype != np.int64:
                raise ValueError(
                    f"expected {len(self.values)} labels of int64, "
                    f"got {self.labels.dtype} of shape {self.labels.shape}"
                )
            if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < self.classes:
                raise ValueError(
                    f"expected labels in [0, {self.classes}), got {self.labels.min()} to {self.labels.max()}"
                )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (channels, height, width) of an image, (d,) of a vector."""
        return tuple(self.values.shape[1:])

    @property
    def is_image(self) -> bool:
        """Images are the samples of bytes."""
        return bool(self.values.dtype == np.uint8)

    def flat(self) -> NDArray[np.float32]:
        """The samples as vectors, shape (n, d), float32; bytes are divided by 255.

        >>> SampleSet(np.full((1, 1, 1, 2), 255, np.uint8)).flat()
        array([[1., 1.]], dtype=float32)
        """
        flat = self.values.reshape(len(self), math.prod(self.shape))
        return flat.astype(np.float32) / np.float32(255) if self.is_image else flat

    def tensor(self) -> torch.Tensor:
        """The values as a torch tensor of their own dtype. Writable: Arrow's memory is not handed out."""
        import torch

        return torch.from_numpy(np.array(self.values))

    def head(self, n: int) -> SampleSet:
        """The first n samples; no copy.

        Raises: ValueError, if there are fewer than n.
        """
        if not 0 <= n <= len(self):
            raise ValueError(f"expected 0 to {len(self)} samples to be asked for, got {n}")
        labels = None if self.labels is None else self.labels[:n]
        return SampleSet(self.values[:n], labels, self.classes, self.provenance)

    def take(self, indices: NDArray[np.int64]) -> SampleSet:
        """The samples at these indices, in their order."""
        labels = None if self.labels is None else self.labels[indices]
        return SampleSet(self.values[indices], labels, self.classes, self.provenance)

    def label_counts(self) -> list[int] | None:
        """How many samples each class has, or None where there are no labels."""
        if self.labels is None or self.classes is None:
            return None
        return [int(count) for count in np.bincount(self.labels, minlength=self.classes)]

    def names(self) -> list[str]:
        """What the coordinates are called: as the columns of the user's Parquet, else x0, x1, …

        >>> SampleSet(np.zeros((3, 2), np.float32)).names()
        ['x0', 'x1']
        """
        if COLUMNS in self.provenance:
            return [str(name) for name in json.loads(self.provenance[COLUMNS])]
        return [f"x{place}" for place in range(math.prod(self.shape))]

    @staticmethod
    def concat(parts: Sequence[SampleSet]) -> SampleSet:
        """One set after the other. Labels survive only where every part has them.

        Raises: ValueError, if there is no part, or shapes or dtypes differ.

        >>> one = SampleSet(np.zeros((1, 2), np.float32))
        >>> len(SampleSet.concat([one, one]))
        2
        """
        if not parts:
            raise ValueError("expected at least one set of samples, got none")
        kinds = {(part.shape, str(part.values.dtype)) for part in parts}
        if len(kinds) > 1:
            raise ValueError(f"expected samples of one shape and dtype, got {sorted(kinds)}")
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([part.values for part in parts])
        labels = [part.labels for part in parts if part.labels is not None]
        if len(labels) < len(parts):
            return SampleSet(values)
        classes = max(part.classes or 0 for part in parts)
        return SampleSet(values, np.concatenate(labels), classes)

    def to_arrow(self) -> pa.Table:
        """An Arrow table: `values` as fixed-size lists, `label` where there is one; the rest as metadata."""
        width = math.prod(self.shape)
        flat = np.ascontiguousarray(self.values).reshape(-1)
        columns = {"values": pa.FixedSizeListArray.from_arrays(pa.array(flat), width)}
        if self.labels is not None:
            columns["label"] = pa.array(self.labels, pa.int32())
        told = {
            "madray": json.dumps(
                {
                    "format": FORMAT_VERSION,
                    "shape": list(self.shape),
                    "classes": self.classes,
                    **dict(self.provenance),
                }
            )
        }
        return pa.table(columns).replace_schema_metadata(told)

    @staticmethod
    def from_arrow(table: pa.Table) -> SampleSet:
        """The samples of a table that `to_arrow` made; a view on its memory where it has one chunk.

        Raises: Damaged, if the table says not what it is.
        """
        try:
            told = json.loads(table.schema.metadata[b"madray"])
            shape = tuple(told.pop("shape"))
            classes = told.pop("classes")
            written = told.pop("format")
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"expected a table of samples with madray's metadata, got none ({error})") from None
        if written != FORMAT_VERSION:
            raise Damaged(f"expected samples of format {FORMAT_VERSION}, got {written}")
        column = table.column("values")
        # One chunk is not combined: even of one, that makes a copy.
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=True)
        labels = None
        if classes is not None:
            labels = table.column("label").to_numpy().astype(np.int64)
        provenance = {name: str(value) for name, value in told.items()}
        return SampleSet(flat.reshape(-1, *shape), labels, classes, provenance)
