"""Cutting a range of addresses into subnets."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Iterator

Subnet = ipaddress.IPv4Network


def free_subnets(pool: Subnet, prefix: int, used: Iterable[Subnet], start: str) -> Iterator[Subnet]:
    """Yield the subnets of `pool` that overlap none of `used`, beginning at a place that depends on `start`.

    Different names begin at different places, so parallel claims rarely meet.
    """
    size = 1 << (pool.max_prefixlen - prefix)
    count = pool.num_addresses // size
    first = zlib.crc32(start.encode())
    taken = {
        slot
        for subnet in used
        if subnet.overlaps(pool)
        for slot in range(
            max(0, (int(subnet.network_address) - int(pool.network_address)) // size),
            min(count - 1, (int(subnet.broadcast_address) - int(pool.network_address)) // size) + 1,
        )
    }
    for offset in range(count):
        slot = (first + offset) % count
        if slot not in taken:
            yield Subnet((int(pool.network_address) + slot * size, prefix))
