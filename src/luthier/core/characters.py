"""Characters that text in Python may hold and no file can."""

import re

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which UTF-8 does not know: an escape of JSON without its other half, or a byte of an argument or
of a file's name that is no UTF-8, as Python holds it."""
