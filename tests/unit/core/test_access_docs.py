"""The table of rights in the documentation is that of the program."""

from pathlib import Path

from flowbuild.core.access import RULES, Who

WORDS = {
    Who.SIGNED_IN: "everybody with an account",
    Who.ADMIN: "admins of the server",
    Who.RUNNER: "runners",
    Who.BOT: "bots",
    Who.ATTEMPT: "the step itself, in its run",
}


def test_the_table_is_current():
    text = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{action}` | {WORDS.get(rule.least, rule.least)} | {'yes' if rule.public else ''} | `{rule.scope}` |"
        for action, rule in RULES.items()
    ]
