"""Read files of any format, one record at a time, with file and row."""

from luthier.sources.encoding import Encoding, detect_encoding, open_text
from luthier.sources.hub import fetch_dataset
from luthier.sources.queries import save_answer
from luthier.sources.reading import MAX_UNREADABLE, SUFFIXES, is_readable, read_records
from luthier.sources.records import Record
from luthier.sources.shards import Manifest, Shard, SourceManifest, sample_fields, spread_fields, write_shards
from luthier.sources.threads import Threading

__all__ = [
    "MAX_UNREADABLE",
    "SUFFIXES",
    "Encoding",
    "Manifest",
    "Record",
    "Shard",
    "SourceManifest",
    "Threading",
    "detect_encoding",
    "fetch_dataset",
    "is_readable",
    "open_text",
    "read_records",
    "sample_fields",
    "save_answer",
    "spread_fields",
    "write_shards",
]
