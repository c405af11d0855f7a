"""How much is taken in at once: from one source, and in all. Who is not known costs memory and time, too."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BODY_MOST = 25 * 1024 * 1024
"""Bytes of a body: GitHub makes no larger one, and a push of a thousand commits has three million."""
IN_FLIGHT_MOST = 3 * BODY_MOST
"""Bytes of all bodies that are being read."""
BODY_S = 10.0
"""Seconds in which a body must be there. Forges wait five to ten for the answer."""
SOURCES_MOST = 1_024


class Bucket:
    """Allows `rate` things a second, and `burst` of them at once. The clock is an argument."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = burst, 0.0

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self.burst, self._left + max(now - self._at, 0.0) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Bounds:
    """Bounds deliveries by source and in all, and the bytes that they hold meanwhile.

    :param monotonic: gives seconds.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        source: tuple[float, float] = (60, 180),
        whole: tuple[float, float] = (200, 600),
    ) -> None:
        self._monotonic, self._source, self._lock = monotonic, source, threading.Lock()
        self._whole = Bucket(*whole)
        self._sources: OrderedDict[str, Bucket] = OrderedDict()
        self._bytes = 0

    def admit(self, source: str) -> bool:
        """Tell whether another delivery of this source is taken now."""
        with self._lock:
            now = self._monotonic()
            bucket = self._sources.get(source)
            if bucket is None:
                bucket = self._sources[source] = Bucket(*self._source)
                if len(self._sources) > SOURCES_MOST:
                    self._sources.popitem(last=False)
            self._sources.move_to_end(source)
            return bucket.take(now) and self._whole.take(now)

    @contextmanager
    def room(self, size: int) -> Iterator[bool]:
        """Keep room for a body while it is read and looked at; gives whether there is any."""
        with self._lock:
            fits = self._bytes + size <= IN_FLIGHT_MOST
            self._bytes += size if fits else 0
        try:
            yield fits
        finally:
            with self._lock:
                self._bytes -= size if fits else 0
