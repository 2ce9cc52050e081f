import pytest

CHAT = {"model": "support-bot", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "10.0.0.1", "localhost.evil.example", ""])
def test_a_foreign_host_name_is_refused_on_every_route(client, host):
    for path in ("/livez", "/v1/models", "/openapi.json", "/nowhere"):
        response = client.get(path, headers={"host": host})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "127.0.0.2:80", "[::1]:8000"])
def test_names_of_this_machine_are_accepted(client, host):
    assert client.get("/livez", headers={"host": host}).status_code == 200


def test_two_host_headers_are_refused(client):
    response = client.get("/livez", headers=[("host", "localhost"), ("host", "localhost")])
    assert response.status_code == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_a_web_page_could_send_is_refused(client, content_type):
    response = client.post("/v1/chat/completions", content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]["message"]


def test_json_with_a_charset_is_json(client):
    response = client.post(
        "/v1/feedback",
        content=b'{"id": "chatcmpl-none", "rating": "up"}',
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    assert response.status_code == 404


def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(client):
    def post(size):
        frame = b'{"model": "support-bot", "messages": [{"role": "user", "content": "%s"}]}'
        body = frame % (b"a" * (size - len(frame) + 2))
        assert len(body) == size
        return client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})

    assert post(10_000).status_code == 200
    response = post(10_001)
    assert response.status_code == 413
    assert "10,000 bytes" in response.json()["error"]["message"]


def test_a_body_without_a_length_is_counted(client):
    response = client.post(
        "/v1/chat/completions", content=iter([b"[" * 6_000] * 2), headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_no_web_page_of_another_origin_is_let_in(client):
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = client.options("/v1/chat/completions", headers=headers)
    answer = client.post("/v1/chat/completions", json=CHAT, headers={"origin": "https://evil.example"})
    assert preflight.status_code == 405
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]
