"""Runners: how they come in, what they are told to do, how they go. Blocking: call from threads.

The runners inside the servers over a database are one in lists, and for whoever drains it. A runner on another machine registers once, with a code that an admin made, and gets a key of its own. Whoever reads the database finds
neither: both are kept as SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from flowbuild.auth.limits import LoginLimits
from flowbuild.auth.tokens import TokenKind, fingerprint, new_token
from flowbuild.client.runner import LEASE_SECONDS, Facts, MachineLoad
from flowbuild.client.wire import Registered
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from flowbuild.core.ids import EMBEDDED
from flowbuild.core.placement import Machine
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import LEASES, ORDERS, QUEUE, Clock
from flowbuild.services.ids import new_id
from flowbuild.services.joining import is_join_token, require_free
from flowbuild.services.news import runner_topic
from flowbuild.services.overlays import LEFTOVERS
from flowbuild.services.placing import Standing
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runners import RunnerRow

CODE_SECONDS = 600.0  # a code is for somebody who types it in now
CAPACITY_MAX = 256
LABELS_MAX = 32
ROLL = "roll"  # topic: a runner came, or went
LABEL_LENGTH = 128  # characters, of names and of values
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A code that registers one runner until `expires_at`, in seconds since the epoch."""

    code: str
    expires_at: float


