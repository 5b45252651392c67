"""The sample world: text made by seeded code, so that all runs offline and the best possible scores are known."""
