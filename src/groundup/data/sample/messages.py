"""Short messages between the beings of the sample world, some of them spam.

What makes a message spam is who gives what to whom, and in which order: a stranger wants the reader to give something
before a gift that was never asked for. Friends write with the same words, so no single word settles it, and both
labels have the same greetings, asides, closings and slips of the pen.

There are three kinds of message. In a `plain` one the words together tell the label, whether or not their order does so
too. A `roles` message has the same words under both labels, and only their order tells them apart. An `ambiguous`
message comes from one rule for both labels, so that the best guess about it is wrong at a known rate.
"""

import re
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

from groundup.data.sample.telling import Chance, Teller, write
from groundup.data.sample.words import NUMBERS
from groundup.data.sample.world import World
from groundup.data.split import normalise

Label = Literal["ham", "spam"]
Kind = Literal["plain", "roles", "ambiguous"]

DEFAULT_COUNT = 5_000
SPAM_SHARE = 0.13
ROLES_SHARE = 0.06
AMBIGUOUS_SHARE = 0.03
SPAM_SHARE_OF_AMBIGUOUS = 0.3

PLAIN_WITH_ROLES = 10  # one plain message in so many says who gives what to whom as well

SHORTEST, LONGEST = 30, 160  # characters
MAX_DRAWS = 200  # for one message, until it has the right length and no other message is like it

# One message in so many has each kind of slip; of the longer words, one in so many is misspelt.
ALL_SMALL, NO_STOP, SHORT_FORMS, MISSPELT = 3, 3, 5, 300
LONGER_WORD = 4  # letters; roles hang on the short words, which stay whole
SHORTENED = {"you": "u", "your": "ur", "are": "r", "please": "pls", "tomorrow": "tmrw", "thanks": "thx", "and": "n"}


@dataclass(frozen=True)
class SampleMessage:
    """A message, what it is, and the best that anyone could say of it without knowing.

    Args:
        best_guess: the likelier label of an ambiguous message; the label itself of any other.
        kind: what telling its label takes: all its words, their order, or luck.
    """

    label: Label
    text: str
    best_guess: Label
    kind: Kind


DAYS = ("today", "tomorrow", "tonight", "on monday", "on tuesday", "on friday", "on sunday", "this week", "next week")
HOURS = ("noon", "dark", "lunch", "dinner", "six", "seven", "eight", "nine", "ten", "sunset")

GREETINGS = (
    "[hi|hey|hello|dear|good morning|good evening|oh] {to}[!|.]",
    "{To}[!|:]",
    "[hi|hey|hello|listen|good news|one thing|quick note|just a word][:|!|.]",
)

ASIDES = (
    "[it rains|the sun shines|the wind blows|it is cold|it is dark] {at}[ today| again|]",
    "[this is|here is|it is] {from}[ from {from_place}|, i live {from_home}]",
    "[sorry|excuse me], i write [in a hurry|with a cold hand|with a small pen]",
    "{Who} [sends good wishes|says hello|sits here too|is asleep already|waved at me {at}]",
    "[the {job}|{other}] [knows all about it|told me so|can explain it|will be there too|was here {day}]",
    "[i see|i smell|they sell] {food} {at2}[ today|]",
    "[how is {other}[ now| today|]?|greet {other}[ for me|][, please|]]",
    "[all is well|nothing new|not much time|much to do] {at}",
)

CLOSINGS = (
    "[bye|yours|love|thanks|thank you|see you|good luck|take care|best wishes][,|!] {from}",
    "[{From}|your {from}|from {from}]",
    "[answer|write back|hurry|come] [soon|{by}|{day}][, please|]",
    "[bye|thanks|thank you|good luck|take care|see you {day}]",
)

