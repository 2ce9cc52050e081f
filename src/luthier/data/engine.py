"""Daft, with its telemetry and progress bars off. Import it from here only."""

import os

os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft

__all__ = ["daft"]
