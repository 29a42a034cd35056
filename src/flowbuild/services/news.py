"""What people are told of besides their runs: topics that say which list is to be asked for again.

Only streams to clients follow these, and of a topic that changes often they hear once: so it may be notified whenever a
list may have changed. A topic is a kind and a name, with a colon between, as those of runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowbuild.services.decisions import run_topic


def runner_topic(name: str) -> str:
    """Return the topic that changes with a runner: it came, went, takes work or no more, has more or less of it."""
    return f"runner:{name}"


def deliveries_topic(project: str) -> str:
    """Return the topic that changes with every delivery to the webhooks of a project."""
    return f"deliveries:{project}"


def person_topic(user: str) -> str:
    """Return the topic that changes with what a person may, by the id of the person, and with how they got in."""
    return f"person:{user}"


def pipelines_topic(project: str) -> str:
    """Return the topic that changes with what people decide about the pipelines of a project: which are held."""
    return f"pipelines:{project}"


def schedules_topic(project: str) -> str:
    """Return the topic that changes with every schedule of a project."""
    return f"schedules:{project}"


BOTS = "bots"  # changes with the bots that there are, and so with who acts for people
PUBLIC = "projects:public"  # changes with the projects that everybody may look at
FOLLOWED = (run_topic(""), runner_topic(""), deliveries_topic(""), schedules_topic(""), pipelines_topic(""))
RIGHTS = (
    person_topic(""),
    PUBLIC,
    BOTS,
)  # told to nobody: streams end, and whoever comes again is asked again who they are


def names(topics: Iterable[str], prefix: str) -> frozenset[str]:
    """Return what the topics with a prefix are about."""
    return frozenset(topic.removeprefix(prefix) for topic in topics if topic.startswith(prefix))
