import gc
from pathlib import Path

import pytest

from luthier.core.importing import import_large


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize("ending", ["", "raise ValueError('broken')"])
def test_no_garbage_is_looked_for_during_the_import_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collecting: bool, ending: str
) -> None:
    name = f"large_{collecting}_{bool(ending)}"
    seen = tmp_path / "seen"
    lines = ["import gc, pathlib", f"pathlib.Path({str(seen)!r}).write_text(str(gc.isenabled()))", ending]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    gc.enable() if collecting else gc.disable()
    try:
        if ending:
            with pytest.raises(ValueError, match="broken"):
                import_large(name)
        else:
            assert import_large(name).__name__ == name
        assert seen.read_text() == "False"
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
