"""Does a text keep the facts of the world and the rules of its language? The generator itself decides."""

import math
from dataclasses import replace
from functools import partial

from groundup.data.sample.stories import KINDS
from groundup.data.sample.telling import Reading, read
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
            reading = replace(read(partial(tell, world=self.world), text, all_ways=False), kind=kind)
            if reading.ways:
                return reading
            if reading.reached > furthest.reached:
                furthest = reading
        return furthest
