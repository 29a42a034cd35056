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
