"""How values of options are read."""

import pytest

from flowbuild.cli import options
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
