"""Several servers over one PostgreSQL database tell what happened: once, in its order, and each parcel is handed out to one."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowbuild.core.notifying import NewsKind, Rule
from flowbuild.core.states import Outcome
from flowbuild.services.announcing import CLAIM
from flowbuild.services.dispatching import ChannelKind
from flowbuild.testing.newsroom import Newsroom
from flowbuild.testing.store_suite import StoreBench

SERVERS, RUNS = 5, 30
ALL = Rule(on=list(NewsKind))


@pytest.fixture
def room(postgres, tmp_path):
    with postgres.lent() as url, StoreBench().database(url) as database:
        yield Newsroom(tmp_path, database)


def together(work):
    """Let all servers do something at once; return what each made."""
    begin = threading.Barrier(SERVERS)

    def each(number):
        begin.wait(60)
        return work(number)

    with ThreadPoolExecutor(SERVERS) as pool:
        return list(pool.map(each, range(SERVERS)))


def test_everything_is_told_once_and_handed_out_once(room):
    room.channel("all", ALL)
    room.channel("digest", Rule(on=[NewsKind.FINISHED], digest="hourly"))
    services = [room.announcer() for _ in range(SERVERS)]
    for number in range(RUNS):
        room.end(room.begin(branch=f"b{number % 3}"), (Outcome.FAILED, Outcome.SUCCEEDED)[number % 2])

    def expand(number):
        while (next_at := services[number].run_due()) is not None and next_at <= room.clock():
            pass

    together(expand)
    room.clock.pass_(CLAIM)
    assert room.announcing.run_due() is None
    told = [(row.news.number, str(row.news.kind)) for row in room.log("all")]
    assert len(told) == len(set(told)) == 2 * RUNS
    assert all(next(kind for each, kind in told if each == number) == "started" for number in range(1, RUNS + 1))
    assert len(room.log("digest")) == RUNS

    def send(_number):
        sent = []
        while parcels := room.dispatches.due([ChannelKind.MATRIX], 3)[0]:
            for parcel in parcels:
                sent.append((parcel.id, [(item.news.number, str(item.news.kind)) for item in parcel.items]))
                room.dispatches.sent(parcel.id)
        return sent

    room.clock.pass_(3600)
    sent = [parcel for found in together(send) for parcel in found]
    assert max(Counter(identifier for identifier, _ in sent).values()) == 1
    while parcels := room.dispatches.due([ChannelKind.MATRIX], 50)[0]:  # who looked when all was claimed went home
        for parcel in parcels:
            sent.append((parcel.id, [(item.news.number, str(item.news.kind)) for item in parcel.items]))
            room.dispatches.sent(parcel.id)
    assert {row.state for name in ("all", "digest") for row in room.log(name)} == {"sent"}
    assert sum(len(items) for _, items in sent) == 3 * RUNS
