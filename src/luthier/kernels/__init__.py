"""Torch functions that make training fast without changing its results. Each is tested against the plain form."""
