"""How often a login may be tried. In memory: a restart forgets, but an attacker cannot cause one.

An attempt counts against three budgets that come back with time: of the address, of the name, of both together. A success
takes its own count back and makes the pair known: for it the budget of the name counts no more, so nobody is locked
out of their own account by strangers who try its name.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from flowbuild.core.errors import RateLimited

MOST = 10_000  # budgets that are remembered
LONGEST = 256  # characters of a name that are looked at


class Rate(NamedTuple):
    """`burst` attempts at once, and one more each `seconds`."""

    burst: int
    seconds: float


PER_ADDRESS = Rate(20, 15)
PER_NAME = Rate(30, 30)
PER_PAIR = Rate(5, 60)
_TICK = 0.001  # seconds: who waited as long as was said is not refused for a rounding


class LoginLimits:
    """Counts attempts. Safe to call from several threads; `clock` returns seconds and never goes back."""

    def __init__(self, clock: Callable[[], float], *, per_address: Rate = PER_ADDRESS) -> None:
        self._clock = clock
        self._per_address = per_address
        self._lock = threading.Lock()
        self._spent = _Recent()  # when the whole budget will be there again
        self._known = _Recent()  # when a pair logged in last

    def attempt(self, address: str, name: str) -> None:
        """Count one, before it is checked: those at the same time count, too. Raises RateLimited with the seconds to wait."""
        with self._lock:
            now = self._clock()
            after = {
                key: max(self._spent.get(key, now), now) + rate.seconds for key, rate in self._budgets(address, name)
            }
            wait = max(after[key] - rate.seconds * rate.burst - now for key, rate in self._budgets(address, name))
            if wait > _TICK:
                raise RateLimited("too many attempts", seconds=wait, hint=f"wait {int(wait) + 1} seconds")
            for key, at in after.items():
                self._spent.keep(key, at)

    def succeeded(self, address: str, name: str) -> None:
        """Take back what a good login counted, and know the pair from now on."""
        with self._lock:
            for key, rate in self._budgets(address, name):
                if key in self._spent:
                    self._spent[key] -= rate.seconds
            self._known.keep(_pair(address, name), self._clock())

    def _budgets(self, address: str, name: str) -> Iterator[tuple[Hashable, Rate]]:
        pair = _pair(address, name)
        yield (pair[0],), self._per_address
        yield pair, PER_PAIR
        if pair not in self._known:
            yield (pair[1], "of anybody", "anywhere"), PER_NAME


class _Recent(OrderedDict[Hashable, float]):
    """Remembers what it was told last."""

    def keep(self, key: Hashable, value: float) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MOST:
            self.popitem(last=False)


def _pair(address: str, name: str) -> tuple[str, str]:
    return _network(address), name[:LONGEST].casefold()


def _network(address: str) -> str:
    """Return the address; of IPv6 the /64, which is what one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)
