"""One's own account: setting a server up, login and logout, password, logins that last."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import (
    SESSION_COOKIE,
    Acting,
    Address,
    Caller,
    OnServer,
    Public,
    Secured,
    Session,
    cookie_name,
)
from flowbuild.api.backend import Back, Backend
from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.users import UserView
from flowbuild.auth.tokens import fingerprint
from flowbuild.core.access import Action
from flowbuild.services.accounts import Browser, Login
from flowbuild.store.sessions import SessionRow

router = APIRouter(prefix="/api/v1", tags=["account"], responses=RESPONSES)
FORM_COOKIE = "flow_form_token"  # pages of ours read it and send it as a header; pages of others cannot
OWN = [Depends(OnServer(Action.TOKEN_OWN))]
Agent = Annotated[str, Header(alias="user-agent")]
Text = Annotated[str, Field(max_length=1024)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SetupState(BaseModel):
    """Whether the server waits for its first admin."""

    needed: bool


class SetupRequest(_Strict):
    """The first admin. `code`: the server printed it when it started."""

    code: Text
    name: Text
    password: Text


class LoginRequest(_Strict):
    """Who wants to come in."""

    name: Text
    password: Text


class LoginView(BaseModel):
    """A login. The cookie proves it; `form_token` has to come with every change, in the header X-Flow-Form-Token."""

    name: str
    admin: bool
    form_token: str
    expires_at: float


class AccountPatch(_Strict):
    """What people may change about themselves; null: as it is."""

    email: Text | None = None
    display_name: Text | None = None


class PasswordRequest(_Strict):
    """A new password instead of the old one."""

    old: Text
    new: Text


class SessionView(BaseModel):
    """A login that lasts, from which browser, and whether it is the one that asks."""

    id: str
    created_at: float
    used_at: float
    expires_at: float
    address: str
    agent: str
    current: bool


@router.get("/setup", dependencies=[Depends(Public())])
def setup_state(backend: Back) -> SetupState:
    """Say whether the server waits for its first admin."""
    return SetupState(needed=backend.people.accounts.setup_code() is not None)


@router.post("/setup", status_code=201, dependencies=[Depends(Public())])
def set_up(
    wanted: SetupRequest, response: Response, backend: Back, address: Address, secure: Secured, agent: Agent = ""
) -> LoginView:
    """Make the first admin, with the code that the server printed, and log them in."""
    login = backend.people.accounts.set_up(wanted.code, wanted.name, wanted.password, Browser(address, agent))
    return _logged_in(response, backend, login, secure=secure)


@router.post("/login", dependencies=[Depends(Public())])
def login(
    wanted: LoginRequest, response: Response, backend: Back, address: Address, secure: Secured, agent: Agent = ""
) -> LoginView:
    """Log in with name and password. Too many attempts have to wait (429)."""
    entered = backend.people.accounts.login(wanted.name, wanted.password, Browser(address, agent))
    return _logged_in(response, backend, entered, secure=secure)


@router.post("/logout", status_code=204, dependencies=OWN)
def logout(response: Response, backend: Back, session: Session, secure: Secured) -> None:
    """End the login that asks."""
    backend.people.accounts.logout(session)
    for name in (cookie_name(SESSION_COOKIE, secure=secure), FORM_COOKIE):
        response.delete_cookie(name, path="/", secure=secure)


@router.get("/account", dependencies=OWN)
def get_account(caller: Caller, backend: Back) -> UserView:
    """Return what the server knows about the person who asks."""
    return UserView.of(backend.people.accounts.me(caller.id))


@router.patch("/account", dependencies=OWN)
def change_account(wanted: AccountPatch, caller: Caller, actor: Acting, backend: Back) -> UserView:
    """Change what people may say about themselves."""
    changed = backend.people.accounts.change_me(actor, caller.id, email=wanted.email, display_name=wanted.display_name)
    return UserView.of(changed)


@router.put("/account/password", status_code=204, dependencies=OWN)
def change_password(wanted: PasswordRequest, caller: Caller, actor: Acting, backend: Back, session: Session) -> None:
    """Change one's password. All other logins end; API tokens stay."""
    backend.people.accounts.change_password(actor, caller.id, wanted.old, wanted.new, keep=session)


@router.get("/account/sessions", dependencies=OWN)
def list_sessions(caller: Caller, backend: Back, session: Session) -> list[SessionView]:
    """Return the logins of the person who asks, the newest first."""
    return [_shown(row, session) for row in backend.people.accounts.sessions(caller.id)]


@router.delete("/account/sessions/{session_id}", status_code=204, dependencies=OWN)
def end_session(session_id: str, caller: Caller, actor: Acting, backend: Back) -> None:
    """End one of them."""
    backend.people.accounts.end_session(actor, caller.id, session_id)


def log_in(response: Response, backend: Backend, login: Login, *, secure: bool) -> None:
    """Give a browser what proves the login. Scripts do not see the cookie, and other sites cannot make it come along."""
    age = max(0, int(login.expires_at - backend.clock()))
    proof = cookie_name(SESSION_COOKIE, secure=secure)
    for name, value, hidden in ((proof, login.cookie, True), (FORM_COOKIE, login.form_token, False)):
        response.set_cookie(name, value, max_age=age, path="/", httponly=hidden, secure=secure, samesite="lax")


def _logged_in(response: Response, backend: Backend, login: Login, *, secure: bool) -> LoginView:
    log_in(response, backend, login, secure=secure)
    user = login.user
    return LoginView(name=user.name, admin=user.admin, form_token=login.form_token, expires_at=login.expires_at)


def _shown(row: SessionRow, cookie: str) -> SessionView:
    return SessionView(
        id=row.label,
        created_at=row.created_at,
        used_at=row.used_at,
        expires_at=row.expires_at,
        address=row.address,
        agent=row.agent,
        current=row.hash == fingerprint(cookie),
    )
