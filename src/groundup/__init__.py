"""groundup: train a GPT from the ground up, with every number reproducible."""

__version__ = "0.1.0"
