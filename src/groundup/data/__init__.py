"""From raw text to token arrays on three sides that never share a text."""