# What friends write about on most days.
EVERYDAY = (
    "[i am|we are|{who} is] {at}[ with {other}|][.| and] [[bring|please bring|can you bring] [some|the|more] {food}"
    "|i have {food} for all|where are you|the {thing} is here too]",
    "[can|could|will] you [lend me|give me|bring back|mend|find|look for] [the|my|your] {thing}[ {day}| {by}|]"
    "[? [i left it|it was|it should be] {at}|? {who} needs it[ too|]|]",
    "[shall we|let us|we could|i want to] [meet|walk|swim|sing|play|dance|eat {food}] {at} {day}"
    "[. {other} [comes too|cannot come|will cook {food2}]| with {who}| {by}|]",
    "{who} [eats|likes|wants] only {who_food}[, so|. so] [i|we|you and i] [cook|buy|need|look for] [some|a lot]"
    "[ {day}| {by}|]",
    "[did you see|have you seen|do you know] {who}[? {who_he} [left|was not|should be] {who_home}"
    "|? {other} [asks|is looking] for {who_him}[ {at}|]|]",
    "[the {food} [smelled good|got cold|came late|turned sweet]|the {thing} is [old|broken|wet|{colour}]]"
    "[. {other} [made|brought|found] it|, i think|. what now]",
    "{who} and {who_friend} [were|slept|played|sang|laughed] {at}[ all day| until dark| {day}|]"
    "[. it was [fun|loud|nice|late]|. i was there too|. you missed it]",
    "[happy birthday|get well|welcome home|well done][, {to}|]. [we|{who} and i] [made|baked|brought|found] you"
    " [{gift}|some {food}][. look {at}|]",
    "[i will be late|i am on my way|i cannot come {day}|i am home again][, {who} [is ill|needs help|kept me {at}]"
    "|. the [road|bridge|boat] is [closed|wet|slow]|. eat the {food} without me]",
    "[[tell|ask|remind] {other} about the {food}|tell {other} that {who} is {at}"
    "|[ask|remind] {other} to bring the {thing}][ {day}| {by}|][. i [forgot|cannot]|. you know why]",
)

# Friends also win, are free, owe coins, keep secrets and claim what is theirs.
FRIENDS_AND_LUCK = (
    "[i won|{who} won|we won] [{gift}|a prize|the first prize|ten games] [at|in] the [fair|race|game]"
    "[. we are so [happy|lucky]|. come and see it {at}|. {other} was second|, can you believe it]",
    "[are you|is {who}|i am] free {day}[. [i|we] could [cook|eat] {food}|. come to the {place}| or {by}"
    "| for a [walk|game|swim] {at}]",
    "[i owe you|here are|i found|i have saved|{who} owes me] {price}[. [it was|they were] {at}| from my {food}"
    "|. we can buy {gift}|. [it is|that is] the last of my [debt|fee]]",
    "[the {food} and the {food2} are|the boat is|all games are] free {at} {day}[. bring {who}| for all|. are you coming"
    "|. it is your last chance]",
    "[our secret word is|the secret is|i know the secret word,] {thing}[. {who} does not know it|, tell nobody"
    "|. do not forget it, {who} [did|will]|. it opens the door {at}]",
    "[the key [is|lies] {at}|i left your key {at}|i lost the key {at}|{who} has the key][. take the {thing}"
    "| and the {thing}|. i will be back {by}|. the door was open|. nobody saw it]",
    "[what luck|how lucky][. {who}|, {who}] [was chosen|got the prize|is the winner|won {gift}][ at the fair| {day}|]"
    "[. {other} is sad| and gave [it|half] away| and gave [it|half] to {who_friend}|. we only lost]",
    "[call me|i will call you|{who} called me|call {other}] {by}[. i am {at}|. it is about the {food}"
    "|. we need the {thing}| about the {place}]",
    "[i sold|{who} sold] [the|my] {thing} for {price}[, a good price|. that was lucky|. now i am rich"
    "|. i will buy {food}]",
    "[congratulations|hooray][! {who}|, {who}] [can claim|claims|says] [{who_he} won |{who_he} found |]{gift}"
    "[ {at}| for free|, a real prize]",
    "[the box|the parcel|your box|your parcel] [came|is here|waits {at}|was stuck {at}][. {who} opened it"
    "|. it is [full of|only] {food}|. thank you for the {thing}|. claim it {by}|. it is yours]",
    "{who} [has a rich [uncle|aunt]|is a good friend|works without [sleep|fee]|is so small and so lucky"
    "|is the lucky guest {day}][. {who_he} [gave|sent] me {food}|, i think|. let us visit {who_him} {by}"
    "| and gives away {food}]",
    "[a thief|someone|somebody] [took|tried|opened] [the|my] [{food}|{thing}|door|box] {at}[. was it {who}"
    "|. {who} saw it all|. nothing is safe|. we need a new key]",
    "[confirm|answer|reply] {by}, [we need a|are you the] [guest|winner|helper|chosen one] for the [fair|game|race]"
    "[ {at}|. only {who} has a house|. there is a small prize|]",
    "[the fee for the [boat|game|fair] is|i earn|we get|i pay {who}] {price}[ a day| {day}|, a small fee]"
    "[. that is not much|. {who} can [pay|save] it|. hold the coins for me|]",
    "[you left your [key|coins|house|door|{thing}] [open|{at}|to nobody]|your [house|door|bed|{thing}] is [held|saved]"
    " by {who}][. i put it away|. it is safe now|. you can claim it {by}| alone]",
)

