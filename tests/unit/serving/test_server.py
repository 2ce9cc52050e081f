import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest

from luthier.core.errors import ServingError
from luthier.serving import running, serve, server


def chat(order, **fields):
    return {"model": "support-bot", "messages": [{"role": "user", "content": order}], **fields}


@pytest.fixture
def http():
    with httpx.Client(trust_env=False, timeout=20) as http_client:
        yield http_client


def test_a_server_in_the_background_answers_and_stops(app, http):
    with running(app) as url:
        assert url.startswith("http://127.0.0.1:")
        answer = http.post(f"{url}/v1/chat/completions", json=chat("hello")).json()
        assert answer["choices"][0]["message"]["content"] == "You said: hello"
    with pytest.raises(httpx.ConnectError):
        http.get(f"{url}/livez")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("luthier-")]


def test_responses_do_not_wait_for_delayed_acknowledgements(app, http):
    def seconds(url):
        start = time.perf_counter()
        http.get(f"{url}/livez")
        return time.perf_counter() - start

    with running(app) as url:
        assert min(seconds(url) for _ in range(10)) < 0.03


def test_it_can_be_started_again(app, http):
    for _ in range(2):
        with running(app, "localhost") as url:
            assert http.get(f"{url}/readyz").status_code == 200


def test_it_stops_when_the_body_raises(app, http):
    with pytest.raises(ZeroDivisionError), running(app) as url:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        http.get(f"{url}/livez")


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6_loopback(app, http):
    with running(app, "::1") as url:
        assert url.startswith("http://[::1]:")
        assert http.get(f"{url}/livez").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.0.1", "example.com"])
def test_nothing_beyond_this_machine(app, host):
    for start in (lambda: serve(app, host, 0), lambda: running(app, host).__enter__()):
        with pytest.raises(ServingError, match=r"beyond this machine.*127.0.0.1, ::1 or localhost"):
            start()


def test_a_port_in_use_is_one_sentence_with_the_port(app):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            serve(app, "127.0.0.1", port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_cannot_be(app, port):
    with pytest.raises(ServingError, match=f"there is no port {port}"):
        serve(app, "127.0.0.1", port)


def test_an_application_that_cannot_start_is_a_plain_error(app, caplog):
    @asynccontextmanager
    async def broken(_app):
        raise OSError("no database")
        yield

    app.router.lifespan_context = broken
    for start in (lambda: serve(app, "127.0.0.1", 0), lambda: running(app).__enter__()):
        with pytest.raises(ServingError, match="did not start"):
            start()
    assert "no database" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_request(app, http, generator, sink, wait_until, stream):
    with running(app) as url, socket.create_connection(url.removeprefix("http://").split(":")) as connection:
        request = http.build_request("POST", f"{url}/v1/chat/completions", json=chat("go on", stream=stream))
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        body = request.read()
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert generator.started.acquire(timeout=10)
        if stream:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: generator.closed == 1)
        [record] = sink.wait_for(1)
        assert (record.status, record.finish_reason) == (499, None)
        assert http.post(f"{url}/v1/chat/completions", json=chat("hello")).status_code == 200


def test_more_requests_than_the_queue_holds_are_answered_429(app, http, generator, sink, wait_until):
    with running(app) as url:

        def post():
            with httpx.Client(trust_env=False, timeout=20) as own:
                statuses.append(own.post(f"{url}/v1/chat/completions", json=chat("wait")).status_code)

        statuses = []
        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: statuses == [429])
        response = http.post(f"{url}/v1/chat/completions", json=chat("wait"))
        generator.go_on.set()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200, 200, 200, 429]
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert sorted(record.status for record in sink.records) == [200, 200, 200, 429, 429]


def test_a_stream_may_finish_while_the_server_stops(app, http, generator, sink):
    with running(app) as url:
        response = http.send(
            http.build_request("POST", f"{url}/v1/chat/completions", json=chat("go on", stream=True)), stream=True
        )
        threading.Timer(0.5, generator.go_on.set).start()
    assert response.read().endswith(b"data: [DONE]\n\n")
    assert [(record.status, record.finish_reason) for record in sink.records] == [(200, "length")]


def test_a_stream_that_outlasts_the_grace_is_told_so(app, http, sink, monkeypatch):
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    with running(app) as url:
        response = http.send(
            http.build_request("POST", f"{url}/v1/chat/completions", json=chat("go on", stream=True)), stream=True
        )
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 3
    last = response.read().decode().split("\n\n")[-2]
    assert '"code": "not_running"' in last
    assert [record.status for record in sink.records] == [503]


def test_half_a_question_does_not_hold_the_server_up_nor_leave_a_trace(app, monkeypatch, caplog):
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with ExitStack() as until_the_end:
        with running(app) as url:
            connection = socket.create_connection(url.removeprefix("http://").split(":"))
            until_the_end.enter_context(connection)
            connection.sendall(f'{head}expect: 100-continue\r\ncontent-length: 100\r\n\r\n{{"model": '.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100"), "the route waits for the body"
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 1.5
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


SCRIPT = """
import threading
from luthier.core.generation import GenerationEvent
from luthier.serving import Limits, ServedModel, create_app, serve

class Fake:
    models = ("base",)
    def stream(self, requests):
        yield GenerationEvent(0, "hi", "stop", 1, 1)
    def record(self, request): print("recorded", flush=True)

class Catalogue:
    def models(self): return [ServedModel("base", "base", "base", None, "base", None, 0)]

serve(create_app(Fake(), Catalogue(), Fake(), Limits()), "127.0.0.1", 0, lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(http, number):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        url = process.stdout.readline().strip()
        body = {"model": "base", "messages": [{"role": "user", "content": "hello"}]}
        assert http.post(f"{url}/v1/chat/completions", json=body).status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "recorded\nended\n", "")
