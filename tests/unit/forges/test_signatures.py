"""Only who knows the secret is believed, and a replay is known as one."""

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from flowbuild.core.errors import Unauthenticated
from flowbuild.forges import KINDS, forge_of
from flowbuild.testing.payloads import FORGES, Delivery, Push

SECRET = "a secret of some length"
HEADER = {
    "github": "x-hub-signature-256",
    "gitea": "x-forgejo-signature",
    "bitbucket": "x-hub-signature",
    "gitlab": "x-gitlab-token",
    "generic": "authorization",
}
KIND = pytest.mark.parametrize("kind", KINDS)
SIGNED = pytest.mark.parametrize("kind", ["github", "gitea", "bitbucket"])


def delivery(kind, secret=SECRET):
    made = FORGES[kind](Push()) if kind in FORGES else Delivery({}, b'{"x": 1}')
    return made.signed(kind, secret)


def verify(kind, sent, secret=SECRET):
    forge_of(kind, "hook").verify(sent.headers, sent.body, secret)


@KIND
def test_who_knows_the_secret_is_believed(kind):
    verify(kind, delivery(kind))


@KIND
def test_another_secret_is_refused(kind):
    with pytest.raises(Unauthenticated):
        verify(kind, delivery(kind, "another secret"))


@KIND
@pytest.mark.parametrize(
    "value", [None, "", "sha256=", "sha256=é", "Bearer é", "\udcff", "sha1=" + "0" * 40, "Basic x"]
)
def test_whatever_stands_there_instead_is_refused(kind, value):
    sent = delivery(kind)
    headers = {name: text for name, text in sent.headers.items() if name != HEADER[kind]}
    headers.pop("x-gitea-signature", None)
    if value is not None:
        headers[HEADER[kind]] = value
    with pytest.raises(Unauthenticated):
        verify(kind, replace(sent, headers=headers))


@KIND
def test_an_empty_secret_opens_nothing(kind):
    with pytest.raises(Unauthenticated):
        verify(kind, delivery(kind, ""), "")


@SIGNED
def test_a_body_that_was_changed_is_refused(kind):
    sent = delivery(kind)
    with pytest.raises(Unauthenticated):
        verify(kind, replace(sent, body=sent.body + b" "))


def test_a_wrong_signature_of_forgejo_is_not_made_good_by_another():
    sent = delivery("gitea")
    with pytest.raises(Unauthenticated):
        verify("gitea", replace(sent, headers={**sent.headers, "x-forgejo-signature": "0" * 64}))


@SIGNED
def test_a_replay_under_another_id_is_the_same_delivery(kind):
    first, second = FORGES[kind](Push()), FORGES[kind](Push())
    assert first.headers != second.headers
    forge = forge_of(kind, "hook")
    assert forge.delivery(first.headers, first.body) == forge.delivery(second.headers, second.body)
    assert forge.delivery(first.headers, first.body) != forge.delivery(first.headers, first.body + b" ")


def test_gitlab_names_its_deliveries():
    first, second = FORGES["gitlab"](Push()), FORGES["gitlab"](Push())
    forge = forge_of("gitlab", "hook")
    assert forge.delivery(first.headers, b"1") == forge.delivery(first.headers, b"2")
    assert forge.delivery(first.headers, b"1") != forge.delivery(second.headers, b"1")
    assert forge.delivery({}, b"1") == forge.delivery({}, b"1") != forge.delivery({}, b"2")


class TestSigningTokens:
    KEY = b"0123456789abcdef"
    SECRET = "whsec_" + base64.b64encode(KEY).decode()

    def sent(self, *, key=KEY, identifier="msg_1"):
        signed = f"{identifier}.1790000000.".encode() + b"{}"
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": identifier, "webhook-timestamp": "1790000000", "webhook-signature": f"v1,{mac}"}
        return Delivery(headers, b"{}")

    def test_a_signature_over_id_and_time(self):
        verify("gitlab", self.sent(), self.SECRET)

    def test_one_of_several(self):
        sent = self.sent()
        both = {**sent.headers, "webhook-signature": "v1,AAAA " + sent.headers["webhook-signature"]}
        verify("gitlab", replace(sent, headers=both), self.SECRET)

    @pytest.mark.parametrize(
        "change",
        [{"webhook-id": "msg_2"}, {"webhook-timestamp": "1"}, {"webhook-signature": ""}, {"webhook-signature": "é"}],
    )
    def test_nothing_of_it_can_be_changed(self, change):
        sent = self.sent()
        with pytest.raises(Unauthenticated):
            verify("gitlab", replace(sent, headers={**sent.headers, **change}), self.SECRET)

    @pytest.mark.parametrize("secret", ["whsec_", "whsec_*", "whsec_" + base64.b64encode(b"other").decode()])
    def test_another_token_is_refused(self, secret):
        with pytest.raises(Unauthenticated):
            verify("gitlab", self.sent(), secret)
        with pytest.raises(Unauthenticated):  # nor is a token that is only sent along taken for a signature
            verify("gitlab", Delivery({"x-gitlab-token": secret}, b"{}"), secret)


class TestGeneric:
    def test_a_token_may_come_in_a_header_of_its_own(self):
        verify("generic", Delivery({"x-flow-token": SECRET}, b""))

    def test_a_signature_is_looked_at_before_a_token(self):
        mac = hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
        verify("generic", Delivery({"x-flow-signature-256": f"sha256={mac}"}, b"{}"))
        with pytest.raises(Unauthenticated):
            verify("generic", Delivery({"x-flow-signature-256": "sha256=0", "x-flow-token": SECRET}, b"{}"))

    def test_the_same_body_twice_is_meant_unless_it_is_signed(self):
        forge = forge_of("generic", "hook")
        assert forge.delivery({}, b"{}") == ""
        assert forge.delivery({"idempotency-key": "x"}, b"{}") == "id:x"
        assert forge.delivery({"x-flow-signature-256": "s", "idempotency-key": "x"}, b"{}").startswith("sha256:")