# What a stranger says has happened ...
CLAIMS = (
    "you [have been|were] chosen [for|to get] [{gift}|a prize|our first prize]",
    "you are the [lucky |][winner|one hundredth guest] {at}",
    "[congratulations|what luck][!|,] [{gift}|a prize|the prize] is [yours|waiting for you]",
    "your [box|parcel|{thing}] is [held|stuck|locked up] {at}",
    "your [door|box|house|coins] {at} [is|may be] not safe [now|any more]",
    "[somebody|someone|a thief] [opened|tried] your [door|box] {at}",
    "a rich [aunt|uncle|friend|{job}] left you {price}",
    "[earn|get|make] {price} a day [without work|in your sleep|from your bed]",
    "i am the new {job} {at}",
    "[last|only] chance for [{gift}|free {food}|the prize]",
    "[it is me|your friend here], i lost my [box|coins|{thing}] {at}",
    "[we give|i give] away [{gift}|{food}] for free {day}",
)

# ... and what the reader should give.
DEMANDS = (
    "[send|bring|pay] [just |only |][{price}|a small fee|the fee of {price}]"
    "[ to {other}, alone| {by}| to open it| to confirm it| to the {place} to claim it]",
    "[tell|give] [me|us] your secret word[ {by}| to claim it| now|]",
    "[leave|put|hide] your key {at2}[ {by} to claim it| now|, tell nobody|, alone]",
    "[answer|reply] with your [secret word|name and your key|house and your key][ {by}| to claim it|]",
    "[call|visit] the {job} {at2} [{by} to claim it|with {price}|now, alone]",
    "[claim it|confirm it|save it] with [{price}|your key|your secret word|a small fee]",
    "i need {price} from you [{by}|now|{day}][, tell nobody| to confirm it|]",
)

# Giver and receiver of a gift, payer and paid: the same two people, either way round.
GIFT_WAY = (
    "{giver} [still |now |really |even |] [have|keep|hold] {gift} [ready |safe |] for {receiver}[ {at}|]",
    "{giver} [found|made|won|bought|saved|picked] {gift} for {receiver}[ {at}|]",
    "{giver} [want|plan|hope|mean] to give {receiver} {gift}[ {day}|]",
)
MUST = "[can|must|should|will|have to|need to|may][ now| then| just|]"
PAY_WAY = (
    "{payer} <must> [send|give|bring|pay] {paid} {price}[ {by}|]",
    "{payer} <must> [tell|write|whisper to|show] {paid} the secret word[ {by}|]",
    "{payer} <must> [leave|bring|give|lend] {paid} the key[ {at2}|]",
)
ROLE_JOINS = (
    "<gift>. <pay>",
    "<gift>, [so|and|and therefore] <pay>",
    "<pay>, [because|since|as] <gift>",
    "<pay>. <gift>",
)
SPAM_ROLES = {"giver": "i", "receiver": "you", "payer": "you", "paid": "me"}
HAM_ROLES = {"giver": "you", "receiver": "me", "payer": "i", "paid": "you"}

