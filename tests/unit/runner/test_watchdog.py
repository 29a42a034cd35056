"""The watchdog acts when nothing was heard, once, and never while it is."""

import threading

from flowbuild.runner.watchdog import Watchdog


def test_it_acts_when_nobody_says_that_all_is_well():
    acted = threading.Event()
    with Watchdog(acted.set, silence=0.01):
        assert acted.wait(60)


def test_it_does_nothing_while_somebody_does():
    acted = []
    with Watchdog(lambda: acted.append(1), silence=3600) as watchdog:
        for _ in range(100):
            watchdog.alive()
    assert acted == []


def test_it_ends_with_its_context():
    acted = []
    with Watchdog(lambda: acted.append(1), silence=3600) as watchdog:
        pass
    assert not watchdog._thread.is_alive()
    assert acted == []
