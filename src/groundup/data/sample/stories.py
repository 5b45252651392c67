"""The documents of the sample world: stories, dialogues, letters, descriptions, facts and lessons.

Everything that a document says follows from choices that its teller counts and from the facts of the world. A choice is
made where it is said, or shortly before, so the costs add up to what a reader who knows the world is surprised by.
"""

from collections.abc import Callable, Iterator

from groundup.data.sample.skills import LESSONS, SKILLS, SPOKEN, ask_fact, name_of, statement
from groundup.data.sample.telling import Chance, Teller, write
from groundup.data.sample.wordings import (
    ANSWERED,
    AROUND,
    ASKED,
    AT_HOME,
    END,
    HOW,
    LIKE_WHAT,
    LOW_MOOD,
    MOOD,
    ONE_DAY,
    OPENINGS,
    PASSING,
    SEES,
    THEN,
    TROUBLES,
    WEATHERS,
    WENT,
    WHERE,
)
from groundup.data.sample.words import NUMBERS
from groundup.data.sample.world import Being, World


def speaking_of(**beings: Being) -> dict[str, str]:
    """Names and pronouns under short names: of `a` there are `a`, `a_he`, `a_him`, `a_his`, `a_home`, `a_food`."""
    values: dict[str, str] = {}
    for key, being in beings.items():
        values |= {
            key: being.name, f"{key}_he": being.he, f"{key}_him": being.him, f"{key}_his": being.his,
            f"{key}_home": being.home.at, f"{key}_food": being.food,
        }  # fmt: skip
    return values


def in_colour(being: Being) -> str:
    """Its name with its colour: "the red fox", "Mira in her green coat"."""
    if being.is_person:
        return f"{being.name} in {being.his} {being.colour} coat"
    return f"the {being.colour} {being.kind}"


def _name_in_colour(being: Being) -> str:
    """The beginning of `in_colour`."""
    return being.name if being.is_person else in_colour(being)


def _a_being(t: Teller, world: World, *without: Being) -> Being:
    return t.pick(world.others(*without), said=name_of) if without else t.pick(world.beings, said=name_of)


def _a_stranger(t: Teller, world: World, hero: Being, said: Callable[[Being], str] = name_of) -> Being:
    """Whom a person meets by chance is an animal, and the other way round."""
    return t.pick(world.animals if hero.is_person else world.people, said=said)


def _begin(t: Teller, world: World) -> Being:
    """The first sentence, and whom the story is about."""
    pattern = t.choose(4)
    if pattern == 0:
        t.say(ONE_DAY + ",")
        hero = t.pick(world.beings, said=_name_in_colour)
        t.word(
            " {hero} [left home|woke up early|had nothing to do|felt [a little |]" + LOW_MOOD + "|was " + MOOD + "].",
            hero=in_colour(hero),
        )
    elif pattern == 1:
        hero = _a_being(t, world)
        t.say(
            "{A} [lives|has always lived|has a home] {a_home}[, where [it is quiet|the wind is soft|nobody hurries]|].",
            **speaking_of(a=hero),
        )
        t.say(ONE_DAY + " {a_he} [got up|came out|looked outside|set out] " + HOW + ".", **speaking_of(a=hero))
    elif pattern == 2:
        hero = _a_being(t, world)
        t.say(
            "[this is|here is|now comes|listen to] [the|a] [story|tale] of {a}, who lives {a_home}.",
            **speaking_of(a=hero),
        )
        t.say("{a_he} [liked|loved|wanted] nothing [more|better] than {a_food}.", **speaking_of(a=hero))
    else:
        hero = _a_being(t, world)
        t.say("{a} was [very |quite |rather |]" + MOOD + " " + ONE_DAY + ".", **speaking_of(a=hero))
        t.say("had {a_he} [slept well|dreamt of {a_food}|heard good news]?", **speaking_of(a=hero))
        t.say("[perhaps|yes|no|who knows].")
    if hero.is_person and t.one_in(2):
        assert hero.job is not None
        t.say(

                "[as {job}|being {job}|like every {job}], {a_he} [often |always |sometimes |mostly |"
                "]worked at the {workplace}[ until [noon|late|the evening]| from early on| and was "
                "content|].",
            job=hero.job.name, workplace=hero.job.workplace, **speaking_of(a=hero),
        )  # fmt: skip
    return hero


