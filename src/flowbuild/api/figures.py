"""The figures of a server for Prometheus: what waits and runs, as the database has it when asked, and requests as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as render
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowbuild.api.limits import App, Message, Receive, Scope, Send
from flowbuild.services.decisions import Clock
from flowbuild.store.database import Database

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class _Work(Collector):
    """What the database says now."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing: a registry asks for names before there is a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures. Blocking."""
        with self._database.read() as tx:
            runs, attempts = tx.figures.open_runs(), tx.figures.open_attempts()
            oldest, effects = tx.figures.oldest_queued_at(), tx.figures.effects()
        yield _by_state("flow_runs_open", "Runs that are not final", runs)
        yield _by_state("flow_attempts_open", "Attempts that have not ended", attempts)
        waits = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        yield GaugeMetricFamily("flow_queue_oldest_seconds", "How long the longest waits for a runner", value=waits)
        yield GaugeMetricFamily(
            "flow_effects_pending", "Effects that are decided and not yet carried out", value=effects
        )


class Measures:
    """The registry of one server. `app` counts the requests of an application."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(_Work(database, clock))
        self._seconds = Histogram(
            "flow_http_request_seconds",
            "Time until the answer began",
            ("method", "route"),
            buckets=QUICK,
            registry=self._registry,
        )
        self._answers = Counter("flow_http_answers", "Answers", ("method", "route", "status"), registry=self._registry)

    def text(self) -> bytes:
        """Return all figures in the text format. Blocking."""
        return render(self._registry)

    def app(self, app: App) -> App:
        """Return the application with its requests counted, by route and not by path: there is no end of paths."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            begun = time.perf_counter()

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "none")
                    method = scope["method"] if scope["method"] in METHODS else "other"
                    self._seconds.labels(method, route).observe(time.perf_counter() - begun)
                    self._answers.labels(method, route, str(message["status"])).inc()
                await send(message)

            await app(scope, receive, watched)

        return counted


def _by_state(name: str, words: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
