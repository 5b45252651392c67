"""Readable, step-by-step versions of what the fast code does.

They are the oracles of the tests: same signature, same result. The reference never imports the fast code, and only
tests and benchmarks import the reference.
"""
