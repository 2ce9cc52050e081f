"""One module a revision, oldest first. A released one is never changed."""
