"""Model files: what exists (models.yaml), what this machine has, and how to get the rest."""
