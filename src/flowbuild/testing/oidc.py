"""An OpenID Connect provider for tests: an ASGI application that does what OpenID Connect Core 1.0 §3.1 says.

Everybody who comes is the person in `person`, at once and without a page. `wrong` makes it do one thing it must not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "flow", "a secret of ours, %:"
HOUR = 3600


@dataclass(slots=True)
class Grant:
    """A code that was given out, once, for one client."""

    nonce: str
    challenge: str
    redirect_uri: str


@dataclass(slots=True)
class Provider:
    """The provider; `issuer` is set when it is known where it listens. `change` has the last word on a token."""

    clock: Callable[[], float]
    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "subject-1"})
    told_at_userinfo: dict[str, Any] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], None] = lambda _claims: None
    wrong: str = ""
    keys: list[RSAKey] = field(default_factory=lambda: [_key("first")])
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, Grant] = field(default_factory=dict)
    _access: dict[str, str] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._jwks),
                Route("/userinfo", self._userinfo),
            ]
        )

    def new_key(self) -> None:
        """Sign with another key from now on; the old one is gone."""
        self.keys = [_key(f"key{len(self.asked)}")]

    async def _metadata(self, _request: Request) -> Response:
        self.asked.append("metadata")
        if self.wrong == "down":
            return Response("gateway", 502)
        document = {
            "issuer": "https://somebody.else" if self.wrong == "name" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": "http://provider.example/token" if self.wrong == "plain" else f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }
        return Response("[]") if self.wrong == "shape" else JSONResponse(document)

    async def _authorize(self, request: Request) -> Response:
        wanted = request.query_params
        assert (wanted["response_type"], wanted["client_id"]) == ("code", CLIENT_ID)  # noqa: S101 (a fake is a test)
        assert wanted["code_challenge_method"] == "S256"  # noqa: S101
        assert "openid" in wanted["scope"].split()  # noqa: S101
        code = secrets.token_urlsafe(16)
        self._codes[code] = Grant(wanted["nonce"], wanted["code_challenge"], wanted["redirect_uri"])
        back = {"code": code, "state": wanted["state"], "iss": self.issuer}
        if self.wrong == "denied":
            back = {"error": "access_denied", "state": wanted["state"]}
        return RedirectResponse(f"{wanted['redirect_uri']}?{urlencode(back)}", 303)

    async def _token(self, request: Request) -> Response:
        sent = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        grant = self._codes.pop(sent.get("code", ""), None)
        told = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if told != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return JSONResponse({"error": "invalid_client"}, 401)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        if grant is None or grant.challenge != _encoded(digest) or grant.redirect_uri != sent.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        self._access[access] = self.person["sub"]
        return JSONResponse({"access_token": access, "token_type": "Bearer", "id_token": self._signed(grant)})

    def _signed(self, grant: Grant) -> str:
        now = int(self.clock())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + HOUR, "nonce": grant.nonce}
        claims |= self.person
        self.change(claims)
        key = self.keys[0]
        header = {"alg": "RS256", "kid": key.kid}
        match self.wrong:
            case "unsigned":
                head = _encoded(json.dumps({"alg": "none"}).encode())
                return f"{head}.{_encoded(json.dumps(claims).encode())}."
            case "foreign key":
                return jwt.encode(header, claims, _key(str(key.kid)))
            case "public key as secret":
                head = _encoded(json.dumps({"alg": "HS256", "kid": key.kid}).encode())
                said = f"{head}.{_encoded(json.dumps(claims).encode())}"
                return f"{said}.{_encoded(hmac.digest(key.as_pem(private=False), said.encode(), 'sha256'))}"
            case "no token":
                return ""
        return jwt.encode(header, claims, key)

    async def _jwks(self, _request: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse(KeySet([*self.keys]).as_dict(private=False))

    async def _userinfo(self, request: Request) -> Response:
        self.asked.append("userinfo")
        subject = self._access[request.headers["authorization"].removeprefix("Bearer ")]
        return JSONResponse({"sub": subject, **self.told_at_userinfo})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})