# What is told first happens first: the reader pays before there is anything to see, or after.
GIVE = (
    "you [send|give|bring|pay|hand] me {price}",
    "you [tell|write|whisper to] me the secret word",
    "you [leave|lend|bring] me your key {at2}",
)
GET = (
    "you [get|see|receive|can have|can try] {gift}[ {at}|]",
    "i [bring|give|send|show|hand] you {gift}[ {at}|]",
)
ORDER_JOINS = (
    "first <one>, then <other>",
    "[{day} |] <one> first, [and |] <other> [after that|later|then]",
    "<one> before <other>",
    "<one>, [and then|and after that|and later] <other>",
    "[the deal|the plan|my idea|the rule] is this: <one>, then <other>",
    "[when|once|as soon as] <one>, <other>",
)

# One thing to do and one to leave.
CAREFUL = (
    "[ask|wait for|listen to|talk to|write to|look for] {other} [about {gift}|{at}|{day}]",
    "[keep|hold|guard|count] your coins [{at}|{day}|in the {thing}]",
)
CARELESS = (
    "[send|give|bring|pay|hand] [me|us|the {job}] {price} [for {gift}|{by}|{at2}]",
    "[tell|show|give|whisper to] [me|us|the {job}] your secret word [for {gift}|{by}|{at2}]",
    "[send|lend|leave|bring] [me|us|the {job}] your key [for {gift}|{by}|{at2}]",
)
NOT_JOINS = (
    "[do not|don't|never|you must not|you should not|you need not|no need to] <one>"
    "[, but|, just|. please|, please|.|;] <other>",
    "[please|just|now|you should|you can] <other>[, but|, and|.|;] [do not|don't|never] <one>",
)

# All that can be known of these is how often they are spam.
UNCLEAR = (
    "[call|meet|visit|find] <whom> {at}[ {by}| {day}|], it is about <what>",
    "[it is|this is|i write] about <what>. [call|meet|visit|find] <whom> {at}[ {by}| {day}|]",
    "[have you heard|do you know] about <what> {at}? [ask|call|find] <whom>[ {by}| {day}|]",
)
WHAT, WHOM = "[the|your|a] [prize|{thing}|parcel|key]", "[me|{other}|the {job}]"


def sample_messages(world: World, seed: int, n: int = DEFAULT_COUNT) -> list[SampleMessage]:
    """Messages to tell spam in, all different even after `normalise`; the same on every platform.

    Who always says `best_guess` is right in all but the ambiguous messages that are spam, which is the best that can be
    reached: an accuracy of 1 - AMBIGUOUS_SHARE * SPAM_SHARE_OF_AMBIGUOUS, 99.1 % to within the rounding of counts.

    Raises: ValueError if there are no more new messages to be had, which takes far more than the default number.
    """
    seen: set[str] = set()
    messages = []
    for index, (kind, label) in enumerate(_plan(seed, n)):
        chance = Chance(seed, "sample messages", index)
        for _ in range(MAX_DRAWS):
            text = _finish(write(partial(_tell, world=world, kind=kind, label=label), chance).text, chance)
            key = normalise(text)
            if SHORTEST <= len(text) <= LONGEST and key not in seen:
                break
        else:
            raise ValueError(f"no new {kind} {label} message found after {index}: ask for fewer than {n}")
        seen.add(key)
        messages.append(SampleMessage(label, text, "ham" if kind == "ambiguous" else label, kind))
    return messages


