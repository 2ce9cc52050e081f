"""Finding personal data in text, one module a family of kinds."""
