"""Which runner may come in with the server's join token, a secret that is for many machines and does not end. Pure.

A code lets one machine in, once, and somebody stands beside it. With the token machines come by themselves: so it may take
the name of a runner that is gone, or that is on the same node of a Swarm, but not of one that works or that was revoked.
"""

from __future__ import annotations

import hmac

from flowbuild.client.runner import Facts
from flowbuild.core.errors import Conflict
from flowbuild.store.runners import RunnerRow


def is_join_token(text: str, token: str) -> bool:
    """Whether a text is the token; takes as long whatever it is. A server without one has an empty token, which opens nothing."""
    return bool(token) and hmac.compare_digest(text.encode("utf-8", "surrogatepass"), token.encode())


def require_free(present: RunnerRow | None, *, joins: bool, heard: bool, facts: Facts) -> None:
    """Raise Conflict unless a machine may have the name of a runner: the one that has it now, if any, and whether it is heard of.

    The name of one whose key never arrived is free: it was never heard of. That of a revoked one is for who has a code.
    """
    if present is None or present.seen_at is None:
        return
    if present.state == "revoked":
        if joins:
            raise Conflict(f"runner {present.name!r} was revoked", hint="an admin lets it in again: flow runners add")
        return
    same_node = bool(facts.node) and present.facts.get("node") == facts.node
    if joins and (same_node or not heard):
        return
    raise Conflict(f"there is a runner {present.name!r}", hint="choose another name, or revoke that one")
