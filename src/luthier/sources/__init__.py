"""Read files of any format, one record at a time, with file and row."""

from luthier.sources.encoding import Encoding, detect_encoding, open_text
from luthier.sources.reading import MAX_UNREADABLE, SUFFIXES, read_records
from luthier.sources.records import Record
from luthier.sources.shards import Manifest, SourceManifest, sample_fields, write_shards

__all__ = [
    "MAX_UNREADABLE",
    "SUFFIXES",
    "Encoding",
    "Manifest",
    "Record",
    "SourceManifest",
    "detect_encoding",
    "open_text",
    "read_records",
    "sample_fields",
    "write_shards",
]
