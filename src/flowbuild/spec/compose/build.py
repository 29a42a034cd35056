"""`build` of a service: from the workspace only, with nothing of the machine in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowbuild.spec.compose.checker import Allow, Check, Ignore, Refuse, Rule
from flowbuild.spec.compose.mounts import relative
from flowbuild.spec.compose.scalars import boolean, labels, one_of, pairs, size, text, typed
from flowbuild.spec.compose.tree import Node

_SYNTAX = re.compile(r"\s*(?:#|//)\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
FRONTEND_HINT = "remove the `# syntax=` line, or use docker/dockerfile:1"
_FRONTEND = re.compile(r"docker/dockerfile(:1(\.[0-9]+){0,2}(-labs)?)?")
_FRONTEND_ARGUMENT = "BUILDKIT_SYNTAX"  # names the front end as the `# syntax=` line does, and goes before it
_CREDENTIALS = "credentials of the machine are not for builds"


def dockerfile_problem(text: str) -> str:
    """Return why a Dockerfile is refused, "" when it is not: for naming an image that BuildKit would run to build it.

    BuildKit looks for `# syntax=`, `// syntax=` and {"syntax": …} in front of the first instruction; docker's own front
    end may be named.
    """
    for line in text.removeprefix("\ufeff").split("\n"):
        head = line.strip()
        if head.startswith("{"):
            return "JSON in place of a Dockerfile is refused: it can name a program that would run the build"
        if head and not head.startswith(("#", "//")):
            break
        found = _SYNTAX.match(line)
        if found is not None and not _FRONTEND.fullmatch(found[1]):
            return f"the syntax `{found[1][:80]}` is refused: it is a program that would run the build"
    return ""


def build(check: Check, node: Node) -> dict[str, Any] | None:
    """Read `build`: a directory, or the long form."""
    if isinstance(node.value, Mapping):
        result = check.table(node, _RULES)
        result.setdefault("context", relative(check.path(node, ".") or "."))
    else:
        found = _directory(check, node)
        if found is None:
            return None
        result = {"context": found}
    if "dockerfile" in result and "dockerfile_inline" in result:
        check.error("value", node.position, f"{node.name} has both `dockerfile` and `dockerfile_inline`", "keep one")
    return result


def _directory(check: Check, node: Node) -> str | None:
    path = check.path(node)
    return None if path is None else relative(path)


def _dockerfile(check: Check, node: Node) -> str | None:
    """Read the path of a Dockerfile; it is relative to the build context, which alone it can be read from."""
    path = check.fixed(node)
    if path is None:
        return None
    if path.startswith(("/", "~")) or "\\" in path or "://" in path or ".." in path.split("/"):
        message = f"{node.name}: `{path[:80]}` is not inside of the build context"
        check.error("path", node.position, message, "make the context larger: `context: .` and the path from there")
        return None
    return path


def _inline(check: Check, node: Node) -> str | None:
    found = check.text(node)
    if problem := dockerfile_problem(found or ""):
        check.error("refused", node.position, f"{node.name}: {problem}", FRONTEND_HINT)
    return found


def _arguments(check: Check, node: Node) -> dict[str, str | None] | None:
    found = pairs(check, node)
    if _FRONTEND_ARGUMENT in (found or {}):
        message = f"{node.name}: `{_FRONTEND_ARGUMENT}` is refused: it names a program that would run the build"
        check.error("refused", node.position, message, "remove it")
    return found


def _contexts(check: Check, node: Node) -> dict[str, str] | None:
    found = pairs(check, node)
    result: dict[str, str] = {}
    for key, value in (found or {}).items():
        path = check.path(node, value or "")
        if path is not None:
            result[key] = relative(path)
    return result


_RULES: dict[str, Rule] = {
    "context": Allow(_directory),
    "dockerfile": Allow(_dockerfile),
    "dockerfile_inline": Allow(_inline),
    "args": Allow(_arguments),
    "target": Allow(text),
    "labels": Allow(labels),
    "additional_contexts": Allow(_contexts),
    "no_cache": Allow(typed(boolean)),
    "shm_size": Allow(typed(size)),
    "network": Allow(typed(one_of("default", "none"))),
    "pull": Ignore("the runner gets images before the step starts"),
    "platforms": Ignore("a step runs on one machine: `platform` of the service says which kind"),
    "cache_from": Ignore("the cache of the machine is used"),
    "provenance": Ignore("the image is not pushed"),
    "sbom": Ignore("the image is not pushed"),
    "cache_to": Refuse("it would write outside of the workspace", "remove it", ([],)),
    "tags": Refuse("a tag would replace the image of that name for every later run", "push from a step instead", ([],)),
    "ssh": Refuse(_CREDENTIALS, "copy what is needed in an earlier step", ([],)),
    "secrets": Refuse(_CREDENTIALS, "copy what is needed in an earlier step", ([],)),
    "entitlements": Refuse("a build gets no more rights than a step", "remove it", ([],)),
    "privileged": Refuse("a privileged build owns the machine", "remove it", (False,)),
    "isolation": Refuse("the runner decides what runs containers", "remove it", ("default",)),
    "extra_hosts": Refuse("a build reaches what DNS knows", "remove it", ([], {})),
    "ulimits": Refuse("limits of the runner would not hold", "remove it", ({},)),
}
