"""A proxy before an S3 server that answers every k-th request badly."""

from __future__ import annotations

from storage.faulty import Fault, Proxy


class EveryKth(Proxy):
    """Passes requests on, but every k-th meets a fault: 503 and a reset connection take turns.

    Listings are passed on always, as in `Proxy`, and are not counted.
    """

    k: int | None = None
    asked = 0

    def fail_every(self, k: int | None) -> None:
        """From now on; with None, all is well again."""
        with self.lock:
            self.k, self.asked, self.met = k, 0, 0

    def meets(self, method: str) -> Fault | None:
        with self.lock:
            self.asked += 1
            if self.k is None or self.asked % self.k:
                return None
            self.met += 1
            return "503" if self.met % 2 else "reset"
