"""Listening: where, from when, and to what end."""

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from luthier.core.errors import ServingError
from luthier.serving.api_error import not_running
from luthier.serving.desk import Desk
from luthier.serving.loopback import is_loopback

GRACE_SECONDS = 5
"""How long answers in the making may go on when the server stops."""
UVICORN_MARGIN_SECONDS = 2
"""uvicorn breaks connections off, with a stack trace; by then ours have been told and closed."""

HIGHEST_PORT = 65535
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(app: FastAPI, host: str, port: int, on_ready: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until SIGTERM or Ctrl-C, then return. `on_ready` is told the URL when requests are answered.

    Port 0 takes a free port. Raises ServingError for an address beyond this machine and for a port in use.
    """
    listener, url = _listen(host, port)
    server = _Server(app, lambda: on_ready(url))
    with _stopped_by_signals(server):
        _run(server, listener)
    if not server.started:
        raise _not_started(url)


@contextmanager
def running(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The URL of a server in a background thread, which is stopped at the end of the `with`.

    Raises ServingError as `serve` does.
    """
    listener, url = _listen(host, port)
    ready = threading.Event()
    server = _Server(app, ready.set)
    thread = threading.Thread(target=_run, args=(server, listener), name="luthier-server", daemon=True)
    thread.start()
    try:
        while not ready.wait(0.05):
            if not thread.is_alive():
                raise _not_started(url)
        yield url
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and ends requests that outlast the grace."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                # The peer's address decides on access, so no header may replace it.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS + UVICORN_MARGIN_SECONDS,
            )
        )
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        end = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end_requests)
        await super().shutdown(sockets)
        end.cancel()

    def _end_requests(self) -> None:
        desk: Desk = self._app.state.desk
        desk.worker.cancel_all(not_running())
        for connection in list(self.server_state.connections):
            # A client that has sent half a question: what waits for the rest would end in a stack trace.
            if isinstance(connection, H11Protocol) and connection.cycle and connection.cycle.more_body:
                connection.transport.close()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    # SystemExit is how uvicorn says that the application did not start; it has logged why.
    with listener, suppress(SystemExit):
        server.run(sockets=[listener])


def _not_started(url: str) -> ServingError:
    return ServingError("the server did not start; its log says why", where=url)


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket and its URL."""
    if not is_loopback(host):
        raise ServingError(
            f"the server does not listen on {host!r}, beyond this machine, as long as there are no keys",
            where="serving.host",
            allowed="127.0.0.1, ::1 or localhost",
        )
    if not 0 <= port <= HIGHEST_PORT:
        raise ServingError(f"there is no port {port}", where="serving.port", allowed=f"0 to {HIGHEST_PORT}")
    # The name is not looked up: /etc/hosts may point it elsewhere.
    address = "127.0.0.1" if host.lower() == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    shown = f"[{address}]" if family == socket.AF_INET6 else address
    try:
        listener = socket.create_server((address, port), family=family)
    except OSError as error:
        raise _cannot_listen(error, shown, port) from error
    # Connections inherit it. asyncio sets it only where the protocol number is given, which create_server leaves out;
    # without it each response waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


def _cannot_listen(error: OSError, address: str, port: int) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        return ServingError(
            f"port {port} of {address} is in use by another program",
            where="serving.port",
            allowed="another port, or 0 for any that is free",
        )
    return ServingError(f"cannot listen on {address}, port {port}: {error.strerror}", where="serving")


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Signals before and after uvicorn's own handling; it raises each again at its end, which must not kill us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, server.handle_exit) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
