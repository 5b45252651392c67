"""Honest numbers: metrics, baselines, intervals, plots and the report."""