def _end(t: Teller, first: Being, second: Being | None) -> None:
    """How it ended."""
    values = speaking_of(a=first)
    if second is not None and t.one_in(2):
        values |= speaking_of(b=second)
        t.say(

                "[that evening|afterwards|as a thank you|when all was done] {a} [gave|brought|cooked "
                "for] {b} [some|a plate of|"
            "plenty of] {b_food}, [for|because] that is what {b_he} likes [best|most].", **values,
        )  # fmt: skip
    else:
        t.say(
            THEN + " {a} went [back |]home and [slept|sat|sang|dreamt|rested|hummed|danced] " + AT_HOME + " {a_home}.",
            **values,
        )
    if t.one_in(2):
        t.say(END + ".")


def _meet(t: Teller, world: World, hero: Being) -> Being:
    """Somebody comes: its friend, as often as not."""
    if t.one_in(2):
        other = world.friend_of(hero)
        t.say(
            THEN + " {a} [saw|met|found|heard|noticed|came upon|ran into] {a_his} friend {b}.",
            **speaking_of(a=hero, b=other),
        )
        return other
    t.say(THEN + " {a_he} " + SEES, **speaking_of(a=hero))
    other = _a_stranger(t, world, hero, said=_name_in_colour)
    t.word(" {other}, who [lives {b_home}|likes {b_food}].", other=in_colour(other), **speaking_of(b=other))
    return other


def _aside(t: Teller) -> None:
    """Something beside the story, or nothing: what is around, or who passes by."""
    for _ in range(t.choose(3)):
        if t.one_in(4):
            t.say(PASSING)
        else:
            t.say(AROUND)


def _place(t: Teller, world: World) -> str:
    return t.pick_word([place.name for place in world.places])


def _thing(t: Teller, world: World) -> str:
    return t.pick_word([thing.one for thing in world.things])


def tell_lost(t: Teller, world: World) -> None:
    """Something is lost, looked for and found."""
    hero = _begin(t, world)
    _aside(t)
    values = speaking_of(a=hero)
    t.say("[but |]{a_he} [could not find|had lost|missed|no longer had] {a_his} " + LIKE_WHAT, **values)
    thing = _thing(t, world)
    values["thing"] = thing
    t.word(" {thing}.", **values)
    if t.one_in(2):
        t.say("{a_he} was " + LOW_MOOD + "[ about it|, of course| and sat down for a while|].", **values)
    t.say(
        "“[where is my {thing}|has anybody seen my {thing}|oh, my {thing}]?” [said|called|asked] {a} " + HOW + ".",
        **values,
    )
    for _ in range(1 + t.choose(2)):
        t.say("{a_he} looked [for it |]", **values)
        place = t.pick(world.places, said=lambda each: each.at)
        t.word(
            "{at}, but [it was not there|nothing was there|there was no {thing}|there was only [dust|"
            "grass|a stone|a feather|an old shoe|an empty nest|a dry leaf]].",
            at=place.at,
            thing=thing,
        )
    friend = _meet(t, world, hero)
    values |= speaking_of(b=friend)
    pattern = t.choose(3)
    if pattern == 0:
        t.say("“[I have seen your {thing}|your {thing} is not far|I know where it is]!” said {b}.", **values)
        t.say("“[it lies|it is|you left it]", **values)
        place = t.pick(world.places, said=lambda each: each.at)
        t.word(" {at}.”", at=place.at)
        t.say("they " + WENT + " there " + HOW + ", and there [it was|was the {thing}|lay the {thing}].", **values)
    elif pattern == 1:
        t.say("“[what are you looking for|why are you so sad|can I help you]?” asked {b}.", **values)
        t.say(
            "“[I have lost my {thing}|my {thing} is gone|I can't find my {thing}],” "
            + "[said|answered|sighed|sobbed] {a}.",
            **values,
        )
        t.say(
            "[together they looked again|they looked together|four eyes see more than two], and {b} "
            "found the {thing} in a [box|bag|corner|hole|nest|drawer].",
            **values,
        )
    else:
        t.say(
            "{b} had [found|kept|cleaned|mended] the {thing} [all along|since yesterday|the day before|"
            "in the morning] and [gave it back|handed it over] " + HOW + ".",
            **values,
        )
    t.say("{a} was " + MOOD + " and [thanked {b}|said thank you|took the {thing} home|laughed " + HOW + "].", **values)
    _end(t, hero, friend)


