"""Exports of help desks, read into conversations between customers and agents."""

from luthier.data.helpdesk.formats import HELPDESK_FORMATS

__all__ = ["HELPDESK_FORMATS"]