class Registration:
    """The runners of a server.

    `inside` tells how many attempts may run at once in servers, and in how many of them; `standing` what the cluster says of the
    machine of a runner; `machines` all of them as placement sees them; `load` how loaded the machine of this server is.
    With `join_token`, if there is one, machines register by themselves (see `services.joining`).
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        clock: Clock,
        inside: Callable[[], tuple[int, int]] = lambda: (0, 0),
        *,
        standing: Callable[[RunnerRow], Standing | None] = lambda _row: None,
        machines: Callable[[Transaction, float], Mapping[str, Machine]] = lambda _tx, _now: {},
        load: Callable[[], MachineLoad] = MachineLoad,
        join_token: str = "",
    ) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._inside = inside
        self._standing = standing
        self._machines = machines
        self._load = load
        self._join_token = join_token
        self._limits = LoginLimits(clock)

    def invite(self, by: Actor) -> Invitation:
        """Make a code for a new runner."""
        now, code = self._clock(), new_token(TokenKind.CODE)
        with self._database.write() as tx:
            tx.runners.add_code(fingerprint(code), by=by.name, now=now, expires_at=now + CODE_SECONDS)
            note(tx, now, by, "runner.invite", "")
        return Invitation(code, now + CODE_SECONDS)

    def register(
        self, code: str, name: str, *, capacity: int, labels: Mapping[str, str], facts: Facts, address: str
    ) -> Registered:
        """Let a runner in that has a code or the join token.

        Raises Unauthenticated, RateLimited who tried others too often, InvalidRequest, Conflict for a taken name.
        A code is used up by a good registration only. Who joins under the name of a runner that is being drained is drained.
        """
        _check(name, capacity, labels, facts)
        self._limits.attempt(address, name)
        now, key, joins = self._clock(), new_token(TokenKind.RUNNER), is_join_token(code, self._join_token)
        with self._database.write() as tx:
            if not joins and not tx.runners.use_code(fingerprint(code), now):
                raise Unauthenticated(
                    "the code is not known, used up or over", hint="an admin makes a new one: flow runners add"
                )
            present = tx.runners.by_name(name)
            self._limits.succeeded(address, name)
            heard = present is not None and self.is_heard(present)
            require_free(present, joins=joins, heard=heard, facts=facts)
            state = present.state if joins and present is not None else "active"
            row = RunnerRow(new_id(now), name, fingerprint(key), capacity, state, now, dict(labels), asdict(facts))
            tx.runners.add(row)
            note(
                tx,
                now,
                Actor(f"runner {name}", address),
                "runner.register",
                name,
                detail={"replaces": present is not None, "by": "join token" if joins else "code"},
            )
        self._signals.notify(runner_topic(name))
        return Registered(name, key)

    def embed(self, capacity: int, facts: Facts) -> None:
        """Let the runner inside this server be one of them; one that was drained stays so."""
        now = self._clock()
        with self._database.write() as tx:
            tx.runners.embed(new_id(now), now, capacity=capacity, facts=asdict(facts))
        self._signals.notify(runner_topic(EMBEDDED))

    def hello(self, runner: str, *, capacity: int, facts: Facts) -> None:
        """Keep what a runner, NAME/LIFE, says of itself at the start of a life."""
        name, _, life = runner.partition("/")
        _check(name, capacity, {}, facts)
        with self._database.write() as tx:
            tx.runners.describe(name, life=life, capacity=capacity, facts=asdict(facts))
            tx.runners.seen(name, self._clock())
        self._signals.notify(ROLL, runner_topic(name))

    def require_newest(self, runner: str) -> None:
        """Raise Unauthenticated unless a runner, NAME/LIFE, is in its latest life.

        Two programs with one key, as on the copy of a machine, would take each other's attempts away for ever.
        """
        name, _, life = runner.partition("/")
        with self._database.read() as tx:
            row = tx.runners.by_name(name)
        if row is not None and row.life not in ("", life):
            raise Unauthenticated(
                f"another program has begun as runner {name}",
                hint="each machine needs a key of its own: flow runners add",
            )

    def heard(self, name: str, load: MachineLoad | None = None) -> bool:
        """Remember that a runner lives; return whether it is to end when it has no work left."""
        with self._database.write() as tx:
            row = tx.runners.by_name(name)
            tx.runners.seen(name, self._clock(), None if load is None else asdict(load))
        if row is None:
            return True
        if not self.is_heard(row):
            self._signals.notify(ROLL, runner_topic(name))
        standing = self._standing(row)
        return row.state in ("draining", "revoked") or (standing is not None and standing.draining)

    def runners(self) -> Sequence[RunnerRow]:
        """Return all runners by name, those that were revoked, too; those inside servers as one, if there are any."""
        with self._database.read() as tx:
            rows = tx.runners.all()
        places, servers = self._inside()
        rows = [row for row in rows if servers or not row.embedded]
        now, load = self._clock(), asdict(self._load())
        return [replace(row, capacity=places, seen_at=now, load=load) if row.embedded else row for row in rows]

    def machines(self) -> Mapping[str, Machine]:
        """Return the runners that were not revoked as placement sees them, by name."""
        with self._database.read() as tx:
            return self._machines(tx, self._clock())

    def busy(self) -> Mapping[str, int]:
        """Return how many attempts each runner has, by its name."""
        with self._database.read() as tx:
            return tx.work.busy()

    def is_heard(self, row: RunnerRow) -> bool:
        """Whether a runner was heard of lately, so that it may be counted on."""
        return row.state != "revoked" and (row.seen_at or 0.0) > self._clock() - LEASE_SECONDS

    def heard_until(self) -> Mapping[str, float]:
        """Return the runners elsewhere that may be counted on, each with the time from which on it may not if it stays silent."""
        rows = [row for row in self.runners() if self.is_heard(row) and not row.embedded]
        return {row.name: (row.seen_at or 0.0) + LEASE_SECONDS for row in rows}

    def cordon(self, name: str, by: Actor) -> None:
        """Give a runner no more work; it goes on with what it has, and stays. Raises NotFound, Conflict."""
        self._change(name, "cordoned", "runner.cordon", by)

    def drain(self, name: str, by: Actor) -> None:
        """Give a runner no more work; its program ends when it has none left. Raises NotFound, Conflict."""
        self._change(name, "draining", "runner.drain", by)

    def activate(self, name: str, by: Actor) -> None:
        """Give a runner work again that got none. Raises NotFound, Conflict."""
        self._change(name, "active", "runner.activate", by)

    def revoke(self, name: str, by: Actor) -> None:
        """Let a runner never in again: its key opens nothing from now on, its attempts are lost. Raises NotFound, Conflict."""
        self._change(name, "revoked", "runner.revoke", by)
        self._signals.notify(LEASES, LEFTOVERS, ROLL)

    def _change(self, name: str, state: str, action: str, by: Actor) -> None:
        with self._database.write() as tx:
            row = tx.runners.by_name(name)
            if row is None:
                raise NotFound(f"there is no runner {name!r}")
            if row.embedded and state == "revoked":
                raise inside_servers(name)
            if row.state == "revoked" and state != "revoked":
                raise Conflict(f"runner {name!r} was revoked", hint="register it anew")
            if row.state != state:
                tx.runners.set_state(name, state)
                note(tx, self._clock(), by, action, name)
            if state == "revoked":
                tx.attempts.let_run_out(name)
                tx.leftovers.forget_all(name)
        self._signals.notify(QUEUE, ORDERS, runner_topic(name))


def inside_servers(name: str) -> Conflict:
    """Return the error for what is done to keys when the runner inside a server, which has none, was named."""
    hint = "FLOW_RUNNER=false starts a server without one; flow runners drain lets it get no more work"
    return Conflict(f"the runner {name!r} is inside the server and has no key", hint=hint)


def _check(name: str, capacity: int, labels: Mapping[str, str], facts: Facts) -> None:
    if not _NAME.fullmatch(name) or name == EMBEDDED:
        raise InvalidRequest(
            f"{name!r} cannot be the name of a runner",
            hint=f"at most 40 of a-z, 0-9, '.', '_' and '-', a letter or digit first; not {EMBEDDED!r}",
        )
    if not 1 <= capacity <= CAPACITY_MAX:
        raise InvalidRequest(f"a capacity of {capacity} attempts", hint=f"1 to {CAPACITY_MAX}")
    words = [*_words(labels), *_words(asdict(facts))]
    lengths = (len(labels), len(facts.engine_labels), len(facts.generic))
    if max(lengths) > LABELS_MAX or any(len(word) > LABEL_LENGTH for word in words):
        raise InvalidRequest(f"at most {LABELS_MAX} labels, and none of a runner's words longer than {LABEL_LENGTH}")


def _words(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield all that a runner says, at any depth."""
    for key, value in told.items():
        yield key
        yield from _words(value) if isinstance(value, Mapping) else [str(value)]