def tell_sharing(t: Teller, world: World) -> None:
    """Things are given and counted."""
    hero = _begin(t, world)
    _aside(t)
    values = speaking_of(a=hero)
    t.say("{a_he} counted", **values)
    had = NUMBERS.index(t.pick_word(NUMBERS[3:7]))
    t.word(" {n} ", n=NUMBERS[had])
    thing = t.pick(world.things, said=lambda each: each.many)
    things = {"things": thing.many, "thing": thing.one}
    t.word("{things} in [a basket|a bag|the house|a big box|a cart|{a_his} room].", **things, **values)
    friend = _meet(t, world, hero)
    values |= speaking_of(b=friend) | things
    if t.choose(2) == 0:
        t.say("[kindly |]{a_he} gave", **values)
        given = NUMBERS.index(t.pick_word(NUMBERS[1:3]))
        t.word(" {n} [of them |]to {b}.", n=NUMBERS[given], **values)
        left = had - given
        t.say(
            "{a_he} had counted {had}, [and |but |]{had} without {given} is {left}, so [now |then |]{a_he} had {left} "
            "{plural} left.",
            had=NUMBERS[had],
            given=NUMBERS[given],
            left=NUMBERS[left],
            plural=thing.one if left == 1 else thing.many,
            **values,
        )
    else:
        t.say("[but |]{b} [brought|found|gave {a_him}|had made]", **values)
        given = NUMBERS.index(t.pick_word(NUMBERS[1:3]))
        t.word(" {n} more.", n=NUMBERS[given])
        t.say(
            "{a_he} had counted {had}, [and |but |]{had} and {given} make {n}, so [now |then |]there were {n} "
            "{things}.",
            had=NUMBERS[had],
            given=NUMBERS[given],
            n=NUMBERS[had + given],
            **values,
        )
    t.say("“[how kind of you|thank you|that is nice|you are a good friend],” said {b} " + HOW + ".", **values)
    _aside(t)
    _end(t, hero, friend)


def tell_weather(t: Teller, world: World) -> None:
    """A way, and the weather on it."""
    hero = _begin(t, world)
    _aside(t)
    values = speaking_of(a=hero)
    t.say("{a_he} wanted to go to the ", **values)
    place = _place(t, world)
    t.word(
        "{place} [to see|to buy|to look for|to ask for|and carry home|and paint|to fetch] [a|the] " + LIKE_WHAT,
        place=place,
    )
    thing = _thing(t, world)
    t.word(" {thing}.", thing=thing)
    t.say(
        "“[a {thing}|that {thing}|I need the {thing}|what a {thing}],” [said|sang|thought] {a} " + HOW + ".",
        thing=thing,
        **values,
    )
    beginning, effect, ending = t.pick(WEATHERS, said=lambda each: each[0])
    t.say("[but |]on the way {beginning}, and [soon |]{effect}.", beginning=beginning, effect=effect)
    t.say(
        "“[oh dear|what weather|how terrible|that is bad luck],” [thought|said] {a}, [who was|and felt] "
        + LOW_MOOD
        + ".",
        **values,
    )
    if t.one_in(2):
        host = world.friend_of(hero)
        values |= speaking_of(b=host)
        t.say("{a} ran to {a_his} friend {b}, who lives {b_home}.", **values)
    else:
        t.say("{a_he} ran to the house of", **values)
        host = _a_stranger(t, world, hero)
        values |= speaking_of(b=host)
        t.word(" {b}, [right |just |]{b_home}.", **values)
    t.say(
        "“[come in|sit down|wait here|be my guest|poor thing|what a day|you are wet|I was just thinking "
        "of you],” [said|called|smiled|cried] {b} " + HOW + ".",
        **values,
    )
    t.say("[inside|there|in the warm room] they ate [some |fresh |all the |]{b_food}[, as {b} always does|].", **values)
    t.say("[after an hour|at noon|in the end|when they had eaten|two songs later] {ending}.", ending=ending)
    t.say("{a} [thanked {b} and |said goodbye and |]" + WENT + " on " + HOW + ".", **values)
    t.say(
        "[there was the {thing}|{a_he} got the {thing}|{a_he} found the {thing}|the {thing} was gone][ at last|].",
        thing=thing,
        **values,
    )
    _end(t, hero, None)


