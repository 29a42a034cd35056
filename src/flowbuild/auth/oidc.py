"""Login by an OpenID Connect provider: authorization code flow with PKCE, state and nonce. Blocking: call from threads.

What the provider says counts only with a good signature by a key of its own, for us, in time, and for the very attempt
that the browser began. Who it is, is `subject`: names and addresses may change or be given to others.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from flowbuild.auth.identities import Begun, Identity
from flowbuild.core.errors import InvalidRequest, ProviderError, RateLimited, Unauthenticated

TIMEOUT = 10.0  # seconds for each answer of a provider
LEEWAY = 60  # seconds by which clocks may differ
AT_ONCE = 8  # who may wait for a provider: strangers can begin logins, and must not take up all threads when it hangs
BUSY_SECONDS = 5.0  # after which somebody who found that many waiting tries again
FRESH = 3600.0  # seconds for which addresses and keys of a provider are good
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


@dataclass(frozen=True, slots=True)
class OidcClient:
    """What we are at a provider, as it was registered there. `redirect_uri` is where browsers come back to."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    scope: str = "openid profile email"


@dataclass(frozen=True, slots=True)
class _Known:
    """What a provider told about itself, and when."""

    metadata: Mapping[str, Any]
    keys: KeySet
    at: float


class OidcProvider:
    """One provider. Raises ProviderError when it does not do its part, Unauthenticated when it vouches for nobody.

    And RateLimited when too many wait for it already.
    """

    def __init__(
        self, client: OidcClient, clock: Callable[[], float], transport: httpx2.BaseTransport | None = None
    ) -> None:
        if not _confidential(client.issuer):
            raise InvalidRequest(f"the issuer {client.issuer!r} is no https address")
        self._client = client
        self._clock = clock
        self._transport = transport
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(AT_ONCE)
        self._known: _Known | None = None

    def begin(self) -> Begun:
        """Return where to send a browser that wants to log in."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        with self._waiting():
            metadata = self._look_up().metadata
        with self._talking(metadata) as http:
            url, _ = http.create_authorization_url(
                metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return Begun(str(url), state, nonce, verifier)

    def finish(self, begun: Begun, answer: Mapping[str, str]) -> Identity:
        """Return who it is. `answer`: what the browser brought back, as query parameters."""
        if not hmac.compare_digest(answer.get("state", "").encode("utf-8", "replace"), begun.state.encode()):
            raise Unauthenticated("the login was not begun in this browser", hint="begin again")
        with self._waiting():
            return self._finished(begun, answer)

    def _finished(self, begun: Begun, answer: Mapping[str, str]) -> Identity:
        metadata = self._look_up().metadata
        if answer.get("iss", metadata["issuer"]) != metadata["issuer"]:  # RFC 9207: another provider answered
            raise Unauthenticated("the answer does not come from the provider that was asked", hint="begin again")
        if "error" in answer:
            raise Unauthenticated(f"the provider refused: {answer['error'][:100]!r}")
        with self._talking(metadata) as http:
            tokens = http.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=answer.get("code", ""),
                code_verifier=begun.verifier,
            )
            claims = self._verified(str(tokens.get("id_token", "")), begun.nonce)
            if not {"preferred_username", "email"} <= claims.keys() and "userinfo_endpoint" in metadata:
                told = _document(http.get(metadata["userinfo_endpoint"]))
                if told.get("sub") != claims["sub"]:  # it would be somebody else
                    raise Unauthenticated("the provider speaks of two people")
                claims = told | claims
        return _identity(claims)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Be one of those who wait for the provider; raises RateLimited when these are many."""
        if not self._turn.acquire(blocking=False):
            raise RateLimited(
                "many people log in just now", seconds=BUSY_SECONDS, hint=f"try again in {BUSY_SECONDS:.0f} seconds"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """Return what a signed token says; raises Unauthenticated."""
        try:
            claims = self._decoded(token)
            registry = jwt.JWTClaimsRegistry(
                now=int(self._clock()),
                leeway=LEEWAY,
                iss={"essential": True, "value": self._client.issuer},
                aud={"essential": True, "value": self._client.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise Unauthenticated(f"the provider's answer cannot be trusted: {error}", hint="begin again") from error
        audience = claims["aud"]
        if claims.get("azp", self._client.client_id) != self._client.client_id or (
            isinstance(audience, list) and len(audience) > 1 and "azp" not in claims
        ):
            raise Unauthenticated("the provider's answer is for somebody else", hint="begin again")
        return claims

    def _decoded(self, token: str) -> dict[str, Any]:
        """Check the signature; a key that is not known may be a new one, so the keys are asked for again, once."""
        known = self._look_up()
        try:
            return jwt.decode(token, known.keys, algorithms=ALGORITHMS).claims
        except (InvalidKeyIdError, ValueError):
            if known.at == self._clock():
                raise
            return jwt.decode(token, self._look_up(again=True).keys, algorithms=ALGORITHMS).claims

    def _look_up(self, *, again: bool = False) -> _Known:
        """Return what the provider tells about itself, remembered for a while."""
        with self._lock:
            now = self._clock()
            if again or self._known is None or self._known.at + FRESH <= now:
                self._known = self._asked(now)
            return self._known

    def _asked(self, now: float) -> _Known:
        with self._talking({}) as http:
            address = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = _document(http.request("GET", address, withhold_token=True))
            if metadata.get("issuer") != self._client.issuer:
                raise ProviderError(
                    f"the provider calls itself {metadata.get('issuer')!r}, not {self._client.issuer!r}"
                )
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
                if not _confidential(str(metadata.get(name, "" if name != "userinfo_endpoint" else address))):
                    raise ProviderError(f"the {name} of the provider is no https address")
            keys = _document(http.request("GET", metadata["jwks_uri"], withhold_token=True))
            return _Known(metadata, KeySet.import_key_set(keys), now)  # type: ignore[arg-type]  # it checks

    @contextmanager
    def _talking(self, metadata: Mapping[str, Any]) -> Iterator[OAuth2Client]:
        """Give a client of the provider; what goes wrong there becomes an error of ours."""
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        client = OAuth2Client(
            client_id=self._client.client_id,
            client_secret=self._client.client_secret,
            token_endpoint_auth_method=method if self._client.client_secret else "none",
            scope=self._client.scope,
            redirect_uri=self._client.redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            transport=self._transport,
        )
        try:
            with client as http:
                yield http
        except OAuthError as error:
            raise Unauthenticated(f"the provider refused: {error.error}", hint="begin again") from error
        except (httpx2.HTTPError, JoseError, ValueError) as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ProviderError(f"the provider {self._client.issuer} did not answer as it should: {why}") from error


def _confidential(url: str) -> bool:
    """Whether nobody listens in on the way to an address: https, or this very machine."""
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return (
        bool(parts.hostname) and not parts.username and (parts.scheme == "https" or (parts.scheme == "http" and local))
    )


def _document(response: httpx2.Response) -> dict[str, Any]:
    response.raise_for_status()
    document = response.json()
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (an answer that is wrong, like one that is no JSON)
    return document


def _identity(claims: Mapping[str, Any]) -> Identity:
    def text(name: str) -> str:
        value = claims.get(name, "")
        return value if isinstance(value, str) and value.isprintable() and len(value) <= 256 else ""

    if not text("sub"):
        raise Unauthenticated("the provider does not say who it is")
    email = text("email") if claims.get("email_verified") is True else ""
    return Identity(text("sub"), text("preferred_username"), text("name"), email)