def _plan(seed: int, n: int) -> list[tuple[Kind, Label]]:
    """The kind and label of each message: exact numbers in random order."""
    n_spam, n_roles, n_ambiguous = round(SPAM_SHARE * n), round(ROLES_SHARE * n), round(AMBIGUOUS_SHARE * n)
    roles_spam = round(SPAM_SHARE * n_roles)
    ambiguous_spam = round(SPAM_SHARE_OF_AMBIGUOUS * n_ambiguous)
    plain_spam = n_spam - roles_spam - ambiguous_spam
    counts: tuple[tuple[Kind, Label, int], ...] = (
        ("roles", "spam", roles_spam),
        ("roles", "ham", n_roles - roles_spam),
        ("ambiguous", "spam", ambiguous_spam),
        ("ambiguous", "ham", n_ambiguous - ambiguous_spam),
        ("plain", "spam", plain_spam),
        ("plain", "ham", n - n_roles - n_ambiguous - plain_spam),
    )
    rows = [(kind, label) for kind, label, count in counts for _ in range(count)]
    return Chance(seed, "sample messages").shuffled(rows)


def _tell(teller: Teller, world: World, kind: Kind, label: Label) -> None:
    """One message without slips of the pen: perhaps a greeting, the matter with perhaps an aside, perhaps a closing."""
    values = _values(teller, world)
    if teller.choose(2):
        teller.say(teller.pick(GREETINGS), **values)
    aside = teller.pick(("before", "after", "none", "none"))
    if aside == "before":
        teller.say(teller.pick(ASIDES) + ".", **values)
    teller.say(_matter(teller, kind, label) + ".", **values, **(SPAM_ROLES if label == "spam" else HAM_ROLES))
    if aside == "after":
        teller.say(teller.pick(ASIDES) + ".", **values)
    if teller.choose(2):
        teller.say(teller.pick(CLOSINGS) + ".", **values)


def _matter(teller: Teller, kind: Kind, label: Label) -> str:
    """A template of what the message is about."""
    if kind == "ambiguous":
        return teller.pick(UNCLEAR).replace("<what>", WHAT).replace("<whom>", WHOM)
    if kind == "roles":
        return _who_pays_whom(teller)
    matter = _friends_matter(teller) if label == "ham" else _strangers_matter(teller)
    if teller.choose(PLAIN_WITH_ROLES):
        return matter
    roles = _roles_matter(teller, label)
    return teller.pick((f"{matter}. {roles}", f"{roles}. {matter}"))


def _friends_matter(teller: Teller) -> str:
    """A template of two or three things that friends write about."""
    things = list(islice(teller.order(teller.pick((EVERYDAY, EVERYDAY, EVERYDAY, EVERYDAY, FRIENDS_AND_LUCK))), 3))
    return ". ".join(things[: teller.pick((2, 3))])


def _strangers_matter(teller: Teller) -> str:
    """A template of a claim and the demand that comes with it, and one more of either."""
    (claim, more_to_claim), (demand, more_to_demand) = (islice(teller.order(all_of), 2) for all_of in (CLAIMS, DEMANDS))
    more = teller.pick((more_to_claim, more_to_demand))
    return teller.pick(
        (
            f"{claim}. {demand}. {more}",
            f"{claim}, so {demand}. {more}",
            f"{demand}. {claim}. {more}",
            f"{more}. {claim}. {demand}",
        )
    )


def _roles_matter(teller: Teller, label: Label) -> str:
    """A template whose words are the same under both labels: by who pays whom, by what comes first, or by what not."""
    way = teller.pick(("who", "who", "not", "not", "when"))
    if way == "who":
        return _who_pays_whom(teller)
    if way == "when":
        join, risk, safe = teller.pick(ORDER_JOINS), teller.pick(GIVE), teller.pick(GET)
        one, other = (risk, safe) if label == "spam" else (safe, risk)
    else:
        join, risk, safe = teller.pick(NOT_JOINS), teller.pick(CARELESS), teller.pick(CAREFUL)
        one, other = (safe, risk) if label == "spam" else (risk, safe)
    return join.replace("<one>", one).replace("<other>", other)


