"""The three tasks: each brings its batches, its loss and its metrics to the one training loop."""
