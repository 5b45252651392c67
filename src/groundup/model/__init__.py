"""The GPT, written out: layers, attention, the whole model, and the names GPT-2's weights have elsewhere."""
