"""Use cases of channels: add, list, change, remove, try; what they were told. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from flowbuild.core.addresses import email_addresses, webhook_url
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.core.giturl import Policy
from flowbuild.core.ids import CHANNEL_NAME
from flowbuild.core.notifying import News, NewsKind, Rule
from flowbuild.core.plain import required
from flowbuild.core.quiet import check_rule
from flowbuild.senders.webhook import new_secret
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.dispatching import DISPATCH, ChannelKind, sealed_about
from flowbuild.services.ids import id_after, new_id
from flowbuild.services.projects import Sealer
from flowbuild.services.signals import Signals
from flowbuild.spec.words import did_you_mean, shown
from flowbuild.store.channels import ChannelOwner, ChannelRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.dispatches import TEST, WAITING, DispatchRow

MOST = 50  # channels of one project or person
MOST_PATTERNS, LONGEST_PATTERN = 50, 256
LONGEST_ROOM = 255  # characters


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """What is to be different about a channel; None leaves it. `renew`: a new secret of a webhook."""

    target: str | None = None
    rule: Rule | None = None
    disabled: bool | None = None
    renew: bool | None = None


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel that is wanted. `target`: see `store.channels.ChannelRow`."""

    name: str
    kind: str
    target: str = ""
    rule: Rule = field(default_factory=Rule)