def tell_help(t: Teller, world: World) -> None:
    """Somebody is in trouble, and there is a remedy."""
    hero = _begin(t, world)
    _aside(t)
    values = speaking_of(a=hero)
    t.say("[near|close to|on the way to|behind] the ", **values)
    t.word("{place} {a_he} [heard a cry|heard somebody call|heard a voice]: “help!”", place=_place(t, world), **values)
    t.say("it was")
    poor = _a_stranger(t, world, hero)
    values |= speaking_of(b=poor)
    trouble, remedy = t.pick(TROUBLES, said=lambda each: each[0])
    t.word(" {b}, who {trouble}.", trouble=trouble, **values)
    t.say(
        "“[wait|don't be afraid|have no fear|I am coming],” [called|said|shouted] {a} "
        + HOW
        + ", “I [will |can |]get the {remedy}.”",
        remedy=remedy,
        **values,
    )
    t.say("{a_he} " + WENT + " to the ", **values)
    place = _place(t, world)
    t.word(
        "{place}, [found|borrowed|got] the " + LIKE_WHAT + " {remedy} and came back " + HOW + ".",
        place=place,
        remedy=remedy,
    )
    t.say(
        "“[look|see|here]: the {remedy}!” [called|said|cried] {a} " + HOW + ".",
        remedy=remedy,
        **values,
    )
    t.say(
        "[with|thanks to] the {remedy}, {b} was [soon |quickly |]"
        + "[safe|free|saved|all right|out of trouble] [again|at last].",
        remedy=remedy,
        **values,
    )
    t.say(
        "“[you saved me|I will never forget it|what would I do without you|thank you so much],” said "
        "{b}, “[come and see me|visit me|come for dinner] {b_home}!”",
        **values,
    )
    _aside(t)
    _end(t, hero, poor)


def tell_visit(t: Teller, world: World) -> None:
    """A visit to the friend, who is at work or at home."""
    hero = _begin(t, world)
    _aside(t)
    friend = world.friend_of(hero)
    values = speaking_of(a=hero, b=friend)
    t.say("{a} [wanted|decided|was going] to visit {a_his} friend {b}, who lives {b_home}.", **values)
    t.say("{a_he} took [along |with {a_him} |]a " + LIKE_WHAT, **values)
    gift = _thing(t, world)
    t.word(" {gift} [as a present|as a surprise|for {b_him}].", gift=gift, **values)
    t.say(
        "[it was a long way|the way was short|the path was steep|the road was empty|birds sang in the "
        "trees], and {a_he} [went|walked] past the ",
        **values,
    )
    t.word("{place}.", place=_place(t, world))
    t.say(
        "[{a_he} carried the {gift}|there {a_he} put down the {gift}|{a_he} looked at the {gift}|the {gift} shook] "
        + HOW + ".", gift=gift, **values,
    )  # fmt: skip
    t.say("{a_he} knocked [once|twice|three times|" + HOW + "].", **values)
    if friend.is_person and t.one_in(2):
        assert friend.job is not None
        job = {"job": friend.job.name, "workplace": friend.job.workplace, "work": friend.job.work}
        t.say("nobody [was at home|opened|answered|came].", **values)
        t.say("[of course|no wonder|naturally|now {a_he} remembered]: {b} is a {job} and {work}.", **job, **values)
        t.say(
            "[so |]{a} [went|walked|ran] to the {workplace}, and there {b_he} was, [hard |still |already |]at work.",
            **job,
            **values,
        )
    else:
        t.say("“[who is there|come in|is that you|what a surprise],” called {b} " + HOW + ".", **values)
        t.say(
            "{b} [was just eating|had just made|was about to eat|put on the table] [some |a lot of |]{b_food}.",
            **values,
        )
    t.say("“[here is|I have brought you|look,] the {gift}[ for you|],” said {a}.", gift=gift, **values)
    t.say(
        "{b} [took|held|looked at|turned] the {gift} " + HOW + " and [was|felt] [very |so |]" + MOOD + ".",
        gift=gift,
        **values,
    )
    t.say("[the {gift} stood|the {gift} lay|the {gift} was|they left the {gift}] " + WHERE + ".", gift=gift, **values)
    t.say(
        "they [talked|laughed|sang|played|sat together|told stories|drank tea|made plans] until [it was "
        "dark|the bell rang|noon|late|the sun went down].",
        **values,
    )
    _end(t, hero, None)


