"""Types that every other package speaks in: artefacts, rows, the recipe, errors, protocols."""
