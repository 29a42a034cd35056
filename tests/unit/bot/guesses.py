"""Guesses: messages that people and their enemies may send, and answers that the schema of the API allows. All of a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from flowbuild.bot import seen
from flowbuild.bot.commands import COMMANDS
from flowbuild.client.base import RunUpdate
from flowbuild.client.problems import error_of
from flowbuild.core.errors import ServerUnreachable
from flowbuild.core.notifying import News, NewsKind, StepNews

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / "openapi.json").read_text())
NAMES = [
    "shop",
    "site",
    "release",
    "check",
    "nightly build",
    "build",
    "test",
    "deploy",
    "main",
    "feature/x",
    "target",
    "12",
    "a",
]
CALLED = ("name", "key", "project", "pipeline", "source", "target", "step")
USUAL = [
    *(
        "run {0}",
        "run {0} target={1}",
        "run {0} branch={1}",
        "retry 12",
        "retry 12 all",
        "retry 12 from {0}",
        "status {0}",
    ),
    *(
        "why 12",
        "log 12 {0}",
        "log 12 {0} 5",
        "diff 12 {0}",
        "diff 12 {0} {1}",
        "watch 12",
        "last {0}",
        "runs {0}",
        "cancel 12",
    ),
    *(
        "approve 12",
        "approve 12 {0}",
        "reject 12 {0} {1}",
        "hold {0} {1}",
        "unhold {0}",
        "schedule {0}",
        "pipelines {0}",
        "use {0}",
    ),
    *(
        "link {0}",
        "notify on failed",
        "notify off",
        "notify list",
        "notify off failed project={0}",
        "help",
        "help run",
        "nodes",
        "queue",
    ),
]
NASTY = [
    "\x00",
    "\x1b]0;x\x07",
    "\u202e\u200f",
    "@room @everyone <!channel>",
    "<script>alert(1)</script>",
    "[x](http://evil)",
    "${{ inputs.target }}",
    "\ud800",
    "\n\r\u2028",
    "`" * 9,
    '"' * 9,
    "'\"“”«",
    "=",
    "a=b=c",
    "%s %n {0}",
    "../../users",
    "💥👨\u200d👩\u200d👧",
    "ﷺ" * 5,
    "\u0301" * 30,
]
PATHS = [
    (re.compile("^" + re.sub(r"\\?\{[^}]*\\?\}", "[^/]*", path.removeprefix("/api/v1/")) + "$"), path, method.upper())
    for path, methods in SCHEMA["paths"].items()
    if path.startswith("/api/v1/")
    for method in methods
]


class Guesser:
    """Makes them; the same of the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.heard: list[str] = []  # commands of buttons

    def text(self) -> str:
        pick = self.random.random()
        if pick < 0.6:
            return self.random.choice(NAMES)
        if pick < 0.8:
            return self.random.choice(NASTY)
        if pick < 0.95:
            return "".join(chr(self.random.randrange(0x2FFF)) for _ in range(self.random.randrange(30)))
        return self.random.choice(NASTY) * self.random.randrange(1, 3000)

    def word(self) -> str:
        pick = self.random.random()
        if pick < 0.25:
            name, text = self.random.choice([*NAMES, "branch", "state", "project"]), self.text()
            return f"{name}={text if pick < 0.15 else self._quoted(text)}"
        if pick < 0.4:
            return self.random.choice(
                [
                    "last",
                    "12",
                    "#7",
                    "shop#3",
                    "01K00000000000000000001012",
                    "01K000",
                    "from",
                    "all",
                    "on",
                    "off",
                    "list",
                ]
            )
        return self._quoted(self.text()) if pick < 0.5 else self.text()

    def _quoted(self, text: str) -> str:
        begin = self.random.choice(["'", '"', "`", "“", "«"])
        return begin + text + self.random.choice([begin, "”", "", "»"])

    def message(self) -> str:
        pick = self.random.random()
        if pick < 0.2:
            return self.random.choice(["yes", "no", "1", "2", "9", "never mind", "true", "12", "main", "yes abcdef"])
        if pick < 0.3 and self.heard:
            return self.random.choice(self.heard[-50:])
        if pick < 0.35:
            return self.text() * self.random.randrange(1, 40)
        if pick < 0.36:
            return self.random.choice(["a", '"', "a=", "run ", "\n", "é"]) * 100_000
        if pick < 0.7:
            return self.random.choice(USUAL).format(*(self.random.choice(NAMES) for _ in range(2)))
        names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
        words = [self.random.choice(names), *(self.word() for _ in range(self.random.choice([0, 1, 1, 2, 2, 3, 6])))]
        return self.random.choice([" ", " ", " ", "  ", "\t", "\u00a0"]).join(words)

    def value(self, schema: Any, depth: int = 0) -> Any:
        """Return a value that a schema allows."""
        if "$ref" in schema:
            return self.value(SCHEMA["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return self.value(self.random.choice(schema["anyOf"]), depth)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            found = {name: self._property(name, each, depth + 1) for name, each in schema.get("properties", {}).items()}
            more = schema.get("additionalProperties")
            extra = self.random.randrange(3) if isinstance(more, dict) else 0
            return found | {self.text(): self.value(more, depth + 1) for _ in range(extra)}
        if kind == "array":
            most = 4 if depth < 4 else 2
            return [self.value(schema.get("items", {}), depth + 1) for _ in range(self.random.randrange(most))]
        plain = {"string": self.text, "integer": self._integer, "number": self._number, "boolean": self._boolean}
        return plain.get(kind, self.text)() if kind != "null" else None

    def _property(self, name: str, schema: Any, depth: int) -> Any:
        """Return a value of a property; names are mostly such as can be found."""
        if name in CALLED and schema.get("type") == "string" and self.random.random() < 0.9:
            return self.random.choice(NAMES)
        return self.value(schema, depth)

    def _integer(self) -> int:
        return self.random.choice([0, 1, 2, 12, 200, -1, -(2**40), 2**53])

    def _number(self) -> float:
        return self.random.choice([0, 1.5, -3.0, 1_700_000_000.0, 1e18, -1e300, 1e308, 2**53])

    def _boolean(self) -> bool:
        return self.random.random() < 0.5


class GuessedServer:
    """Answers whatever the schema allows, errors of every kind, and now and then what it does not allow."""

    def __init__(self, guesser: Guesser) -> None:
        self.guesser = guesser

    async def ask(self, method: str, path: str, body: Any = None, /, *, form_token: str = "", **query: str) -> Any:
        del body, form_token, query
        pick = self.guesser.random.random()
        if pick < 0.04:
            raise ServerUnreachable(f"cannot be reached: {self.guesser.text()}", hint=self.guesser.text())
        if pick < 0.1:
            codes = [
                ("unauthenticated", 401),
                ("forbidden", 403),
                ("not_found", 404),
                ("conflict", 409),
                ("rate_limited", 429),
                ("x", 500),
            ]
            code, status = self.guesser.random.choice(codes)
            problem = self.guesser.value({"$ref": "#/components/schemas/Problem"}) | {"code": code}
            raise error_of(status, json.dumps(problem).encode())
        if pick < 0.12:
            return self.guesser.random.choice([None, [], {}, "text", 3, [None], {"items": None}, {"items": [{}]}])
        answer = self.guesser.value(self._schema(method, path))
        if path == "pipelines" and pick < 0.7:  # mostly there is what is asked for
            shop = self.guesser.value({"$ref": "#/components/schemas/ProjectGlance"}) | {"name": "shop"}
            return [shop, *(each for each in answer if each["name"] != "shop")]
        return answer

    def _schema(self, method: str, path: str) -> Any:
        for pattern, whole, verb in PATHS:
            if verb == method and pattern.match(path):
                responses = SCHEMA["paths"][whole][method.lower()]["responses"]
                content = next((each.get("content") for code, each in responses.items() if code.startswith("2")), None)
                return next(iter(content.values()))["schema"] if content else {"type": "null"}
        raise AssertionError(f"there is no {method} {path} in the API")

    async def watch(self, run: str, after: int = 0) -> AsyncIterator[RunUpdate]:
        del run, after
        yield RunUpdate(1, 1.0, {}, seen.run(self.guesser.value({"$ref": "#/components/schemas/RunView"})))
        if self.guesser.random.random() < 0.3:
            raise ServerUnreachable("it went away")


def news(guesser: Guesser) -> News:
    """Return something that happened."""
    text = guesser.text
    steps = [
        StepNews(
            text(),
            text(),
            text(),
            guesser.random.choice([None, 0, 137]),
            [text() for _ in range(guesser.random.randrange(25))],
        )
        for _ in range(guesser.random.randrange(6))
    ]
    kind = guesser.random.choice(list(NewsKind))
    about = {
        name: text()
        for name in ("project", "pipeline", "run", "branch", "commit", "subject", "author", "actor", "node", "message")
    }
    return News(kind, 1e9, number=guesser._integer(), seconds=guesser._number(), steps=steps, **about)
