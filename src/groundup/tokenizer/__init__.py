"""Text to token ids and back: a byte-level BPE trained by hand, or GPT-2's."""
