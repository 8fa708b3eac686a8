"""What a reference P_r is to the rest of madray."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from madray.samples import SampleSet
from madray.streams import Stream


@runtime_checkable
class Reference(Protocol):
    """The real distribution. Of one stream, fewer samples are the beginning of more."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    def classes(self) -> int | None:
        """How many labels there are; None where samples have none."""

    @property
    def size(self) -> int | None:
        """How many samples a finite reference has; None where it never ends."""

    def draw(self, n: int, stream: Stream) -> SampleSet:
        """n fresh real samples; without replacement where the reference is finite.

        Raises: BadInput, if n is larger than a finite reference.
        """
