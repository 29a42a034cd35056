"""Options of the product."""

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.settings import read_settings


def test_only_postgresql_can_be_named_and_no_password_is_shown(monkeypatch):
    monkeypatch.setenv("FLOW_DATABASE", "mysql://me:hidden@host/x")
    with pytest.raises(InvalidRequest, match="FLOW_DATABASE: not a URL like postgresql://") as raised:
        read_settings()
    assert "hidden" not in str(raised.value)
    monkeypatch.setenv("FLOW_DATABASE", "postgresql://me:hidden@host/x")
    assert read_settings().database == "postgresql://me:hidden@host/x"
    assert "hidden" not in repr(read_settings())


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.7:80"])
def test_trusted_proxies_are_addresses_and_networks(monkeypatch, wrong):
    monkeypatch.setenv("FLOW_TRUSTED_PROXIES", "10.0.0.7, 2001:db8::/32")
    assert read_settings().trusted_proxies == ("10.0.0.7", "2001:db8::/32")
    monkeypatch.setenv("FLOW_TRUSTED_PROXIES", f"10.0.0.7,{wrong}")
    with pytest.raises(InvalidRequest, match="FLOW_TRUSTED_PROXIES: not addresses or networks"):
        read_settings()


def test_files_of_a_directory_are_options_and_variables_come_first(monkeypatch, tmp_path):
    (tmp_path / "flow_database").write_text("postgresql://me:hidden@host/x\n")
    (tmp_path / "FLOW_PORT").write_text("8081")
    (tmp_path / "other").write_text("of somebody else")
    assert read_settings().database == ""
    monkeypatch.setenv("FLOW_SECRETS", str(tmp_path))
    assert (read_settings().database, read_settings().port) == ("postgresql://me:hidden@host/x", 8081)
    monkeypatch.setenv("FLOW_PORT", "8082")
    assert read_settings().port == 8082
    monkeypatch.setenv("FLOW_SECRETS", str(tmp_path / "missing"))
    with pytest.raises(InvalidRequest, match="FLOW_SECRETS: there is no directory"):
        read_settings()


def test_a_join_token_cannot_be_guessed(monkeypatch):
    monkeypatch.setenv("FLOW_JOIN_TOKEN", "x" * 31)
    with pytest.raises(InvalidRequest, match="FLOW_JOIN_TOKEN: shorter than 32 characters") as raised:
        read_settings()
    assert "x" * 31 not in str(raised.value)
    monkeypatch.setenv("FLOW_JOIN_TOKEN", "x" * 32)
    assert read_settings().join_token.get_secret_value() == "x" * 32
    assert "x" * 32 not in repr(read_settings())
