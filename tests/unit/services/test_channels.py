"""Channels of projects and persons: what can be set, what is refused, what is noted."""

import base64

import pytest

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.core.giturl import Policy
from flowbuild.core.notifying import NewsKind, Quiet, Rule
from flowbuild.services import channels
from flowbuild.services.audit import Actor
from flowbuild.services.channels import ChannelChange, ChannelService, NewChannel
from flowbuild.services.dispatching import ChannelKind
from flowbuild.store.channels import ChannelOwner
from flowbuild.testing.newsroom import OF_PROJECT, PROJECT, Newsroom
from flowbuild.testing.triggers import PlainSealer

ANN = Actor("ann", "10.0.0.1", "session:x")
URL = "https://hooks.example.org/T0/secret"


@pytest.fixture
def room(tmp_path):
    made = Newsroom(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def service(room):
    return room.channels


def wanted(name="team", kind="webhook", target=URL, **rule):
    return NewChannel(name, kind, target, Rule(**rule))


def noted(room):
    with room.database.read() as tx:
        return [(row.action, row.object, row.actor, row.project) for row in tx.audit.page(before=None, limit=50)][::-1]


class TestAdd:
    def test_a_webhook_has_a_secret_that_is_told_once(self, room, service):
        row, secret = service.add(ANN, OF_PROJECT, wanted())
        assert (row.name, row.kind, row.target, row.created_by) == ("team", "webhook", URL, "ann")
        assert len(secret) >= 32
        assert secret not in row.sealed_secret.partition("\0")[0]
        assert service.of(OF_PROJECT)[0].sealed_secret == row.sealed_secret
        assert noted(room) == [("channel.add", "channel:team", "ann", PROJECT)]
        with room.database.read() as tx:
            assert "secret" not in str([entry.detail for entry in tx.audit.page(before=None, limit=9)])

    def test_a_secret_is_one_of_standard_webhooks(self, service):
        _, secret = service.add(ANN, OF_PROJECT, wanted())
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32

    def test_without_a_mail_server_there_is_no_channel_for_e_mail(self, room):
        service = ChannelService(
            database=room.database,
            sealer=PlainSealer(),
            policy=Policy(),
            signals=room.signals,
            clock=room.clock,
            no_mail="set this and that",
        )
        with pytest.raises(InvalidRequest, match="sends no e-mail") as caught:
            service.add(ANN, OF_PROJECT, wanted(kind="email", target="a@b.org"))
        assert (caught.value.hint, caught.value.about) == ("set this and that", "kind")
        assert service.of(OF_PROJECT) == []
        service.add(ANN, OF_PROJECT, wanted())

    @pytest.mark.parametrize(
        ("kind", "target"), [("email", "a@b.org"), ("matrix", "!r:x"), ("slack", "C1"), ("telegram", "-1")]
    )
    def test_others_have_none(self, service, kind, target):
        row, secret = service.add(ANN, OF_PROJECT, wanted(kind=kind, target=target))
        assert (row.target, row.sealed_secret, secret) == (target, "", "")

    @pytest.mark.parametrize(
        ("order", "about"),
        [
            (wanted(name=""), "name"),
            (wanted(name="a b"), "name"),
            (wanted(name="x\0"), "name"),
            (wanted(kind="mail"), "kind"),
            (wanted(target="http://example.org"), "target"),
            (wanted(kind="email", target="nobody"), "target"),
            (wanted(kind="matrix", target=" "), "target"),
            (wanted(kind="matrix", target="a\nb"), "target"),
            (wanted(kind="matrix", target="x" * 300), "target"),
            (wanted(digest="often"), "rule.digest"),
            (wanted(quiet=Quiet("1", "2")), "rule.quiet.begin"),
            (wanted(mine=True), "rule.mine"),
            (wanted(branches=[""]), "rule.branches"),
            (wanted(pipelines=["x"] * 51), "rule.pipelines"),
        ],
    )
    def test_what_is_refused(self, room, service, order, about):
        with pytest.raises(InvalidRequest) as caught:
            service.add(ANN, OF_PROJECT, order)
        assert caught.value.about == about
        assert service.of(OF_PROJECT) == []
        assert noted(room) == []

    def test_what_was_probably_meant(self, service):
        with pytest.raises(InvalidRequest) as caught:
            service.add(ANN, OF_PROJECT, wanted(kind="emial"))
        assert caught.value.hint == "did you mean `email`?"

    def test_names_are_used_once_and_there_are_not_too_many(self, service, monkeypatch):
        service.add(ANN, OF_PROJECT, wanted())
        with pytest.raises(Conflict, match="already"):
            service.add(ANN, OF_PROJECT, wanted())
        monkeypatch.setattr(channels, "MOST", 1)
        with pytest.raises(Conflict, match="1 channels"):
            service.add(ANN, OF_PROJECT, wanted("other"))

    def test_of_no_project(self, service):
        with pytest.raises(NotFound):
            service.add(ANN, ChannelOwner(project="other"), wanted())


class TestPersons:
    def test_a_channel_leads_to_oneself(self, room, service):
        ann = room.person("ann")
        for kind in ("email", "matrix"):
            row, _ = service.add(ANN, ann, wanted(kind, kind, "", mine=True))
            assert row.target == ""
            with pytest.raises(InvalidRequest, match="yourself"):
                service.add(ANN, ann, wanted("x", kind, "bob@example.org"))
        row, secret = service.add(ANN, ann, wanted())
        assert (row.target, bool(secret)) == (URL, True)
        assert [each.name for each in service.of(ann)] == ["email", "matrix", "team"]
        assert service.of(room.person("bob")) == service.of(OF_PROJECT) == []

    def test_nobody_gets_at_those_of_others(self, room, service):
        ann, bob = room.person("ann"), room.person("bob")
        service.add(ANN, ann, wanted())
        test = service.test(ANN, ann, "team")
        service.add(ANN, bob, wanted("mine"))
        calls = (
            lambda: service.change(ANN, bob, "team", ChannelChange(disabled=True)),
            lambda: service.remove(ANN, bob, "team"),
            lambda: service.test(ANN, bob, "team"),
            lambda: service.page(bob, "team", None, 9),
            lambda: service.again(ANN, bob, "team", test),
            lambda: service.again(ANN, bob, "mine", test),
        )
        for call in calls:
            with pytest.raises(NotFound):
                call()
        assert len(service.of(ann)) == 1


class TestChange:
    def test_each_part(self, room, service):
        old, secret = service.add(ANN, OF_PROJECT, wanted())
        row, told = service.change(ANN, OF_PROJECT, "team", ChannelChange(target="https://other.example/x"))
        assert (row.target, told, row.sealed_secret) == ("https://other.example/x", "", old.sealed_secret)
        row, _ = service.change(ANN, OF_PROJECT, "team", ChannelChange(rule=Rule(on=[NewsKind.STARTED])))
        assert list(service.of(OF_PROJECT)[0].rule.on) == ["started"]
        row, new = service.change(ANN, OF_PROJECT, "team", ChannelChange(renew=True))
        assert new not in ("", secret)
        assert noted(room)[-1] == ("channel.change", "channel:team", "ann", PROJECT)

    def test_what_is_refused_changes_nothing(self, service):
        service.add(ANN, OF_PROJECT, wanted("mail", "email", "a@b.org"))
        before = service.of(OF_PROJECT)
        for change in (
            ChannelChange(target="x", disabled=True),
            ChannelChange(rule=Rule(digest="x"), disabled=True),
            ChannelChange(renew=True, disabled=True),
        ):
            with pytest.raises(InvalidRequest):
                service.change(ANN, OF_PROJECT, "mail", change)
        assert service.of(OF_PROJECT) == before
        with pytest.raises(NotFound) as caught:
            service.change(ANN, OF_PROJECT, "mial", ChannelChange(disabled=True))
        assert caught.value.hint == "did you mean `mail`?"

    def test_what_waits_for_a_disabled_one_is_given_up(self, room, service):
        room.channel("team")
        room.ran()
        row, _ = service.change(ANN, OF_PROJECT, "team", ChannelChange(disabled=True))
        assert row.disabled_at == room.clock()
        assert [(each.state, each.error) for each in room.log("team")] == [("failed", "the channel was disabled")]
        assert room.dispatches.due(list(ChannelKind), 9) == ([], None)
        with pytest.raises(Conflict, match="disabled"):
            service.test(ANN, OF_PROJECT, "team")
        with pytest.raises(Conflict, match="disabled"):
            service.again(ANN, OF_PROJECT, "team", room.log("team")[0].id)
        row, _ = service.change(ANN, OF_PROJECT, "team", ChannelChange(disabled=False))
        assert row.disabled_at is None
        room.ran(branch="other")
        assert [each.state for each in room.log("team")] == ["failed", "waiting"]

    def test_removed(self, room, service):
        room.channel("team")
        room.ran()
        service.remove(ANN, OF_PROJECT, "team")
        assert service.of(OF_PROJECT) == []
        assert room.dispatches.due(list(ChannelKind), 9) == ([], None)
        assert noted(room)[-1][:2] == ("channel.remove", "channel:team")


class TestTrying:
    def test_a_test_is_sent_at_once_whatever_the_rule_says(self, room, service):
        room.channel("team", Rule(on=[], quiet=Quiet("00:00", "23:59"), digest="hourly"))
        identifier = service.test(ANN, OF_PROJECT, "team")
        (parcel,), _ = room.dispatches.due([ChannelKind.MATRIX], 9)
        assert (parcel.id, parcel.test, parcel.digest) == (identifier, True, False)
        assert "ann tries the channel team" in parcel.items[0].news.message
        service.test(ANN, OF_PROJECT, "team")
        assert len(room.log("team")) == 2

    def test_again(self, room, service):
        room.channel("team")
        room.ran()
        (row,) = room.log("team")
        with pytest.raises(Conflict, match="still to be sent"):
            service.again(ANN, OF_PROJECT, "team", row.id)
        (parcel,), _ = room.dispatches.due([ChannelKind.MATRIX], 9)
        room.dispatches.failed(parcel.id, "no", lasting=True)
        new = service.again(ANN, OF_PROJECT, "team", row.id)
        (parcel,), _ = room.dispatches.due([ChannelKind.MATRIX], 9)
        assert (parcel.id, parcel.items[0].news) == (new, row.news)
        assert new > row.id
        assert [each.state for each in room.log("team")] == ["failed", "waiting"]
        room.channel("other")
        for name, identifier in (("team", "0" * 26), ("other", row.id)):
            with pytest.raises(NotFound):
                service.again(ANN, OF_PROJECT, name, identifier)

    def test_pages(self, room, service):
        room.channel("team", Rule(on=[NewsKind.STARTED]))
        for _ in range(5):
            room.ran()
            room.clock.pass_(1)
        first = service.page(OF_PROJECT, "team", None, 2)
        rest = service.page(OF_PROJECT, "team", first[-1].id, 9)
        assert [row.news.number for row in (*first, *rest)] == [5, 4, 3, 2, 1]
        with pytest.raises(InvalidRequest, match="cursor"):
            service.page(OF_PROJECT, "team", "a\0b", 9)
