"""The pipeline again: over seeds, and over numbers of labelled rows."""
