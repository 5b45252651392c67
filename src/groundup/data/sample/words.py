"""The words of the sample world: what there is, what it is called, and how its words change their form."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A word with its plural; `article` is what one of it is called with."""

    one: str
    many: str

    @property
    def article(self) -> str:
        return "an" if self.one[0] in "aeiou" else "a"


@dataclass(frozen=True)
class Place:
    """A place: where one goes to, and where one is or lives when one is there."""

    name: str
    at: str


@dataclass(frozen=True)
class Job:
    """A job, where it is done, and what is made or done there."""

    name: str
    workplace: str
    work: str


def _nouns(text: str) -> tuple[Noun, ...]:
    """Nouns from a list such as `fox/foxes, cat`: where no plural stands, it is regular."""
    pairs = (item.strip().partition("/") for item in text.split(","))
    return tuple(Noun(one, many or one + "s") for one, _, many in pairs)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, _, right in (item.strip().partition("/") for item in text.split(",")))


# The sample world takes as many names and animals as its size asks for, from the front.
PEOPLE: tuple[tuple[str, str], ...] = _pairs(
    "Mira/she, Tom/he, Anna/she, Ben/he, Lena/she, Paul/he, Rosa/she, Emil/he, Clara/she, Hugo/he, Ida/she, Oskar/he,"
    "Nora/she, Felix/he, Greta/she, Jonas/he, Eva/she, Leo/he, Marta/she, Noah/he, Lucy/she, "
    "Adam/he, Sofia/she, Max/he,"
    "Julia/she, David/he, Helen/she, Simon/he, Alice/she, Peter/he, Emma/she, Victor/he, Olga/she, Martin/he, Vera/she,"
    "Robin/he, Nina/she, Walter/he, Edith/she, Daniel/he, Lily/she, Arthur/he, Ruth/she, Oliver/he, "
    "Tilda/she, Henry/he,"
    "Amelia/she, George/he"
)

ANIMALS: tuple[Noun, ...] = _nouns(
    "fox/foxes, hare, owl, cat, mouse/mice, goose/geese, bear, duck, frog, crow, goat, horse, "
    "sheep/sheep, badger, otter,"
    "pony/ponies, dog, hen, mole, pig, deer/deer, squirrel, hedgehog, swan, beaver, rabbit, donkey, "
    "toad, lizard, stork,"
    "lamb, weasel, sparrow, rat, cow, turtle, snail, bat, wolf/wolves, rooster, heron, newt, seal, pigeon, calf/calves,"
    "parrot, kitten, puppy/puppies"
)

PLACES: tuple[Place, ...] = (
    Place("mill", "by the mill"),
    Place("bridge", "under the bridge"),
    Place("church", "behind the church"),
    Place("lake", "near the lake"),
    Place("barn", "in the barn"),
    Place("wood", "in the wood"),
    Place("hill", "on the hill"),
    Place("well", "next to the well"),
    Place("river", "beside the river"),
    Place("garden", "in the garden"),
    Place("oak", "under the oak"),
    Place("station", "near the station"),
    Place("school", "behind the school"),
    Place("harbour", "by the harbour"),
    Place("lane", "at the end of the lane"),
    Place("tower", "in the tower"),
)

# All of them can follow "some", "the" and "eats".
FOODS: tuple[str, ...] = (
    "plums", "apples", "bread", "cheese", "honey", "nuts", "berries", "carrots", "soup", "cake", "pears", "peas",
    "beans", "porridge", "mushrooms", "cherries",
)  # fmt: skip

COLOURS: tuple[str, ...] = ("red", "brown", "grey", "black", "white", "yellow", "blue", "green")

JOBS: tuple[Job, ...] = (
    Job("baker", "bakery", "bakes bread"),
    Job("teacher", "school", "teaches the children"),
    Job("fisher", "harbour", "catches fish"),
    Job("farmer", "farm", "grows corn"),
    Job("smith", "forge", "makes iron tools"),
    Job("tailor", "shop", "sews coats"),
    Job("doctor", "hospital", "heals the sick"),
    Job("painter", "studio", "paints pictures"),
    Job("cook", "inn", "cooks soup"),
    Job("librarian", "library", "lends books"),
    Job("carpenter", "workshop", "makes tables"),
    Job("postman", "post office", "brings letters"),
)

