"""Chat networks, and what somebody is called there. Pure."""

from __future__ import annotations

from enum import StrEnum

from flowbuild.core.errors import InvalidRequest

SENDER_MAX = 256  # characters of what a network calls somebody
CALLED_MAX = 128  # characters of a name by which people find a bot
CHAT = "chat:"  # begins the name of a network as a provider of identities, one that lets nobody in


class Network(StrEnum):
    """A chat network that bots speak on."""

    MATRIX = "matrix"
    SLACK = "slack"
    TELEGRAM = "telegram"


def provider_of(network: str) -> str:
    """Return the name of a network as a provider of identities."""
    return CHAT + network


def network_of(provider: str) -> str:
    """Return the network that a provider of identities is; empty when it is none."""
    return provider.removeprefix(CHAT) if provider.startswith(CHAT) else ""


def check_sender(sender: str) -> str:
    """Return what a network calls somebody as it is; raises InvalidRequest for what no network says.

    Nothing is repaired: two ways to write one name would be two people.
    """
    if not sender or len(sender) > SENDER_MAX:
        words = "is empty" if not sender else f"has more than {SENDER_MAX} characters"
        raise InvalidRequest(f"the sender {words}", about="sender")
    if not sender.isprintable() or sender != sender.strip():
        hint = "send what the network calls the sender as it is"
        raise InvalidRequest("the sender holds a character that no network puts there", hint=hint, about="sender")
    return sender


def check_called(called: str) -> str:
    """Return the name by which people find a bot; raises InvalidRequest for what is not one."""
    if not called or len(called) > CALLED_MAX or not called.isprintable() or called != called.strip():
        hint = f"up to {CALLED_MAX} printable characters, as people type it"
        raise InvalidRequest("that is no name of a bot on a network", hint=hint, about="called")
    return called


def via_of(network: str, sender: str) -> str:
    """Return what the audit log says of how somebody came who speaks through a bot."""
    return f"{provider_of(network)}/{sender}"