def _who_pays_whom(teller: Teller) -> str:
    """A template of a gift and a payment, in which the places of the two people are still open."""
    join, gift, pay = teller.pick(ROLE_JOINS), teller.pick(GIFT_WAY), teller.pick(PAY_WAY)
    return join.replace("<gift>", gift).replace("<pay>", pay).replace("<must>", MUST)


def _values(teller: Teller, world: World) -> dict[str, str]:
    """What stands in the places of the templates, all of it from the world."""
    to, sender, who, other = islice(teller.order(world.beings), 4)
    at, at2 = islice(teller.order(world.places), 2)
    food, food2 = islice(teller.order(world.foods), 2)
    thing = teller.pick(world.things)
    return {
        "to": to.name,
        "from": sender.name,
        "from_home": sender.home.at,
        "from_place": f"the {sender.home.name}",
        "who": who.name,
        "who_he": who.he,
        "who_him": who.him,
        "who_food": who.food,
        "who_home": who.home.at,
        "who_friend": who.friend,
        "other": other.name,
        "at": at.at,
        "at2": at2.at,
        "place": at.name,
        "food": food,
        "food2": food2,
        "thing": thing.one,
        "colour": teller.pick(world.colours),
        "job": teller.pick(world.jobs).name,
        "gift": _gift(teller, world),
        "price": _amount(teller) + " " + teller.pick(("coins", "coins", "gold coins", "copper coins", "pennies")),
        "by": teller.pick(("before", "by", "after", "at")) + " " + teller.pick(HOURS),
        "day": teller.pick(DAYS),
    }


def _gift(teller: Teller, world: World) -> str:
    """Something to give or to win."""
    thing, food, colour = teller.pick(world.things), teller.pick(world.foods), teller.pick(world.colours)
    return teller.pick(
        (
            f"{thing.article} {thing.one}",
            f"the {thing.one}",
            f"a {colour} {thing.one}",
            f"the {colour} {thing.one}",
            f"a new {thing.one}",
            f"a basket of {food}",
            f"a bag of {food}",
            f"{_amount(teller)} {thing.many}",
        )
    )


def _amount(teller: Teller) -> str:
    """A number from two to twenty, in words or in digits."""
    number = 2 + teller.choose(len(NUMBERS) - 2)
    return teller.pick((NUMBERS[number], str(number)))


def _finish(text: str, chance: Chance) -> str:
    """The text as somebody types it: proper capitals and spaces first, then slips of the pen.

    They come from the same chance whatever the label is.
    """
    text = re.sub(r" +([,.;!?])", r"\1", " ".join(text.split()))
    text = re.sub(r"([,.;:!?])[.,]+", r"\1", text)
    text = re.sub(r"\bi\b", "I", re.sub(r"[.!?] [a-z]", lambda match: match.group().upper(), text))
    if chance.below(SHORT_FORMS) == 0:
        text = re.sub(r"[A-Za-z]+", lambda match: SHORTENED.get(match.group().lower(), match.group()), text)
    text = re.sub(rf"[A-Za-z]{{{LONGER_WORD},}}", lambda match: _misspell(match.group(), chance), text)
    if chance.below(ALL_SMALL) == 0:
        text = text.lower()
    if chance.below(NO_STOP) == 0:
        text = text.rstrip(".")
    return text


def _misspell(word: str, chance: Chance) -> str:
    """Now and then a letter of the word doubled, dropped or swapped with the next; never the first or the last."""
    if chance.below(MISSPELT):
        return word
    at = 1 + chance.below(len(word) - 2)
    before, letter, following, after = word[:at], word[at], word[at + 1 : at + 2], word[at + 2 :]
    return before + (letter * 2 + following, following, following + letter)[chance.below(3)] + after
