"""Find and load a base model, its chat template and its adapters."""
