"""Clean, dedupe, redact, format and split: from source files to a dataset."""

from luthier.data.clean import spoken
from luthier.data.dataset import PAGE_NAME, export, iterate_rows, read_ledger, read_report, read_rows
from luthier.data.diff import DatasetDiff, Difference, diff_datasets
from luthier.data.encoder_passes import needs_encoder
from luthier.data.language import guess_language
from luthier.data.leakage import find_leaks, rows_of_file
from luthier.data.ledger import LedgerEntry
from luthier.data.prepare import Prepared, prepare
from luthier.data.reasons import reason_kind
from luthier.data.report import Purpose
from luthier.data.stage import TokenCounter

__all__ = [
    "PAGE_NAME",
    "DatasetDiff",
    "Difference",
    "LedgerEntry",
    "Prepared",
    "Purpose",
    "TokenCounter",
    "diff_datasets",
    "export",
    "find_leaks",
    "guess_language",
    "iterate_rows",
    "needs_encoder",
    "prepare",
    "read_ledger",
    "read_report",
    "read_rows",
    "reason_kind",
    "rows_of_file",
    "spoken",
]
