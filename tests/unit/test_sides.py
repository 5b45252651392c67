"""tokenize and split agree: the vocabulary learns from the train side only, and the sides hold what was planned."""

import dataclasses
from itertools import chain

import numpy as np
import pytest
from data_helpers import contents, paragraph, raw_data, split_params, story, tokenize_params

from groundup.data import sides as sides_module
from groundup.data.corpus import Document
from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction, format_prompt
from groundup.data.messages import Message
from groundup.data.raw import RawData
from groundup.data.rows import ROWS_FILE, read_rows
from groundup.data.sides import make_tokenizer, plan_sides, read_tokens, train_texts, write_sides, write_tokens
from groundup.data.split import SIDES
from groundup.data.split_corpus import Cut, passages_on_side
from groundup.data.token_store import SURPRISAL_FILE, TokenStore
from groundup.errors import GroundupError
from groundup.tokenizer.bpe import byte_alphabet
from groundup.tokenizer.encoding import Tokenizer

KINDS = ("corpus", "messages", "instructions")
SPLIT = split_params()


def of_side(raw, plan, side):
    """The passages that a side has of the first document."""
    return list(passages_on_side(raw.documents[0], plan.documents[0], side))


@pytest.fixture(scope="module")
def raw():
    return raw_data()


@pytest.fixture(scope="module")
def bytes_only():
    """The smallest tokenizer: every byte a token."""
    return Tokenizer([bytes([byte]) for byte in byte_alphabet()])


