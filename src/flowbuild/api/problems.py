"""Errors as `application/problem+json` (RFC 9457): one table says which error has which status.

`code` is stable; `detail` and `hint` are for people. Nothing of an error that we did not foresee leaves the server.
"""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from flowbuild.core import errors
from flowbuild.spec.findings import InvalidFile
from flowbuild.spec.inputs import InvalidInputs
from flowbuild.spec.words import printable
from flowbuild.workspace.remote import Unreachable

log = structlog.get_logger()

STATUS: Mapping[type[errors.FlowError], int] = {  # the nearest class in the tree counts
    errors.FlowError: 500,
    errors.UserError: 400,
    errors.NotFound: 404,
    InvalidFile: 422,
    errors.Conflict: 409,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.RateLimited: 429,
    errors.TooLarge: 413,
    errors.EngineError: 502,
    errors.ClusterError: 502,
    errors.StoreError: 503,
    errors.ProviderError: 502,
    errors.ServerUnreachable: 503,
    Unreachable: 502,
}
AWAY_SECONDS = 5  # after which a database that was away is asked again
TITLES = {
    400: "The request cannot be carried out",
    401: "Who are you?",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not possible here",
    409: "Not possible now",
    413: "Too large",
    422: "The request is not valid",
    429: "Too many requests",
    500: "The server failed",
    502: "Something that the server needs failed",
    503: "Not available just now",
    507: "A disk is full",
}


class Place(BaseModel):
    """One thing that is wrong with a request: where in it, and what."""

    where: str
    message: str


class Problem(BaseModel):
    """An answer that is an error."""

    type: str = Field(description="urn:flow:error: and the code")
    title: str
    status: int
    code: str = Field(description="stable; programs may depend on it")
    detail: str
    hint: str = ""
    findings: list[dict[str, str | int]] = Field(
        default=[], description="what is wrong with a pipeline file, with places"
    )
    errors: list[Place] = Field(
        default=[],
        description="what is wrong with the request, with places: body.inputs.NAME for an input of a pipeline",
    )


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"model": Problem, "description": "An error", "content": {"application/problem+json": {}}}
}


def answer(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Return a problem as a response."""
    problem = Problem(
        type=f"urn:flow:error:{code}",
        title=TITLES.get(status, "An error"),
        status=status,
        code=code,
        detail=detail,
        **more,
    )
    content = problem.model_dump(exclude_defaults=True)
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def status_of(error: errors.FlowError) -> int:
    """Return the status of an error: that of its nearest class in the table."""
    return next(STATUS[each] for each in type(error).__mro__ if each in STATUS)


def install(app: FastAPI) -> None:
    """Let every error of the app become a problem."""
    app.add_exception_handler(errors.FlowError, _flow_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _refused)
    app.add_exception_handler(Exception, _unforeseen)


def _flow_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.FlowError)  # noqa: S101 (it is installed for these)
    status, headers = status_of(error), _headers(request, error)
    if status >= 500:
        say = (
            log.info if isinstance(error, errors.ServerUnreachable) else log.error
        )  # we stop, or nobody waits any more
        say("request_failed", path=request.url.path, code=error.code, error=error.message)
    if getattr(request.state, "page", False) and "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(status, error), status, headers)
    findings = [finding.to_dict() for finding in error.findings] if isinstance(error, InvalidFile) else []
    places = list(_places(request, error))
    return answer(status, error.code, error.message, headers=headers, hint=error.hint, findings=findings, errors=places)


def _places(request: Request, error: errors.FlowError) -> Iterator[Place]:
    """Yield what of a request is to be another one."""
    if isinstance(error, InvalidInputs):
        for name, message in error.problems.items():
            yield Place(where=printable(f"body.inputs.{name}"), message=message)
    elif isinstance(error, errors.UserError) and error.about:
        part = "path" if error.about in request.path_params else "body"
        yield Place(where=f"{part}.{error.about}", message=error.message)


def as_page(request: Request) -> None:
    """Make the errors of an endpoint pages for people: browsers come to it without a page of ours that could show them."""
    request.state.page = True


def _headers(request: Request, error: errors.FlowError) -> dict[str, str]:
    if isinstance(error, errors.Unauthenticated):
        git = request.url.path.startswith("/git/")  # its clients know users and passwords: the token is the password
        return {"WWW-Authenticate": 'Basic realm="flow"' if git else "Bearer"}
    if isinstance(error, errors.RateLimited):
        return {"Retry-After": str(max(1, round(error.seconds)))}
    return {"Retry-After": str(AWAY_SECONDS)} if isinstance(error, errors.StoreError) else {}


def _page(status: int, error: errors.FlowError) -> str:
    """Return what a person reads; all of it may be words of somebody else."""
    words = "".join(f"<p>{html.escape(text)}</p>" for text in (error.message, error.hint) if text)
    title = html.escape(TITLES.get(status, "An error"))
    return f'<!doctype html><title>{title}</title><h1>{title}</h1>{words}<p><a href="/">to the start page</a></p>'


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (it is installed for these)
    places = [
        Place(where=printable(".".join(str(part) for part in one["loc"])), message=printable(str(one["msg"])))
        for one in error.errors()
    ]
    return answer(422, errors.InvalidRequest.code, "; ".join(f"{p.where}: {p.message}" for p in places), errors=places)


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (it is installed for these)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return answer(error.status_code, code, str(error.detail), headers=error.headers)


def _refused(request: Request, error: Exception) -> JSONResponse:
    """Tell of a full disk, which passes; what else the machine refused nobody foresaw."""
    if not errors.is_full(error):
        return _unforeseen(request, error)
    log.error("disk_full", path=request.url.path, error=str(error))
    headers = {"Retry-After": str(AWAY_SECONDS)}
    return answer(507, "disk_full", "A disk of the server is full.", headers=headers, hint="free some space there")


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Tell who asked a number that stands in the log, and nothing else."""
    number = uuid.uuid4().hex[:12]
    log.error("unforeseen", path=request.url.path, number=number, exc_info=error)
    return answer(500, "internal", f"The server failed in a way nobody foresaw. Its log has more under {number}.")
