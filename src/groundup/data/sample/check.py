"""Does a text keep the facts of the world and the rules of its language? The generator itself decides."""

import math
from collections.abc import Callable
from dataclasses import replace

from groundup.data.sample.stories import KINDS
from groundup.data.sample.telling import Reading, Teller, read
from groundup.data.sample.world import World


class StoryChecker:
    """Reads documents by the rules that write them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, text: str) -> Reading:
        """A way in which the rules of this world make exactly this text; none if it breaks one.

        What kind of document it is, the rules say that could follow it furthest.

        A wrong fact, a wrong pronoun, a sum that is not right, a friend who is none, a word that does not follow: each
        is a text that the rules cannot make.
        """
        furthest = Reading(ways=0, bits=math.inf, reached=-1)
        for kind, tell in dict.fromkeys(KINDS):
            reading = self._read_as(kind, tell, text)
            if reading.ways:
                return reading
            if reading.reached > furthest.reached:
                furthest = reading
        return furthest

    def _read_as(self, kind: str, tell: Callable[[Teller, World], None], text: str) -> Reading:
        return replace(read(lambda teller: tell(teller, self.world), text, all_ways=False), kind=kind)
