import pytest

from luthier.serving.loopback import host_of, is_loopback


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io"]
)
def test_not_this_machine(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8000", "::1"),
        ("example.com:80", "example.com"),
        ("localhost:", "localhost"),
        ("", ""),
        ("localhost:80@evil", ""),
        ("localhost:80:81", ""),
        ("localhost:٣", ""),
        ("[::1", ""),
        ("[::1]evil", ""),
        ("::1", ""),
    ],
)
def test_host_of_a_header(header, host):
    assert host_of(header) == host
