"""Sizes of memory and disks, for people."""

GIGABYTE = 10**9
"""Bytes, as makers of memory and disks count them."""


def gigabytes(size: float) -> str:
    """So many bytes: `2.5 GB`."""
    return f"{size / GIGABYTE:.1f} GB"
