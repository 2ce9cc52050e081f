"""What the process says of how a command ended, beside 0 for done."""

USER_ERROR = 1
REFUSED = 2
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells report it."""
