"""The table of commands in the documentation is that of the program."""

from pathlib import Path

from flowbuild.bot.commands import COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "bot.md"


def table() -> str:
    """Return the table as it should be."""
    rows = ["| command | short | what it does |", "| --- | --- | --- |"]
    for each in COMMANDS:
        short = ", ".join(f"`{name}`" for name in each.aliases)
        usage = each.usage.replace("|", "\\|")
        rows.append(f"| `{usage}`{' *' if each.asks else ''} | {short} | {each.summary.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def test_the_table_is_current():
    text = PAGE.read_text()
    written = text.partition("test_docs.py -->\n")[2].partition("\n<!-- end")[0]
    assert written == table()
