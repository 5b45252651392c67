"""Marks that stand in texts of samples; without torch, for the terminal reads them too."""

BREAK_MARK = "▶"  # stands in a story where it breaks the rules
COPY_BEGINS, COPY_ENDS = "⟦", "⟧"  # around what a model wrote as it stands in the train text
