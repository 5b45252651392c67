"""One training loop for the three tasks."""