@pytest.fixture(scope="module")
def tokens(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(raw, make_tokenizer(raw, folder, tokenize_params(train_on=KINDS), SPLIT, 1), folder)
    return folder


@pytest.fixture(scope="module")
def written(tokens, tmp_path_factory):
    """The sides and the report of the small data."""
    folder = tmp_path_factory.mktemp("sides")
    return folder, write_sides(tokens, folder, SPLIT, 1)


def test_the_plan_gives_each_text_a_side(raw):
    plan = plan_sides(raw, SPLIT, 1)
    assert len(plan.documents) == len(raw.documents)
    assert len(plan.messages) == len(raw.messages)
    assert len(plan.instructions) == len(raw.instructions)
    assert set(plan.messages) == set(plan.instructions) == set(SIDES)


def test_another_seed_is_another_plan(raw):
    assert plan_sides(raw, SPLIT, 1).messages != plan_sides(raw, SPLIT, 2).messages
    assert plan_sides(raw, SPLIT, 1) == plan_sides(raw, SPLIT, 1)


def test_instructions_of_one_question_stay_on_one_side(raw):
    again = [dataclasses.replace(row, output="Another answer.") for row in raw.instructions]
    both = RawData([], [], raw.instructions + again)
    for seed in range(5):
        plan = plan_sides(both, SPLIT, seed).instructions
        assert plan[: len(again)] == plan[len(again) :]


def test_train_texts_are_those_of_the_kinds_asked_for(raw):
    plan = plan_sides(raw, SPLIT, 1)
    assert "".join(train_texts(raw, plan, ["corpus"])) == "".join(of_side(raw, plan, "train"))
    assert raw.documents[0].text.startswith("".join(train_texts(raw, plan, ["corpus"])))
    wanted = [row.text for row, side in zip(raw.messages, plan.messages, strict=True) if side == "train"]
    assert list(train_texts(raw, plan, ["messages"])) == wanted
    wanted = [
        format_prompt(row.instruction, row.input) + row.output
        for row, side in zip(raw.instructions, plan.instructions, strict=True)
        if side == "train"
    ]
    assert list(train_texts(raw, plan, ["instructions"])) == wanted
    assert list(train_texts(raw, plan, [])) == []


@pytest.mark.parametrize("side", ["validation", "test"])
def test_the_vocabulary_does_not_depend_on_text_outside_the_train_side(raw, tmp_path, side):
    params = tokenize_params(train_on=KINDS, vocab_size=320)
    plan = plan_sides(raw, SPLIT, 1)
    passages = {each: of_side(raw, plan, each) for each in SIDES}
    text = "".join(
        # The same number of bytes, so that the cuts stay where they are.
        "".join(passages[each]).translate(str.maketrans("aeiot", "zqxjk")) if each == side else "".join(passages[each])
        for each in SIDES
    )
    assert text != raw.documents[0].text
    answers = [
        dataclasses.replace(row, output="zqxj zqxj zqxj zqxj") if given == side else row
        for row, given in zip(raw.instructions, plan.instructions, strict=True)
    ]
    changed = RawData([Document("story", text, whole_source=True)], raw.messages, answers)
    before = make_tokenizer(raw, tmp_path, params, SPLIT, 1).vocabulary
    assert make_tokenizer(changed, tmp_path, params, SPLIT, 1).vocabulary == before


def test_the_vocabulary_depends_on_the_train_side(raw, tmp_path):
    params = tokenize_params(vocab_size=320)
    changed = RawData([Document("story", "zqxj " * 30 + raw.documents[0].text, whole_source=True)], [], [])
    before = make_tokenizer(raw, tmp_path, params, SPLIT, 1).vocabulary
    assert make_tokenizer(changed, tmp_path, params, SPLIT, 1).vocabulary != before


def test_the_vocabulary_has_the_size_that_was_asked_for(raw, tmp_path):
    assert make_tokenizer(raw, tmp_path, tokenize_params(vocab_size=333), SPLIT, 1).vocab_size == 333


def test_a_vocabulary_that_the_texts_cannot_fill_is_refused_with_what_they_can(raw, tmp_path):
    with pytest.raises(GroundupError) as caught:
        make_tokenizer(raw, tmp_path, tokenize_params(vocab_size=50_000), SPLIT, 1)
    assert "tokenize.vocab_size is larger than the train texts can fill; got 50000" in str(caught.value)
    possible = int(str(caught.value).split("at most ")[1].split(" ")[0])
    assert make_tokenizer(raw, tmp_path, tokenize_params(vocab_size=possible), SPLIT, 1).vocab_size == possible


def test_gpt2_is_loaded_from_its_files_not_trained(raw, bytes_only, tmp_path):
    bytes_only.save(tmp_path / "vocabulary" / "gpt2")
    loaded = make_tokenizer(raw, tmp_path, tokenize_params(tokenizer="gpt2"), SPLIT, 1)
    assert loaded.vocabulary == bytes_only.vocabulary


def test_tokens_come_back_as_the_texts_they_were_made_of(raw, tokens):
    found, tokenizer = read_tokens(tokens)
    assert dataclasses.replace(found, documents=list(found.documents)) == raw
    assert tokenizer.vocab_size == 300


def test_odd_texts_survive_tokens_and_rows(bytes_only, tmp_path):
    raw = RawData(
        [Document("a", "ü \u2028 \x85 <|endoftext|> 漢字 🙂\n\n\ttab\n", whole_source=True)],
        [Message("ham", 'a\u2028b "c" <|endoftext|>'), Message("spam", "\x00\x1f")],
        [Instruction("q\n\nr", "", "ä\u2029")],
    )
    write_tokens(raw, bytes_only, tmp_path)
    found, _ = read_tokens(tmp_path)
    assert dataclasses.replace(found, documents=list(found.documents)) == raw


def test_every_text_ends_with_one_end_of_text_token(tokens):
    tokenizer = Tokenizer.load(tokens / "tokenizer")
    for kind in KINDS:
        store = TokenStore.load(tokens / kind)
        for index in range(len(store)):
            assert np.flatnonzero(store[index] == tokenizer.end_of_text_id).tolist() == [len(store[index]) - 1]


def test_prompt_and_answer_are_told_apart_by_length(raw, tokens):
    tokenizer, store = Tokenizer.load(tokens / "tokenizer"), TokenStore.load(tokens / "instructions")
    lengths = np.load(tokens / "instructions" / PROMPT_LENGTHS_FILE)
    for index, row in enumerate(raw.instructions):
        prompt, answer = np.split(store[index], [lengths[index]])
        assert prompt.tolist() == tokenizer.encode(format_prompt(row.instruction, row.input))
        assert tokenizer.decode(answer.tolist()) == row.output


def test_token_figures_are_counted_from_the_texts(raw, bytes_only, tmp_path):
    figures = write_tokens(raw, bytes_only, tmp_path)
    n_bytes = len(raw.documents[0].text.encode())
    assert figures["vocab_size"] == 257
    assert figures["corpus"] == {
        "documents": 1,
        "tokens": n_bytes + 1,
        "bytes_per_token": round(n_bytes / (n_bytes + 1), 4),
        "longest": n_bytes + 1,
    }
    assert figures["messages"]["documents"] == len(raw.messages)
    assert figures["messages"]["longest"] == max(len(row.text) for row in raw.messages) + 1


def test_rows_on_disk_are_those_of_the_plan(raw, written):
    folder, _ = written
    plan = plan_sides(raw, SPLIT, 1)
    for side in SIDES:
        wanted = [vars(row) for row, given in zip(raw.messages, plan.messages, strict=True) if given == side]
        assert read_rows(folder / "messages" / side / ROWS_FILE) == wanted
        wanted = [row.as_row() for row, given in zip(raw.instructions, plan.instructions, strict=True) if given == side]
        assert read_rows(folder / "instructions" / side / ROWS_FILE) == wanted


def test_tokens_on_disk_spell_the_rows_beside_them(tokens, written):
    folder, _ = written
    tokenizer = Tokenizer.load(tokens / "tokenizer")
    for side in SIDES:
        store = TokenStore.load(folder / "messages" / side)
        rows = read_rows(folder / "messages" / side / ROWS_FILE)
        assert [tokenizer.decode(store[n].tolist()) for n in range(len(store))] == [row["text"] for row in rows]
        store = TokenStore.load(folder / "instructions" / side)
        lengths = np.load(folder / "instructions" / side / PROMPT_LENGTHS_FILE)
        rows = read_rows(folder / "instructions" / side / ROWS_FILE)
        assert len(store) == len(lengths) == len(rows)
        for n, row in enumerate(rows):
            prompt = format_prompt(row["instruction"], row["input"])
            assert tokenizer.decode(store[n][: lengths[n]].tolist()) == prompt
            assert tokenizer.decode(store[n].tolist()) == prompt + row["output"]


def test_the_sides_of_the_corpus_are_those_of_the_plan_and_the_vocabulary(raw, tokens, written):
    folder, _ = written
    tokenizer = Tokenizer.load(tokens / "tokenizer")
    plan = plan_sides(raw, SPLIT, 1)
    for side in SIDES:
        store = TokenStore.load(folder / "corpus" / side)
        assert len(store) == 1
        assert tokenizer.decode(store[0].tolist()) == "".join(of_side(raw, plan, side))
        assert store[0][-1] == tokenizer.end_of_text_id
    train = tokenizer.decode(TokenStore.load(folder / "corpus" / "train").tokens.tolist())
    assert train == "".join(train_texts(raw, plan, ["corpus"]))


def test_the_report_counts_what_was_written(raw, written):
    folder, report = written
    assert report["leaks"] == report["near_leaks"] == 0
    for kind in ("messages", "instructions"):
        assert report[kind]["texts"] == {side: len(TokenStore.load(folder / kind / side)) for side in SIDES}
        assert report[kind]["copies_left_out"] == 0
    assert sum(report["corpus"]["bytes"].values()) == len(raw.documents[0].text.encode())
    for side in SIDES:
        labels = [row["label"] for row in read_rows(folder / "messages" / side / ROWS_FILE)]
        share = labels.count("spam") / len(labels)
        assert report["messages"]["shares"][side]["spam"] == pytest.approx(share, abs=1e-4)
        assert share == pytest.approx(0.25, abs=0.1)


def test_copies_are_counted(raw, bytes_only, tmp_path):
    doubled = RawData(raw.documents, raw.messages + raw.messages[:3], raw.instructions + raw.instructions[:2])
    write_tokens(doubled, bytes_only, tmp_path / "tokens")
    report = write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)
    assert report["messages"]["copies_left_out"] == 3
    assert report["instructions"]["copies_left_out"] == 2
    assert sum(report["messages"]["texts"].values()) == len(raw.messages)


