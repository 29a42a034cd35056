import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from flowbuild.services.together import MOST, Together

LIMIT = 60


def test_alone():
    together = Together(lambda items: [item * 2 for item in items])
    assert [together.do(number) for number in range(3)] == [0, 2, 4]


def test_who_comes_while_work_is_done_shares_the_next_turn():
    begun, gate, batches = threading.Event(), threading.Event(), []

    def work(items):
        batches.append(len(items))
        begun.set()
        assert gate.wait(LIMIT)
        return [item * 2 for item in items]

    came = threading.Semaphore(0)

    class Waiting(list):
        def append(self, entry):
            super().append(entry)
            came.release()

    together = Together(work)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together.do, 100)
        assert begun.wait(LIMIT)
        together._waiting = Waiting()  # the first one has been taken out
        rest = [pool.submit(together.do, number) for number in range(8)]
        assert all(came.acquire(timeout=LIMIT) for _ in range(8))
        gate.set()
        assert [future.result(LIMIT) for future in (first, *rest)] == [200, *range(0, 16, 2)]
    assert batches == [1, 8]


def test_everybody_gets_their_own_answer():
    together = Together(lambda items: [str(item) for item in items])
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together.do, range(1000))) == [str(number) for number in range(1000)]


def test_more_than_fit_into_one_turn():
    batches = []
    together = Together(lambda items: batches.append(len(items)) or items)
    others = [Future() for _ in range(MOST + 5)]
    together._waiting = [(number, future) for number, future in enumerate(others)]
    assert together.do("mine") == "mine"
    assert batches == [MOST, 6]
    assert [future.result(LIMIT) for future in others] == list(range(MOST + 5))


def test_one_that_fails_does_not_fail_the_others():
    def work(items):
        if "bad" in items:
            raise ValueError("bad")
        return items

    together = Together(work)
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(together.do, "bad" if number % 7 == 3 else number) for number in range(100)]
        for number, future in enumerate(futures):
            if number % 7 == 3:
                with pytest.raises(ValueError, match="bad"):
                    future.result(LIMIT)
            else:
                assert future.result(LIMIT) == number
    assert together.do(1) == 1


def test_a_thread_that_is_ended_takes_the_others_along():
    class Killed(BaseException):
        pass

    def work(_items):
        raise Killed

    together, other = Together(work), Future()
    together._waiting = [("theirs", other)]
    with pytest.raises(Killed):
        together.do("mine")
    with pytest.raises(Killed):
        other.result(LIMIT)
