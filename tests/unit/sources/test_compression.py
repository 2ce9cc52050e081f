import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from luthier.sources import compression
from luthier.sources.compression import format_suffix, open_bytes

TEXT = "".join(f"line {number} of {number * 7919 % 10007}\n" for number in range(20_000)).encode()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.output_stream(sink, compression="zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


PACK = {".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("ending", PACK)
def test_packed_files_read_as_if_they_were_not(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(PACK[ending](TEXT) * 2)
    with open_bytes(path) as handle:
        assert handle.readline() == b"line 0 of 0\n"
        assert handle.read() == TEXT[len(b"line 0 of 0\n") :] + TEXT
    assert format_suffix(path) == ".csv"


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize(
    "spoil", [lambda packed: packed[:-20], lambda packed: packed[:500] + b"no such thing" + packed[520:]]
)
def test_damaged_and_cut_off_files_are_told(tmp_path: Path, ending: str, spoil) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(spoil(PACK[ending](TEXT)))
    with open_bytes(path) as handle, pytest.raises(OSError, match=r"the packed data .* cut off"):
        handle.read()


@pytest.mark.parametrize("ending", PACK)
def test_a_bomb_is_refused_while_it_unpacks(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "UNSUSPICIOUS_BYTES", 1 << 20)
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(PACK[ending](bytes(3 << 20)))
    with open_bytes(path) as handle:
        assert len(handle.read(1 << 20)) == 1 << 20
        with pytest.raises(OSError, match="unpacks to more than 1 MiB, where 200 times its own size"):
            handle.read(1)


@pytest.mark.parametrize("ending", PACK)
def test_packed_data_are_known_by_their_first_bytes(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(PACK[ending](TEXT))
    with open_bytes(path) as handle:
        assert handle.read() == TEXT