def test_writing_the_sides_twice_gives_the_same_bytes(tokens, written, tmp_path):
    write_sides(tokens, tmp_path, SPLIT, 1)
    assert contents(tmp_path) == contents(written[0])


def test_what_is_added_to_the_corpus_is_the_train_side_only(raw, tokens, written, tmp_path):
    split = split_params(add_to_corpus=("messages", "instructions"))
    write_sides(tokens, tmp_path, split, 1)
    tokenizer = Tokenizer.load(tokens / "tokenizer")
    plan = plan_sides(raw, split, 1)
    train = TokenStore.load(tmp_path / "corpus" / "train")
    added = [tokenizer.decode(train[n].tolist()) for n in range(len(train))][1:]
    assert added == list(train_texts(raw, plan, ["messages", "instructions"]))
    outside = {row.text for row, side in zip(raw.messages, plan.messages, strict=True) if side != "train"}
    assert outside
    assert not outside & set(added)
    for side in ("validation", "test"):
        assert contents(tmp_path / "corpus" / side) == contents(written[0] / "corpus" / side)


def test_a_text_that_the_corpus_keeps_for_another_side_is_not_added(raw, bytes_only, tmp_path):
    split = split_params(add_to_corpus=("messages",))
    added = train_texts(raw, plan_sides(raw, split, 1), ["messages"])
    notes = [Document("notes", text.upper(), whole_source=False) for text in added]
    write_tokens(dataclasses.replace(raw, documents=notes), bytes_only, tmp_path / "tokens")
    write_sides(tmp_path / "tokens", tmp_path / "sides", split, 1)
    texts = {}
    for side in SIDES:
        store = TokenStore.load(tmp_path / "sides" / "corpus" / side)
        texts[side] = [bytes_only.decode(store[n].tolist()).upper() for n in range(len(store))]
    assert sorted(set(texts["train"])) == sorted(texts["train"][: len(texts["train"]) // 2])
    assert not set(texts["train"]) & {*texts["validation"], *texts["test"]}


@pytest.mark.parametrize(
    ("unknown", "added", "written"), [(False, (), True), (True, (), False), (False, ("messages",), False)]
)
def test_bits_are_written_where_they_are_known_of_all_texts(raw, bytes_only, tmp_path, unknown, added, written):
    notes = [Document("notes", paragraph(number), False, surprisal_bits=number / 2) for number in range(20)]
    if unknown:
        notes = [*notes, *(Document("others", paragraph(number), False) for number in range(20, 50))]
    write_tokens(dataclasses.replace(raw, documents=notes), bytes_only, tmp_path / "tokens")
    write_sides(tmp_path / "tokens", tmp_path / "sides", split_params(add_to_corpus=added), 1)
    path = tmp_path / "sides" / "corpus" / "train" / SURPRISAL_FILE
    assert path.exists() == written
    if written:
        store = TokenStore.load(path.parent)
        bits_of = {note.text: note.surprisal_bits for note in notes}
        assert np.load(path).tolist() == [bits_of[bytes_only.decode(store[n].tolist())] for n in range(len(store))]


def leaking(monkeypatch, texts, side):
    """Make the split put one more row, of a kind that is found by its texts, on another side."""
    honest = sides_module.assign

    def assign(rows, shares, seed, similarity=1.0):
        sides = honest(rows, shares, seed, similarity)
        for index, row in enumerate(rows):
            if row.text in texts:
                sides[index] = side
        return sides

    monkeypatch.setattr(sides_module, "assign", assign)


@pytest.mark.parametrize("kind", ["messages", "instructions"])
@pytest.mark.parametrize("how", ["exact", "near"])
def test_a_split_that_leaks_is_refused(raw, bytes_only, tmp_path, monkeypatch, kind, how):
    def twin(text):
        return text.upper() if how == "exact" else f"{text} indeed"

    if kind == "messages":
        copies = [Message("ham", twin(raw.messages[1].text))]
        found = {copies[0].text}
        planted = RawData(raw.documents, raw.messages + copies, raw.instructions)
        original_side = plan_sides(planted, SPLIT, 1).messages[1]
    else:
        copies = [dataclasses.replace(raw.instructions[0], instruction=twin(raw.instructions[0].instruction))]
        found = {f"{copies[0].instruction}\n{copies[0].input}"}
        planted = RawData(raw.documents, raw.messages, raw.instructions + copies)
        original_side = plan_sides(planted, SPLIT, 1).instructions[0]
    write_tokens(planted, bytes_only, tmp_path / "tokens")
    write_sides(tmp_path / "tokens", tmp_path / "honest", SPLIT, 1)
    leaking(monkeypatch, found, next(side for side in SIDES if side != original_side))
    with pytest.raises(GroundupError, match="texts stand on more than one side") as caught:
        write_sides(tmp_path / "tokens", tmp_path / "leaking", SPLIT, 1)
    assert ("1 exact, 0 near" if how == "exact" else "0 exact, 1 near") in str(caught.value)


def test_a_passage_on_two_sides_of_the_corpus_is_refused(raw, bytes_only, tmp_path, monkeypatch):
    write_tokens(raw, bytes_only, tmp_path / "tokens")
    honest = sides_module.assign_documents

    class Leaking(Cut):
        def passages(self, document, side):
            first = list(super().passages(document, "train"))[:1] if side == "test" else []
            return chain(first, super().passages(document, side))

    def assign_documents(documents, shares, seed):
        return [Leaking(**vars(cut)) for cut in honest(documents, shares, seed)]

    monkeypatch.setattr(sides_module, "assign_documents", assign_documents)
    with pytest.raises(GroundupError, match="1 exact, 0 near"):
        write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)


def test_a_repeated_passage_is_written_once(bytes_only, raw, tmp_path):
    refrain = paragraph(500) + "\n\n"
    text = refrain + story(30) + "\n" + refrain + paragraph(501)
    planted = RawData([Document("story", text, whole_source=True)], raw.messages, raw.instructions)
    write_tokens(planted, bytes_only, tmp_path / "tokens")
    report = write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)
    texts = {
        side: bytes_only.decode(TokenStore.load(tmp_path / "sides" / "corpus" / side).tokens.tolist()) for side in SIDES
    }
    assert [refrain.strip() in texts[side] for side in SIDES] == [True, False, False]
    assert texts["test"].endswith(paragraph(501))
    assert report["leaks"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_side_without_text_is_refused(raw, bytes_only, tmp_path, kind):
    few = {
        "corpus": dataclasses.replace(raw, documents=[Document("a", "One line only.", whole_source=True)]),
        "messages": dataclasses.replace(raw, messages=raw.messages[:2]),
        "instructions": dataclasses.replace(raw, instructions=raw.instructions[:2]),
    }[kind]
    write_tokens(few, bytes_only, tmp_path / "tokens")
    with pytest.raises(GroundupError, match=rf"split: {kind} has too little text for its .*test side"):
        write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)


def test_a_corpus_of_short_lines_is_enough_text(raw, bytes_only, tmp_path):
    """Passages too short to be compared are text all the same."""
    lines = "\n\n".join(f"Line {chr(97 + n % 26)}{chr(97 + n // 26)}, short." for n in range(60))
    poem = dataclasses.replace(raw, documents=[Document("poem", lines, whole_source=True)])
    write_tokens(poem, bytes_only, tmp_path / "tokens")
    report = write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)
    assert all(report["corpus"]["bytes"][side] > 0 for side in SIDES)


def test_a_document_that_repeats_a_passage_of_another_file_is_no_bug(raw, bytes_only, tmp_path):
    """Someone's notes may quote a story; the quotation must not stand on a second side, nor stop the split."""
    notes = [Document("notes", paragraph(number), whole_source=False) for number in range(20)]
    quoting = dataclasses.replace(raw, documents=[*raw.documents, *notes])
    write_tokens(quoting, bytes_only, tmp_path / "tokens")
    report = write_sides(tmp_path / "tokens", tmp_path / "sides", SPLIT, 1)
    assert report["corpus"]["leaks"] == 0
