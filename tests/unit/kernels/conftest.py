"""Kernels have a native form and one of torch's operations; what holds for one must hold for the other."""

import pytest

from luthier.kernels import native


@pytest.fixture(params=["native", "torch"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the compiled kernels, and once more without them."""
    chosen: str = request.param
    if chosen == "torch":
        monkeypatch.setattr(native, "serves", lambda *_: False)
    else:
        assert not isinstance(native.library(), native.NativeError), native.library()
    return chosen
