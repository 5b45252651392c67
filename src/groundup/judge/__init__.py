"""A second opinion on the instruction follower's answers, by a language model that somebody else runs."""
