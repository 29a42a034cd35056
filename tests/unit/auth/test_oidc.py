"""Login by a provider: a real one, over HTTP, that can be made to do what it must not."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from time import time
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from flowbuild.auth.identities import Identity
from flowbuild.auth.oidc import AT_ONCE, FRESH, OidcClient, OidcProvider
from flowbuild.core.errors import FlowError, InvalidRequest, ProviderError, RateLimited, Unauthenticated
from flowbuild.testing.oidc import CLIENT_ID, CLIENT_SECRET, Provider
from flowbuild.testing.serving import serving

BACK = "https://flow.example/back"


@pytest.fixture
def now():
    return [time()]


@pytest.fixture
async def there(now):
    """The provider, listening."""
    provider = Provider(lambda: now[0])
    async with serving(provider.app()) as url:
        provider.issuer = url
        yield provider


@pytest.fixture
def ours(there, now):
    """What we know of it."""
    return OidcProvider(OidcClient(there.issuer, CLIENT_ID, CLIENT_SECRET, BACK), lambda: now[0])


async def visit(begun):
    """Go where a browser is sent; return what it brings back."""
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(begun.url)
    assert answer.headers["location"].startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def come_in(ours, **changes):
    begun = await asyncio.to_thread(ours.begin)
    answer = await visit(begun) | changes
    return await asyncio.to_thread(ours.finish, begun, answer)


async def refusal(error, ours, **changes):
    with pytest.raises(FlowError) as caught:
        await come_in(ours, **changes)
    assert type(caught.value) is error, caught.value
    return caught.value.message


async def test_who_it_is(there, ours):
    there.person = {
        "sub": "42",
        "preferred_username": "ann",
        "name": "Ann A.",
        "email": "ann@example.org",
        "email_verified": True,
    }
    assert await come_in(ours) == Identity("42", "ann", "Ann A.", "ann@example.org")
    assert "userinfo" not in there.asked


async def test_what_the_token_does_not_say_is_asked_for(there, ours):
    there.told_at_userinfo = {"preferred_username": "ann", "email": "ann@example.org", "email_verified": True}
    assert await come_in(ours) == Identity("subject-1", "ann", "", "ann@example.org")
    assert there.asked.count("userinfo") == 1


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_address_that_nobody_verified_is_none(there, ours, verified):
    there.person |= {"preferred_username": "ann", "email": "root@example.org", "email_verified": verified}
    assert (await come_in(ours)).email == ""


async def test_odd_values_are_left_out(there, ours):
    there.person |= {"preferred_username": ["ann"], "email": "a\0b", "email_verified": True, "name": "x" * 300}
    assert await come_in(ours) == Identity("subject-1")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "https://somebody.else"),
        ("iss", None),
        ("aud", "another client"),
        ("aud", []),
        ("aud", None),
        ("aud", [CLIENT_ID, "another client"]),
        ("azp", "another client"),
        ("nonce", "of another attempt"),
        ("nonce", None),
        ("exp", -61),
        ("exp", None),
        ("exp", "soon"),
        ("iat", 3600),
        ("sub", None),
        ("sub", ""),
        ("sub", 42),
        ("sub", "x" * 257),
    ],
)
async def test_a_token_that_says_anything_else_than_it_must_counts_for_nothing(there, ours, now, claim, value):
    def change(claims):
        claims.pop(claim, None)
        if value is not None:
            claims[claim] = int(now[0]) + value if claim in {"exp", "iat"} and isinstance(value, int) else value

    there.told_at_userinfo = {"preferred_username": "ann", "email": "ann@example.org"}
    there.change = change
    await refusal(Unauthenticated, ours)
    there.change = lambda _claims: None
    assert (await come_in(ours)).subject == "subject-1"  # the control


@pytest.mark.parametrize("wrong", ["unsigned", "foreign key", "public key as secret", "no token"])
async def test_a_token_without_a_good_signature_counts_for_nothing(there, ours, wrong):
    there.wrong = wrong
    assert "cannot be trusted" in await refusal(Unauthenticated, ours)


async def test_somebody_else_at_userinfo(there, ours):
    there.told_at_userinfo = {"sub": "somebody else", "email": "root@example.org"}
    assert "two people" in await refusal(Unauthenticated, ours)


@pytest.mark.parametrize(
    "changes", [{"state": "of another browser"}, {"state": ""}, {"state": "é\ud800"}, {"iss": "https://somebody.else"}]
)
async def test_an_answer_to_another_attempt(ours, changes):
    assert await refusal(Unauthenticated, ours, **changes)


async def test_codes_are_used_once_and_belong_to_one_attempt(ours):
    begun = await asyncio.to_thread(ours.begin)
    other = await asyncio.to_thread(ours.begin)
    answer = await visit(begun)
    with pytest.raises(Unauthenticated, match="invalid_grant"):  # the code of a victim, in the attempt of a thief
        await asyncio.to_thread(ours.finish, other, {**answer, "state": other.state})
    answer = await visit(begun)
    assert await asyncio.to_thread(ours.finish, begun, answer)
    with pytest.raises(Unauthenticated, match="invalid_grant"):
        await asyncio.to_thread(ours.finish, begun, answer)


async def test_the_provider_may_refuse(there, ours):
    there.wrong = "denied"
    assert "access_denied" in await refusal(Unauthenticated, ours)


async def test_we_have_to_say_who_we_are(there, now):
    ours = OidcProvider(OidcClient(there.issuer, CLIENT_ID, "a wrong secret", BACK), lambda: now[0])
    assert "invalid_client" in await refusal(Unauthenticated, ours)


@pytest.mark.parametrize("wrong", ["down", "name", "plain", "shape"])
async def test_a_provider_that_does_not_do_its_part(there, ours, wrong):
    there.wrong = wrong
    await refusal(ProviderError, ours)
    there.wrong = ""
    assert await come_in(ours)  # and later it does


async def test_nobody_there(now):
    ours = OidcProvider(OidcClient("http://127.0.0.1:1", CLIENT_ID, CLIENT_SECRET, BACK), lambda: now[0])
    assert "did not answer" in await refusal(ProviderError, ours)


@pytest.mark.parametrize(
    "issuer", ["http://provider.example", "ftp://x", "", "https://", "https://u:p@x", "https:///x"]
)
def test_only_where_nobody_listens_in(issuer):
    with pytest.raises(InvalidRequest, match="no https address"):
        OidcProvider(OidcClient(issuer, CLIENT_ID, CLIENT_SECRET, BACK), time)


async def test_keys_change(there, ours, now):
    await come_in(ours)
    await come_in(ours)
    assert there.asked.count("keys") == 1
    there.new_key()
    now[0] += 1
    await come_in(ours)
    assert there.asked.count("keys") == 2
    now[0] += FRESH
    await come_in(ours)
    assert there.asked.count("keys") == 3


def test_a_provider_that_hangs_takes_up_few_threads():
    """Everybody may begin a login; who is one too many is told so at once."""
    asked, answered = threading.Semaphore(0), threading.Event()

    def hang(_request):
        asked.release()
        assert answered.wait(60)
        return httpx2.Response(502)

    client = OidcClient("https://provider.example", CLIENT_ID, CLIENT_SECRET, "https://flow.example/back")
    provider = OidcProvider(client, time, httpx2.MockTransport(hang))
    waiting = threading.Semaphore(0)

    def begin():
        try:
            provider.begin()
        except RateLimited:
            waiting.release()
            return "busy"
        except ProviderError:
            return "down"

    with ThreadPoolExecutor(3 * AT_ONCE) as pool:
        told = [pool.submit(begin) for _ in range(3 * AT_ONCE)]
        try:
            assert asked.acquire(timeout=60)
            assert all(waiting.acquire(timeout=60) for _ in range(2 * AT_ONCE))  # while the others still wait
        finally:
            answered.set()
        outcomes = Counter(each.result() for each in told)
    assert outcomes == {"busy": 2 * AT_ONCE, "down": AT_ONCE}
    with pytest.raises(ProviderError):  # the places are free again
        provider.begin()
