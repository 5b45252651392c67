"""Conversations: each answer becomes a row with the turns before it, and one out of order is named by its line."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from data_helpers import raw_data, split_params
from helpers import CPU, instruct_settings, tiny_gpt, trained_tokenizer

from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction, read_instructions
from groundup.data.raw import RawData
from groundup.data.sides import plan_sides, read_tokens, train_texts, write_sides, write_tokens
from groundup.data.split import SIDES
from groundup.errors import GroundupError
from groundup.evaluation import instructions as evaluate
from groundup.tasks.instruct import Answer, InstructionRows, InstructTask
from groundup.train.checkpoint import save_model
from groundup.use.chat import Chat

ALPACA = {"instruction": "Say hello.", "output": "Hello."}
TURNS = [("user", "Who are you?"), ("assistant", "A cat."), ("user", "And he?"), ("assistant", "A rat.")]


def openai(*turns, **further):
    return {"messages": [{"role": role, "content": text} for role, text in turns], **further}


def sharegpt(*turns, **further):
    names = {"user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names.get(role, role), "value": text} for role, text in turns], **further}


def written(folder, rows, name="chats.jsonl"):
    path = folder / name
    text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def refused(path):
    with pytest.raises(GroundupError) as caught:
        read_instructions(path)
    said = str(caught.value)
    assert "\n" not in said
    assert "; got " in said
    assert "; to mend it: " in said
    return said


@pytest.mark.parametrize("form", [openai, sharegpt])
@pytest.mark.parametrize("name", ["chats.jsonl", "chats.json"])
def test_each_answer_is_a_row_with_the_turns_before_it(tmp_path, form, name):
    first, second = read_instructions(written(tmp_path, [form(*TURNS)], name))
    assert (first.instruction, first.input, first.output, first.history) == ("Who are you?", "", "A cat.", ())
    assert (second.instruction, second.output) == ("And he?", "A rat.")
    assert second.history == (("Who are you?", "A cat."),)
    assert first.group == second.group != ""
    assert first.kind == second.kind == ""


@pytest.mark.parametrize("form", [openai, sharegpt])
def test_what_the_system_says_stands_before_the_first_question(tmp_path, form):
    first, second = read_instructions(written(tmp_path, [form(("system", "Be short."), *TURNS)]))
    assert first.instruction == "Be short.\n\nWho are you?"
    assert second.instruction == "And he?"
    assert second.history == (("Be short.\n\nWho are you?", "A cat."),)


def test_all_forms_may_stand_in_one_file(tmp_path):
    rows = read_instructions(written(tmp_path, [ALPACA, openai(*TURNS), sharegpt(*TURNS[:2])]))
    assert [row.output for row in rows] == ["Hello.", "A cat.", "A rat.", "A cat."]


def test_a_row_with_an_instruction_is_no_conversation(tmp_path):
    rows = read_instructions(written(tmp_path, [{**ALPACA, "messages": "whatever", "conversations": 3}]))
    assert rows == [Instruction("Say hello.", "", "Hello.")]


def test_parts_of_text_are_put_together(tmp_path):
    parts = [{"type": "text", "text": "Who are"}, {"type": "text", "text": " you?"}]
    row = openai(("user", parts), ("assistant", [{"type": "text", "text": "A cat."}]))
    assert read_instructions(written(tmp_path, [row])) == [Instruction("Who are you?", "", "A cat.")]


def test_a_conversation_has_the_group_of_its_content_or_the_one_that_is_named(tmp_path):
    other = openai(("user", "Who?"), *TURNS[1:])
    named = openai(*TURNS, group="cats", kind="small talk")
    rows = read_instructions(written(tmp_path, [openai(*TURNS), sharegpt(*TURNS), other, named, openai(*TURNS[:2])]))
    groups = [row.group for row in rows]
    assert groups[0] == groups[1] == groups[2] == groups[3] != groups[4] == groups[5]
    assert groups[6:8] == ["cats", "cats"]
    assert [row.kind for row in rows[6:8]] == ["small talk", "small talk"]
    elsewhere = read_instructions(written(tmp_path, [openai(*TURNS[:3], ("assistant", "A dog."))]))
    assert elsewhere[0].group != groups[0]  # as the end of it differs
    assert groups[8] == ""  # one question alone is compared with all others, as any instruction is


BAD = [
    ({"messages": []}, "has no list of turns under messages; got []"),
    ({"messages": None}, "has no list of turns under messages; got nothing"),
    ({"conversations": {"from": "human"}}, "has no list of turns under conversations"),
    ({"messages": ["hello"]}, "turn 1 is not an object; got hello"),
    (
        openai(("tool", "a"), TURNS[1]),
        "turn 1 has no known role under role; got tool; allowed: system, user, assistant",
    ),
    (openai(("human", "a"), TURNS[1]), "turn 1 has no known role under role; got human"),
    (openai((["user"], "a"), TURNS[1]), "turn 1 has no known role under role"),
    ({"messages": [{"content": "a"}]}, "turn 1 has no known role under role; got nothing"),
    (sharegpt(TURNS[0], ("bard", "a")), "turn 2 has no known role under from; got bard; allowed: system, human, gpt"),
    (openai(TURNS[0]), "has no turn of the assistant; got user; allowed: a system turn first"),
    (openai(("system", "a")), "has no turn of the assistant; got system"),
    (openai(TURNS[0], *TURNS), "turn 2 is not the assistant's; got user"),
    (openai(TURNS[0], TURNS[1], TURNS[1]), "turn 3 is not the user's; got assistant"),
    (sharegpt(*TURNS[1:]), "turn 1 is not the user's; got assistant"),
    (openai(("system", "a"), TURNS[1]), "turn 2 is not the user's; got assistant"),
    (openai(("system", "a"), ("system", "b"), *TURNS), "turn 2 is not the user's; got system"),
    (openai(*TURNS[:2], ("system", "b"), *TURNS[2:]), "turn 3 is not the user's; got system"),
    (openai(*TURNS[:3]), "ends without an answer"),
    (openai(TURNS[0], ("assistant", "  ")), "turn 2 has no text under content"),
    (openai(TURNS[0], ("assistant", "")), "turn 2 has no text under content; got nothing"),
    (openai(("system", ""), *TURNS), "turn 1 has no text under content"),
    (openai(TURNS[0], ("assistant", None)), "turn 2 has no text under content; got nothing"),
    (openai(TURNS[0], ("assistant", 3)), "turn 2 has no text under content; got 3"),
    (openai(("user", [{"type": "image_url", "image_url": "x"}]), TURNS[1]), "turn 1 has no text under content; got [{"),
    (openai(("user", [{"type": "text", "text": "a"}, {"type": "image_url"}]), TURNS[1]), "turn 1 has no text under"),
    (openai(("user", [{"type": "text", "text": 3}]), TURNS[1]), "turn 1 has no text under content"),
    (openai(("user", []), TURNS[1]), "turn 1 has no text under content; got []"),
    ({"conversations": [{"from": "human", "content": "a"}]}, "turn 1 has no text under value; got nothing"),
    (openai(TURNS[0], ("assistant", "half \ud83d")), "turn 2 holds half a character"),
    (openai(*TURNS, kind=3), "has no text under kind; got 3"),
    (openai(*TURNS, group=["a"]), "has no text under group"),
]


@pytest.mark.parametrize(("row", "said"), BAD)
@pytest.mark.parametrize(("name", "where"), [("chats.jsonl", "line 2"), ("chats.json", "row 2")])
def test_a_conversation_that_is_not_in_order_is_named_by_its_place(tmp_path, name, where, row, said):
    path = written(tmp_path, [openai(*TURNS), row], name)
    heard = refused(path)
    assert heard.startswith(f"{path}: {where}")
    assert said in heard


def conversations(n):
    """Conversations of one to three turns that share no words but those of the form."""
    return [
        openai(
            *[
                turn
                for number in range(1 + at % 3)
                for turn in (("user", f"ask{at}x{number} what{at}?"), ("assistant", f"say{at}x{number}."))
            ]
        )
        for at in range(n)
    ]


def letters(text):
    """The text with its numbers as letters, since the split takes all digits for equal."""
    return "".join(chr(ord("a") + int(character)) if character.isdigit() else character for character in text)


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "chats.jsonl"
    path.write_text(letters("".join(json.dumps(row) + "\n" for row in conversations(60))), encoding="utf-8")
    data = raw_data()
    return RawData(data.documents, data.messages, read_instructions(path))


def test_all_rows_of_a_conversation_stay_on_one_side(raw):
    plan = plan_sides(raw, split_params(), seed=1)
    sides_of = {}
    for row, side in zip(raw.instructions, plan.instructions, strict=True):
        if row.group:
            sides_of.setdefault(row.group, set()).add(side)
    assert len(sides_of) == 40
    assert {len(sides) for sides in sides_of.values()} == {1}
    assert {side for sides in sides_of.values() for side in sides} == set(SIDES)


def test_the_same_last_question_of_two_conversations_does_not_bind_them(tmp_path):
    rows = [
        openai(("user", letters(f"tell{at} me{at}")), TURNS[1], ("user", "Why?"), ("assistant", letters(f"so{at}")))
        for at in range(30)
    ]
    read = read_instructions(written(tmp_path, rows))
    plan = plan_sides(RawData([], [], read), split_params(), seed=1)
    assert [plan.instructions.count(side) for side in SIDES] == [36, 12, 12]


def test_a_prompt_with_turns_has_the_tokens_that_a_chat_gives_it(raw, tmp_path):
    tokenizer = trained_tokenizer()
    write_tokens(raw, tokenizer, tmp_path / "tokens")
    back, _ = read_tokens(tmp_path / "tokens")
    assert back.instructions == raw.instructions
    rows = InstructionRows.load(tmp_path / "tokens" / "instructions")
    model = tiny_gpt(vocab_size=tokenizer.vocab_size, context_length=2000)
    seen = set()
    for index, row in enumerate(raw.instructions):
        talk = Chat(model, tokenizer, max_new_tokens=8, turns=9, said=list(row.history))
        assert rows.prompt(index).tolist() == talk.prompt(row.instruction)
        assert tokenizer.decode(rows.store[index][rows.prompt_lengths[index] :]) == row.output
        seen.add(len(row.history))
    assert seen == {0, 1, 2}
    assert np.load(tmp_path / "tokens" / "instructions" / PROMPT_LENGTHS_FILE).shape == (120,)


def test_the_oldest_turns_give_way_where_the_context_is_short(raw, tmp_path):
    tokenizer = trained_tokenizer()
    write_tokens(raw, tokenizer, tmp_path)
    rows = InstructionRows.load(tmp_path / "instructions")
    model = tiny_gpt(vocab_size=tokenizer.vocab_size, context_length=2000)
    index = next(at for at, row in enumerate(raw.instructions) if len(row.history) == 2)
    row = raw.instructions[index]
    answer = len(rows.store[index]) - int(rows.prompt_lengths[index])
    for kept in (2, 1, 0):
        prompt = Chat(model, tokenizer, 8, turns=kept, said=list(row.history)).prompt(row.instruction)
        exactly = len(prompt) + answer - 1
        for context in (exactly, exactly + 1):
            cut = rows.within(context)
            assert cut.prompt(index).tolist() == prompt
            assert cut.store[index][len(prompt) :].tolist() == rows.store[index][-answer:].tolist()
            assert index in cut.fitting(context)
    assert rows.within(exactly - 1).prompt(index).tolist() == prompt  # the question alone, which does not fit either
    assert index not in rows.within(exactly - 1).fitting(exactly - 1)


def test_training_and_evaluation_leave_out_the_turns_that_do_not_fit(raw, tmp_path, monkeypatch):
    tokenizer = trained_tokenizer()
    write_tokens(raw, tokenizer, tmp_path / "tokens")
    rows = InstructionRows.load(tmp_path / "tokens" / "instructions")
    context = int(rows.store.lengths.max()) - 10  # room for all but the longest conversations
    shortened = rows.within(context)
    assert 0 < len(rows.fitting(context)) < len(shortened.fitting(context)) == len(rows.rows)
    task = InstructTask(rows, rows, tokenizer, instruct_settings(), context, 0, CPU)
    assert task.fitting.tolist() == list(range(len(rows.rows)))
    assert task.validation.store.tokens.tolist() == task.train.store.tokens.tolist() == shortened.store.tokens.tolist()

    model = tiny_gpt(vocab_size=tokenizer.vocab_size, context_length=context)
    (tmp_path / "instructed").mkdir()
    save_model(tmp_path / "instructed", model, tokenizer, {})
    read = []

    def remember(model, rows, *others):
        read.append([rows.prompt(index).tolist() for index in range(len(rows.rows))])
        return [Answer("", ended=True) for _ in rows.rows]

    monkeypatch.setattr(evaluate, "answers", remember)
    monkeypatch.setattr(evaluate, "response_losses", lambda model, rows, batch_size: (np.zeros(0), np.zeros(0)))
    settings = SimpleNamespace(response_tokens=4, batch_size=8, confidence=0.95)
    evaluated = evaluate.evaluate_instructions(tmp_path / "instructed", rows, [], settings, 1, CPU)
    assert read == [[shortened.prompt(index).tolist() for index in range(len(rows.rows))]]
    histories = [row.get("history", []) for row in evaluated.samples]
    assert histories == [[list(turn) for turn in row.history] for row in raw.instructions]


def test_rows_without_turns_before_them_are_what_they_were(raw, tmp_path):
    alone = RawData(raw.documents, raw.messages, [row for row in raw.instructions if not row.history])
    write_tokens(alone, trained_tokenizer(), tmp_path)
    assert "history" not in (tmp_path / "instructions" / "rows.jsonl").read_text(encoding="utf-8")
    rows = InstructionRows.load(tmp_path / "instructions")
    assert rows.within(3) is rows


def test_sides_and_vocabulary_are_made_of_conversations(raw, tmp_path):
    write_tokens(raw, trained_tokenizer(), tmp_path / "tokens")
    report = write_sides(tmp_path / "tokens", tmp_path / "splits", split_params(), seed=1)
    assert report["instructions"]["group_leaks"] == report["leaks"] == 0
    plan = plan_sides(raw, split_params(), seed=1)
    texts = "".join(train_texts(raw, plan, ["instructions"]))
    for row, side in zip(raw.instructions, plan.instructions, strict=True):
        assert (row.output in texts) == (side == "train")
        assert texts.count(f"\n{row.instruction}\n") == (side == "train")  # once, not again before later turns
    for side in SIDES:
        rows = InstructionRows.load(tmp_path / "splits" / "instructions" / side)
        wanted = [row for row, given in zip(raw.instructions, plan.instructions, strict=True) if given == side]
        assert rows.rows == wanted
