"""How values of options are read."""

from dataclasses import fields

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from flowbuild.cli import options
from flowbuild.cli.main import build
from flowbuild.core.errors import InvalidRequest


def test_short_secrets_are_told_by_name_only(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SHORT", "hunter")
    file = tmp_path / "secrets"
    file.write_text("# mine\nLONG=correct horse\nALSO_SHORT=tr0ub4\n")
    assert options.secrets(["SHORT"], file) == {"LONG": "correct horse", "ALSO_SHORT": "tr0ub4", "SHORT": "hunter"}
    told = capsys.readouterr().err
    assert "ALSO_SHORT, SHORT;" in told
    assert "LONG" not in told.replace("ALSO_SHORT", "")
    assert "hunter" not in told
    assert "tr0ub4" not in told


def test_long_secrets_are_nothing_to_talk_about(capsys):
    assert options.secrets(["KEY=correct horse"], None) == {"KEY": "correct horse"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "said"), [("NOWHERE", "not in the environment"), ("=x", "without a name"), ("", "without a name")]
)
def test_secrets_that_are_not_there(text, said):
    with pytest.raises(InvalidRequest, match=said):
        options.secrets([text], None)


@pytest.mark.parametrize("command", ["run", "rerun", "resume"])
def test_every_command_that_drives_a_run_takes_the_same_options(command):
    """One definition: a further field of it is a further option of each."""
    taken = {parameter.name: parameter for parameter in get_command(build(None)).commands[command].params}
    others = {parameter.name: parameter for parameter in get_command(build(None)).commands["run"].params}
    assert {field.name for field in fields(options.Driving)} <= taken.keys()
    for field in fields(options.Driving):
        one, other = taken[field.name], others[field.name]
        assert (one.opts, one.help, one.multiple) == (other.opts, other.help, other.multiple)


def test_they_reach_the_command_together_and_its_own_stay_its_own():
    got = []

    @options.driving
    def command(shared: options.Driving, name: str = "x") -> int:
        """Do something."""
        got.append((shared, name))
        return 7

    app = typer.Typer()
    app.command("command")(command)
    result = CliRunner().invoke(app, ["-C", "there", "--secret", "A=1", "--approve", "b", "--json", "--name", "n"])
    assert result.exit_code == 0, result.output
    shared = options.Driving(directory="there", secret=["A=1"], approve=["b"], json_lines=True)
    assert got == [(shared, "n")]
