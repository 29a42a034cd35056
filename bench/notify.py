"""(p) E-mail and webhooks of a server to receivers that have bad days: what arrives, how often, and after how long.

    python -m bench.notify [--count 200] [--json FILE]

Real receivers on this machine, over SMTP and HTTP; of as many tries as there are notifications a fifth fails: the receiver says
no for now, drops the connection when it has read everything, or wants to be left alone for some seconds. Ten channels of each kind
are told one thing after another, as fast as the database stores them. Counted are notifications that never arrived (lost), and those that were taken more than once under the same id.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import time

from bench.figures import Figures

from flowbuild.store.channels import ChannelRow
from flowbuild.testing.receivers import DROP, RESET, Answer, hook_receiver, mail_server
from flowbuild.testing.telling import Telling

CHANNELS = 10
PART = 5  # one in so many of the first tries fails
HOOK_NO = (Answer(500), Answer(how=RESET), Answer(503), Answer(429, {"Retry-After": "6"}))
MAIL_NO = ("451 busy", DROP)


async def measure(home: Path, count: int) -> Figures:
    """Tell `count` things by each way."""
    figures = Figures("notify", f"(p) {count} notifications of each kind, one in {PART} of the first tries fails")
    chance = random.Random(1)
    server = await asyncio.to_thread(lambda: Telling(home, clock=time))
    async with hook_receiver() as hook, mail_server() as mail:
        bad = count // PART
        hook.answers = [HOOK_NO[n % len(HOOK_NO)] for n in range(bad)] + [Answer()] * (count - bad)
        mail.data = [MAIL_NO[n % len(MAIL_NO)] for n in range(bad)] + ["250 taken"] * (count - bad)
        chance.shuffle(hook.answers)
        chance.shuffle(mail.data)
        async with server.sending(mail):
            told = {
                kind: await _tell(server, kind, target, count)
                for kind, target in (("webhook", hook.url), ("email", "ann@example.org"))
            }
            for channels, _ in told.values():
                for channel in channels:
                    await server.settled(channel)
    _note(
        figures, "webhook", told["webhook"][1], [(each.id, each.at) for each in hook.told if each.taken], len(hook.told)
    )
    taken = [(each.id[1:].partition("@")[0], each.at) for each in mail.mails]
    _note(figures, "email", told["email"][1], taken, len(mail.seen))
    server.database.close()
    return figures


async def _tell(server: Telling, kind: str, target: str, count: int) -> tuple[list[ChannelRow], Mapping[str, float]]:
    """Tell things to channels of a kind; return these, and when each was told by its id."""
    channels = [await server.channel(kind, target, f"{kind}-{number}") for number in range(CHANNELS)]
    told = dict[str, float]()
    for number in range(count):
        at = time()
        told[await server.tell(channels[number % CHANNELS], f"run {number}")] = at
    return channels, told


def _note(figures: Figures, kind: str, told: Mapping[str, float], taken: list[tuple[str, float]], tries: int) -> None:
    first = dict(reversed(taken))
    for identifier, at in told.items():
        if identifier in first:
            figures.add(f"{kind}: told to taken", first[identifier] - at)
    figures.note(f"{kind}: told", len(told))
    figures.note(f"{kind}: tries", tries)
    figures.note(f"{kind}: delivered", len(first))
    figures.aim(f"{kind}: lost", len(told.keys() - first.keys()), aim=0)
    figures.aim(f"{kind}: taken twice", len(taken) - len(first), aim=0)
    figures.aim(f"{kind}: under an unknown id", len(first.keys() - told.keys()), aim=0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.notify", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as home:
        figures = asyncio.run(measure(Path(home), options.count))
    print(figures.table())
    if options.json is not None:
        options.json.write_text(json.dumps(figures.as_dict(), indent=1))


if __name__ == "__main__":
    main()
