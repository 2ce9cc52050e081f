"""Clean, dedupe, redact, format and split: from source files to a dataset."""

from luthier.data.dataset import export, read_ledger, read_report, read_rows
from luthier.data.ledger import LedgerEntry
from luthier.data.prepare import Prepared, prepare
from luthier.data.reasons import reason_kind

__all__ = ["LedgerEntry", "Prepared", "export", "prepare", "read_ledger", "read_report", "read_rows", "reason_kind"]