def tell_dialogue(t: Teller, world: World) -> None:
    """Two talk, and ask each other what they know."""
    t.say("")
    first = _a_being(t, world)
    t.word("{a} and ", a=first.name[:1].upper() + first.name[1:])
    second = _a_stranger(t, world, first)
    values = speaking_of(a=first, b=second)
    t.word("{b} [sat|stood|met|rested|walked|waited|talked] [together |]", **values)
    place = t.pick(world.places, said=lambda each: each.at)
    t.word("{at}[ " + ONE_DAY + "|].", at=place.at)
    for turn in range(1 + t.choose(3)):
        speaker, answerer = (first, second) if turn % 2 == 0 else (second, first)
        t.say("“[tell me: |say: |now: |do you know: |I wonder: |]")
        task = ask_fact(t, world)
        t.word(
            "{question}?” " + ASKED + " {name} " + HOW + ".",
            question=task.values["question"],
            name=speaker.name,
        )
        t.say(
            "“{answer},” " + ANSWERED + " {name} " + HOW + ".",
            answer=task.answer[:1].upper() + task.answer[1:],
            name=answerer.name,
        )
        if t.one_in(3):
            t.say(
                "“[I see|really|how nice|I thought so|that is right|well, well|good to know|who would have thought].”"
            )
    t.say(
        "[then|after that|so|at last] they [went home|said goodbye|fell asleep|were silent|had to laugh|"
        "went their ways]."
    )
    _aside(t)


def tell_letter(t: Teller, world: World) -> None:
    """A letter: news, a question, a greeting."""
    t.word("Dear ")
    reader = t.pick(world.people, said=name_of)
    t.word("{b},", b=reader.name)
    t.end_line()
    is_friend = t.one_in(2)
    if is_friend:
        writer = world.friend_of(reader)
        t.say("[here writes|this is|this comes from|it is me,] your [old|best|good|dear] friend {a}.", a=writer.name)
    else:
        t.say("[this is|it is me,|you know me:|I am]")
        writer = t.pick([each for each in world.people if each is not reader], said=name_of)
        t.word(" {a}[, you remember|, an old neighbour|, if you remember|, from the village].", a=writer.name)
    t.say(
        "[how are you|are you well|did you get my last letter|do you still think of me|how do you like "
        "the [summer|winter|autumn|spring]|what do you do all day|is your house warm]?"
    )
    t.say(
        "[here|with us|at home] [all is well|nothing is new|the days are [long|short|cold|warm|busy|"
        "quiet|dark|bright]]."
    )
    values = speaking_of(a=writer, b=reader)
    topics: list[Callable[[], None]] = [
        lambda: t.say("I [still |]live {a_home}[, as you know|, and I like it| and wouldn't move|].", **values),
        lambda: t.say(
            "[yesterday|last week|on Sunday|this morning] I ate [only|some|plenty of|a lot of] "
            "{a_food}[, my favourite|, what else| again|].",
            **values,
        ),
        lambda: t.say("[do you still live|is it nice to live|is it warm] {b_home}?", **values),
        lambda: t.say(
            "I [will send|am sending|would like to bring|have kept] you some {b_food}, because you like "
            "that [so much|best|most].",
            **values,
        ),
    ]
    if writer.is_person:
        assert writer.job is not None
        job = {"job": writer.job.name, "workplace": writer.job.workplace}
        topics.append(
            lambda: t.say(
                "[at the {workplace} there is much to do|work at the {workplace} is [hard|fun|slow|long]][, "
                "as for every {job}|].",
                **job,
            )
        )
    topics.append(lambda: _news(t, world, writer, reader))
    for topic in topics:
        if t.one_in(2):
            topic()
    _aside(t)
    t.say("[come and see me soon|please write back|write to me soon|I miss you|see you on [Monday|Friday|Sunday]]!")
    t.end_line()
    t.say(
        "[your friend|your old friend,|your best friend]" if is_friend else "[best wishes|kind regards|with greetings]"
    )
    t.end_line()
    t.say("{a}", **values)


def _news(t: Teller, world: World, *without: Being) -> None:
    t.say("[have you heard|did you know|guess what]?")
    other = _a_being(t, world, *without)
    t.word(" {O} has [bought|found|lost|painted|sold|mended|made] a " + LIKE_WHAT, o=other.name)
    t.word(" {thing}.", thing=_thing(t, world))