THINGS: tuple[Noun, ...] = _nouns(
    "lamp, rope, kite, drum, basket, hat, ball, book, key, bell, boat, cup, broom, ladder, coat, "
    "bucket, mirror, map, clock,"
    "flute, blanket, parasol, wheel, box/boxes, knife/knives, brush/brushes, watch/watches, leaf/leaves, shelf/shelves,"
    "dish/dishes, candle, ring"
)

NUMBERS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip

OPPOSITES: tuple[tuple[str, str], ...] = _pairs(
    "big/small, hot/cold, old/new, long/short, fast/slow, happy/sad, full/empty, clean/dirty, light/dark, loud/quiet,"
    "wet/dry, hard/soft, high/low, early/late, strong/weak, rich/poor, near/far, open/closed, thick/thin, sweet/sour,"
    "brave/afraid, heavy/weightless, wide/narrow, right/wrong, sharp/blunt, deep/shallow, rough/smooth, first/last,"
    "good/bad, kind/cruel, awake/asleep, lost/found"
)

VERBS: tuple[tuple[str, str], ...] = _pairs(
    "go/went, run/ran, see/saw, find/found, eat/ate, sing/sang, swim/swam, write/wrote, bring/brought, give/gave,"
    "take/took, make/made, come/came, sit/sat, sleep/slept, tell/told, hear/heard, buy/bought, "
    "build/built, catch/caught,"
    "fly/flew, grow/grew, hide/hid, hold/held, keep/kept, know/knew, leave/left, lose/lost, meet/met, read/read,"
    "walk/walked, jump/jumped, cook/cooked, paint/painted, wash/washed, carry/carried, open/opened, laugh/laughed,"
    "help/helped, look/looked, play/played, wait/waited, dance/danced, thank/thanked, clean/cleaned, cry/cried,"
    "climb/climbed, call/called, knock/knocked, plant/planted"
)

UNITS: tuple[tuple[Noun, Noun, int], ...] = (
    (Noun("week", "weeks"), Noun("day", "days"), 7),
    (Noun("pair of shoes", "pairs of shoes"), Noun("shoe", "shoes"), 2),
    (Noun("hand", "hands"), Noun("finger", "fingers"), 5),
    (Noun("table", "tables"), Noun("leg", "legs"), 4),
    (Noun("year", "years"), Noun("season", "seasons"), 4),
    (Noun("box of eggs", "boxes of eggs"), Noun("egg", "eggs"), 6),
)

# What follows from what: in stories, in lessons and in sentences to complete.
CAUSES: tuple[tuple[str, str], ...] = (
    ("it rains", "the ground gets wet"),
    ("it snows", "the roofs turn white"),
    ("the sun shines", "the snow melts"),
    ("the wind blows", "the kites fly"),
    ("it is cold", "the lake freezes"),
    ("it is dark", "the owls wake up"),
    ("the fire burns", "the room gets warm"),
    ("the bell rings", "the lesson begins"),
    ("you drop a cup", "it breaks"),
    ("you plant a seed", "a flower grows"),
    ("you eat too much cake", "your belly hurts"),
    ("you sleep well", "you wake up fresh"),
    ("you help a friend", "the friend thanks you"),
    ("you forget the milk", "it turns sour"),
    ("you light a candle", "the room gets bright"),
    ("you mix blue and yellow", "you get green"),
    ("the cat comes", "the mice hide"),
    ("the bread is done", "the house smells good"),
    ("you run too fast", "you get tired"),
    ("you read a book", "you learn something"),
)


def number_word(number: int) -> str:
    """A number from 0 to 99 in words."""
    if number < len(NUMBERS):
        return NUMBERS[number]
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")[number // 10 - 2]
    return tens if number % 10 == 0 else f"{tens}-{NUMBERS[number % 10]}"


def listed(words: list[str] | tuple[str, ...]) -> str:
    """Words with commas between them."""
    return ", ".join(words)
