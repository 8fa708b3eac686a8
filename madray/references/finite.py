"""A finite reference: a data set from which draws are made without replacement."""

from __future__ import annotations

from madray.errors import BadInput
from madray.samples import SampleSet
from madray.streams import Stream


class FiniteReference:
    """The uniform distribution on a data set.

    A draw is the beginning of the stream's permutation of the whole set, so it holds no sample twice,
    and fewer samples are the beginning of more. Draws of different streams are independent and may
    overlap.

    >>> import numpy as np
    >>> reference = FiniteReference(SampleSet(np.arange(6, dtype=np.float32).reshape(6, 1)))
    >>> sorted(reference.draw(6, Stream.of(0, 1, "real")).values[:, 0].tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """

    def __init__(self, samples: SampleSet) -> None:
        self.samples = samples

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.samples.shape

    @property
    def classes(self) -> int | None:
        """How many labels there are; None where samples have none."""
        return self.samples.classes

    @property
    def size(self) -> int:
        """How many samples the data set has."""
        return len(self.samples)

    def draw(self, n: int, stream: Stream) -> SampleSet:
        """n samples of the data set, none of them twice; values of its shape and dtype.

        Raises: BadInput, if n is not in [0, size].
        """
        if not 0 <= n <= self.size:
            raise BadInput(
                f"expected a draw of 0 to {self.size} samples, without replacement, got {n}, "
                "try fewer samples or a larger data set"
            )
        return self.samples.take(stream.numpy().permutation(self.size)[:n])