def tell_description(t: Teller, world: World) -> None:
    """What somebody is like, and a moment of its day."""
    opening, mark = t.pick(OPENINGS, said=lambda each: each[0])
    t.say(opening)
    being = _a_being(t, world)
    values = speaking_of(a=being) | {"friend": being.friend, "colour": being.colour}
    t.word(" {a}" + mark, **values)
    told: list[Callable[[], None]] = [
        lambda: t.say("{a_he} [lives|has a [small|nice|cosy|little|tidy] home|sleeps|is at home] {a_home}.", **values),
        lambda: t.say(
            "[{a_his} favourite food is|{a_he} [often|always|mostly|gladly] eats|for dinner {a_he} has] {a_food}.",
            **values,
        ),
        lambda: t.say("{a_his} [best |good |dear |old |]friend is {friend}.", **values),
        lambda: t.say(
            "{a_his} {part} is {colour}[ like [no other|few others]|].",
            part="coat" if being.is_person else "back",
            **values,
        ),
    ]
    if being.is_person:
        assert being.job is not None
        job = {"job": being.job.name, "workplace": being.job.workplace, "work": being.job.work}
        told.append(
            lambda: t.say("{a_he} is a {job}: [every day |]{a_he} {work}[ at the {workplace}|].", **job, **values)
        )
    left = list(told)
    while left:
        left.pop(t.choose(len(left)))()
    t.say(
        "[in the morning|at noon|in the evening|at night|on Sundays|in summer|in winter|when it rains] "
        "{a_he} [often|sometimes|always|gladly] [walks|goes|runs] to the ",
        **values,
    )
    t.word("{place} [with|without|and looks for|to fetch] a " + LIKE_WHAT, place=_place(t, world))
    t.word(" {thing}.", thing=_thing(t, world))
    _aside(t)
    t.say(
        "[everybody|nobody|the whole village|{friend}] [says|knows|thinks|believes] that {a_he} is [kind|"
        "brave|clever|funny|honest|friendly|quiet|busy|strong|wise|careful|cheerful].",
        **values,
    )


def tell_facts(t: Teller, world: World) -> None:
    """Plain facts, as a small encyclopedia has them."""
    t.say("[what everybody knows|some facts|from the big book|worth knowing|remember this|a page of facts]:")
    for _ in range(4 + t.choose(5)):
        being = _a_being(t, world)
        attribute = t.pick(being.attributes)
        t.say("{fact}.", fact=statement(being, attribute))
        if t.one_in(4):
            cause, effect = t.pick(world.causes, said=lambda each: each[0])
            t.say("when {cause}, {effect}.", cause=cause, effect=effect)


def tell_lesson(t: Teller, world: World) -> None:
    """A lesson: a question, and a child that knows."""
    t.say("[in the lesson|at school|in class|under the old tree|on the last bench|" + ONE_DAY + "]")
    teacher = t.pick(world.people, said=name_of)
    t.word(" {teacher} [asked|tested|taught] the [children|class|little ones|pupils].", teacher=teacher.name)
    for _ in range(3):
        kind = t.pick_by_share(LESSONS)
        opening, rest = SPOKEN[kind]
        t.say("“" + opening)
        task = SKILLS[kind](t, world)
        t.word(rest + "”", **task.values)
        pupil = t.pick(world.others(teacher), said=name_of)
        mark = "?" if task.kind == "polite" else ","
        t.say(
            "“{answer}{mark}” " + ANSWERED + " {pupil} " + HOW + ".",
            answer=task.answer[:1].upper() + task.answer[1:],
            mark=mark,
            pupil=pupil.name,
        )
    t.say(
        "“[good|very good|right|well done|that is enough for today],” said {teacher} " + HOW + ".", teacher=teacher.name
    )
    _aside(t)


# Each as likely as the others; lessons stand here more than once, since so much is learned in them.
KINDS: tuple[tuple[str, Callable[[Teller, World], None]], ...] = (
    ("story", tell_lost),
    ("story", tell_sharing),
    ("story", tell_weather),
    ("story", tell_help),
    ("story", tell_visit),
    ("dialogue", tell_dialogue),
    ("letter", tell_letter),
    ("description", tell_description),
    ("facts", tell_facts),
    *(("lesson", tell_lesson),) * 6,
)


def tell_document(t: Teller, world: World) -> None:
    """One document of the corpus."""
    _, tell = t.pick_by_share(KINDS)
    tell(t, world)


def sample_stories(world: World, seed: int, size_bytes: int) -> Iterator[tuple[str, float]]:
    """Documents until they have `size_bytes` bytes in all, each with its surprisal in bits.

    Document number n is the same whatever the size is. Its bits are those of the choices that made it; where other
    choices would have given the same text, its true surprisal is a little lower (`telling.read` finds it).
    """
    written = number = 0
    while written < size_bytes:
        document = write(lambda teller: tell_document(teller, world), Chance(seed, "sample stories", number))
        yield document.text, document.bits
        written += len(document.text.encode())
        number += 1
