from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from luthier.serving.access import DECISIONS


def test_every_route_has_a_decision_and_every_decision_a_route(app):
    routes = set()
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route!r} does not go through authorisation"
        routes |= {(method, route.path) for method in route.methods}
    assert len(routes) == 7
    assert routes == set(DECISIONS)
    assert set(DECISIONS.values()) == {"loopback"}


def test_a_route_without_a_decision_is_denied(app):
    app.add_api_route("/v1/secrets", lambda: "all of them", methods=["GET"])
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        response = client.get("/v1/secrets")
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "no_decision"
    assert response.json()["error"]["type"] == "permission_error"


def test_other_machines_are_denied_every_route(app):
    with TestClient(app, base_url="http://localhost", client=("10.1.2.3", 1)) as client:
        for method, path in DECISIONS:
            response = client.request(method, path.replace("{model:path}", "x"), json={})
            assert response.status_code == 403, path
            assert response.json()["error"]["code"] == "loopback_only"
