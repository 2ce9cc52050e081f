"""One module a verb: the only place that puts stages together and talks to the registry."""