class ChannelService:
    """The channels of projects and persons. `policy`: which hosts webhooks may lead to; `no_mail`: why none is sent, if none is."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        policy: Policy,
        signals: Signals,
        clock: Clock,
        no_mail: str = "",
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._policy = policy
        self._no_mail = no_mail
        self._signals = signals
        self._clock = clock

    def add(self, actor: Actor, owner: ChannelOwner, wanted: NewChannel) -> tuple[ChannelRow, str]:
        """Add a channel; return it and, of a webhook, its secret, which is told this once.

        Raises InvalidRequest, NotFound, Conflict.
        """
        kind, name = _kind(wanted.kind), wanted.name
        if not CHANNEL_NAME.fullmatch(name):
            hint = "up to 64 letters, digits, `.`, `-` and `_`"
            raise InvalidRequest(f"{shown(name)} is not a name of a channel", hint=hint, about="name")
        _check_rule(wanted.rule, owner)
        now = self._clock()
        with self._database.write() as tx:
            row = ChannelRow(
                id=new_id(now),
                name=name,
                kind=kind,
                target=self._target(tx, owner, kind, wanted.target),
                created_by=actor.name,
                created_at=now,
                project_id=tx.projects.get(owner.project).id if owner.project else None,
                user_id=owner.user_id or None,
                rule=wanted.rule,
                project=owner.project,
            )
            if kind is ChannelKind.EMAIL and self._no_mail:
                raise InvalidRequest("this server sends no e-mail", hint=self._no_mail, about="kind")
            row, secret = self._sealed(row) if kind is ChannelKind.WEBHOOK else (row, "")
            if len(tx.channels.of(owner)) >= MOST:
                raise Conflict(f"there are {MOST} channels already", hint="remove one first")
            if not tx.channels.add(row):
                raise Conflict(f"there is a channel {name} already", hint="choose another name, or remove it first")
            self._note(tx, actor, "channel.add", owner, name, kind=str(kind))
        return row, secret

    def of(self, owner: ChannelOwner) -> Sequence[ChannelRow]:
        """Return the channels of a project or a person, by name."""
        with self._database.read() as tx:
            return tx.channels.of(owner)

    def get(self, owner: ChannelOwner, name: str) -> ChannelRow:
        """Return a channel. Raises NotFound."""
        with self._database.read() as tx:
            return _find(tx, owner, name)

    def names(self, project: str) -> frozenset[str]:
        """Return the names of the channels of a project: those that its pipeline files may name."""
        return frozenset(row.name for row in self.of(ChannelOwner(project=project)))

    def change(self, actor: Actor, owner: ChannelOwner, name: str, change: ChannelChange) -> tuple[ChannelRow, str]:
        """Change a channel; return it and its secret when that is new. What waits for one that is disabled is given up.

        Raises NotFound, InvalidRequest.
        """
        if change.rule is not None:
            _check_rule(change.rule, owner)
        secret, now = "", self._clock()
        with self._database.write() as tx:
            row = _find(tx, owner, name)
            if change.target is not None:
                row = replace(row, target=self._target(tx, owner, ChannelKind(row.kind), change.target))
            if change.rule is not None:
                row = replace(row, rule=change.rule)
            if change.disabled is not None and change.disabled is (row.disabled_at is None):
                row = replace(row, disabled_at=now if change.disabled else None)
                if change.disabled:
                    tx.dispatches.give_up(row.id, "the channel was disabled")
            if change.renew:
                if row.kind != ChannelKind.WEBHOOK:
                    raise InvalidRequest("only webhooks have a secret", about="secret")
                row, secret = self._sealed(row)
            tx.channels.change(row)
            changed = sorted(each.name for each in fields(change) if getattr(change, each.name) is not None)
            self._note(tx, actor, "channel.change", owner, name, changed=changed)
        return row, secret

    def remove(self, actor: Actor, owner: ChannelOwner, name: str) -> None:
        """Remove a channel, with what it was told and what waits for it. Raises NotFound."""
        with self._database.write() as tx:
            tx.channels.remove(_find(tx, owner, name).id)
            self._note(tx, actor, "channel.remove", owner, name)

    def test(self, actor: Actor, owner: ChannelOwner, name: str) -> str:
        """Send something to a channel at once, whatever its rule says; return the id in its log. Raises NotFound, Conflict."""
        now = self._clock()
        with self._database.write() as tx:
            row = _find(tx, owner, name)
            if row.disabled_at is not None:
                raise Conflict(f"the channel {name} is disabled", hint="enable it first")
            message = f"{actor.name} tries the channel {name}: messages arrive here."
            news = News(NewsKind.SUCCEEDED, now, owner.project, message=message, actor=actor.name)
            identifier = new_id(now)
            about = tx.dispatches.message(new_id(now), row.id, f"{TEST}{identifier}")
            tx.dispatches.add(DispatchRow(identifier, about, news, now, now))
            self._note(tx, actor, "channel.test", owner, name)
        self._signals.notify(DISPATCH)
        return identifier

    def page(self, owner: ChannelOwner, name: str, before: str | None, limit: int) -> Sequence[DispatchRow]:
        """Return what a channel was told, and is to be told, the newest first. Raises NotFound, InvalidRequest."""
        if before is not None and not before.isprintable():
            raise InvalidRequest("the cursor is not one of ours", hint="take `next` of the page before as it is")
        with self._database.read() as tx:
            return tx.dispatches.page(_find(tx, owner, name).id, before, limit)

    def again(self, actor: Actor, owner: ChannelOwner, name: str, dispatch: str) -> str:
        """Send once more what was sent, or given up; return the id of the new one in the log. Raises NotFound, Conflict."""
        now = self._clock()
        with self._database.write() as tx:
            channel, row = _find(tx, owner, name), tx.dispatches.get(dispatch)
            if row is None or row.channel != channel.id:
                raise NotFound(f"the channel {name} was told nothing with the id {shown(dispatch)}")
            if row.state == WAITING:
                raise Conflict("it is still to be sent", hint="it is tried again by itself")
            if channel.disabled_at is not None:
                raise Conflict(f"the channel {name} is disabled", hint="enable it first")
            last, _ = tx.dispatches.last(row.message)
            new = DispatchRow(id_after(last, now), row.message, row.news, now, now)
            tx.dispatches.add(new)
            self._note(tx, actor, "channel.again", owner, name, dispatch=dispatch)
        self._signals.notify(DISPATCH)
        return new.id

    def _sealed(self, row: ChannelRow) -> tuple[ChannelRow, str]:
        secret = new_secret()
        return replace(row, sealed_secret=self._sealer.seal(secret, *sealed_about(row))), secret

    def _target(self, tx: Transaction, owner: ChannelOwner, kind: ChannelKind, target: str) -> str:
        """Return where a channel leads. A person is reached at their own addresses only, or by a webhook of theirs."""
        if kind is ChannelKind.WEBHOOK:
            return webhook_url(target, self._policy)
        if owner.project:
            if kind is ChannelKind.EMAIL:
                return email_addresses(target)
            return required("the room", target, LONGEST_ROOM, about="target")
        if target.strip() and (kind is not ChannelKind.EMAIL or target.strip() != tx.users.get(owner.user_id).email):
            hint = "leave it empty: it is the address of the account, or a direct message of the bot"
            raise InvalidRequest("a personal channel leads to yourself", hint=hint, about="target")
        return ""

    def _note(
        self, tx: Transaction, actor: Actor, action: str, owner: ChannelOwner, name: str, **detail: object
    ) -> None:
        note(tx, self._clock(), actor, action, f"channel:{name}", project=owner.project, detail=detail)


def _kind(kind: str) -> ChannelKind:
    try:
        return ChannelKind(kind)
    except ValueError:
        hint = did_you_mean(kind, ChannelKind) or f"there are {', '.join(ChannelKind)}"
        raise InvalidRequest(f"{shown(kind)} is no kind of channel", hint=hint, about="kind") from None


def _check_rule(rule: Rule, owner: ChannelOwner) -> None:
    check_rule(rule)
    for name in ("pipelines", "branches"):
        patterns = getattr(rule, name)
        if len(patterns) > MOST_PATTERNS or any(not 0 < len(each) <= LONGEST_PATTERN for each in patterns):
            message = f"up to {MOST_PATTERNS} patterns of up to {LONGEST_PATTERN} characters"
            raise InvalidRequest(f"{name}: {message}", about=f"rule.{name}")
    if rule.mine and owner.project:
        hint = "persons have channels of their own: flow channels add without a project"
        raise InvalidRequest("`mine` is for the channels of persons", hint=hint, about="rule.mine")


def _find(tx: Transaction, owner: ChannelOwner, name: str) -> ChannelRow:
    row = tx.channels.find(owner, name) if CHANNEL_NAME.fullmatch(name) else None  # PostgreSQL: no NUL
    if row is None:
        known = [each.name for each in tx.channels.of(owner)]
        raise NotFound(f"there is no channel {shown(name)}", hint=did_you_mean(name, known), about="name")
    return row
