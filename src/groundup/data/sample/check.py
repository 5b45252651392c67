"""Does a text keep the facts of the world and the rules of its language? The generator itself decides."""

from groundup.data.sample.stories import tell_document
from groundup.data.sample.telling import Reading, read
from groundup.data.sample.world import World


class StoryChecker:
    """Reads documents by the rules that write them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, text: str) -> Reading:
        """A way in which the rules of this world make exactly this text; none if it breaks one.

        A wrong fact, a wrong pronoun, a sum that is not right, a friend who is none, a word that does not follow: each
        is a text that the rules cannot make.
        """
        return read(lambda teller: tell_document(teller, self.world), text, all_ways=False)
