"""Figures that the tests of both reports show."""

from typing import Any

# What a language model has besides where it is known how the corpus was made.
BESIDE_THE_FLOOR: dict[str, Any] = {
    "floor_bits_per_byte": 1.6543,
    "ratio_to_floor": 1.2014,
    "stories": {
        "written": 97,
        "ended": 0.9457,
        "copies": 0.0211,
        "keep_rules": 0.6281,
        "by_kind": {
            "story": {"written": 61, "keep_rules": 0.7213},
            "lesson": {"written": 36, "keep_rules": 0.4717},
        },
    },
}
