"""From raw text to token arrays, and from those to three sides: the work of `tokenize` and `split`.

Both stages ask `plan_sides` which text goes where. It depends on the texts and the seed alone, so the vocabulary that
`tokenize` trains has seen exactly the text that `split` then calls the train side.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, get_args

import numpy as np

from groundup.config import SplitParams, TextKind, TokenizeParams
from groundup.data.corpus_sides import SideTexts, count_shared, numbers_of_passages, read_side, write_corpus_side
from groundup.data.corpus_tokens import TokenCorpus, TokenFile, write_corpus
from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction, format_prompt, history_tokens
from groundup.data.messages import Message
from groundup.data.raw import RawData
from groundup.data.rows import ROWS_FILE, read_rows, write_rows
from groundup.data.split import SIDES, Row, Side, assign, count_leaks, normalise
from groundup.data.split_corpus import Placing, assign_documents, passages_on_side, text_number
from groundup.data.token_store import TokenStore, save_array, write_token_store
from groundup.errors import GroundupError
from groundup.tokenizer.bpe import train_bpe
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE, Tokenizer

TOKENIZER_FOLDER = "tokenizer"


@dataclass(frozen=True)
class SidePlan:
    """For each document where it goes, for each message and instruction its side (None: a copy, left out)."""

    documents: list[Placing]
    messages: list[Side | None]
    instructions: list[Side | None]


def plan_sides(raw: RawData, split: SplitParams, seed: int) -> SidePlan:
    """Decide for every text which side it goes to."""
    shares = (split.train, split.validation, split.test)
    similarity = split.near_duplicate_similarity
    return SidePlan(
        documents=assign_documents(raw.documents, shares, seed),
        messages=assign([Row(row.text, row.label) for row in raw.messages], shares, seed, similarity),
        instructions=assign(
            [Row(_question(row), row.kind, row.output, row.group) for row in raw.instructions], shares, seed, similarity
        ),
    )


def _question(row: Instruction) -> str:
    """All that stands before the answer, so that the same last question of two conversations makes no copy."""
    before = "".join(f"{asked}\n{answered}\n" for asked, answered in row.history)
    return f"{before}{row.instruction}\n{row.input}"


def train_texts(raw: RawData, plan: SidePlan, kinds: Sequence[TextKind]) -> Iterator[str]:
    """The texts of the train side, of the kinds that are asked for."""
    if "corpus" in kinds:
        for document, placing in zip(raw.documents, plan.documents, strict=True):
            yield from passages_on_side(document, placing, "train")
    if "messages" in kinds:
        yield from (row.text for row, side in zip(raw.messages, plan.messages, strict=True) if side == "train")
    if "instructions" in kinds:
        for row, side in zip(raw.instructions, plan.instructions, strict=True):
            if side == "train":
                yield format_prompt(row.instruction, row.input) + row.output


def make_tokenizer(
    raw: RawData, raw_folder: Path, tokenize: TokenizeParams, split: SplitParams, seed: int
) -> Tokenizer:
    """The tokenizer that the parameters ask for: GPT-2's from its files, or one trained on the train side."""
    if tokenize.tokenizer == "gpt2":
        return Tokenizer.load(raw_folder / "vocabulary" / "gpt2")
    if tokenize.tokenizer == "given":
        return _given_tokenizer(raw_folder / "weights" / "pretrain", tokenize.vocab_size)
    vocabulary = train_bpe(train_texts(raw, plan_sides(raw, split, seed), tokenize.train_on), tokenize.vocab_size)
    if len(vocabulary) + 1 < tokenize.vocab_size:
        raise GroundupError(
            "tokenize.vocab_size is larger than the train texts can fill",
            got=tokenize.vocab_size,
            allowed=f"at most {len(vocabulary) + 1} for these texts",
            do="lower tokenize.vocab_size or add text",
        )
    return Tokenizer(vocabulary)


def _given_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    if not (folder / ENCODER_FILE).is_file() or not (folder / MERGES_FILE).is_file():
        raise GroundupError(
            "tokenize.tokenizer given: there is no vocabulary beside the weights of pretrain.init",
            allowed=f"{ENCODER_FILE} and {MERGES_FILE}, or vocab.json and merges.txt",
            do="put both files there, or set tokenize.tokenizer to bpe or gpt2",
        )
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size != vocab_size:
        raise GroundupError(
            "tokenize.vocab_size is not that of the given vocabulary",
            got=vocab_size,
            allowed=str(tokenizer.vocab_size),
            do=f"set tokenize.vocab_size to {tokenizer.vocab_size}",
        )
    return tokenizer


def write_tokens(raw: RawData, tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    """Encode all three kinds of text into a folder, each text ended by <|endoftext|>.

    Returns: what was found, as metrics.
    """
    size, end = tokenizer.vocab_size, [tokenizer.end_of_text_id]
    tokenizer.save(folder / TOKENIZER_FOLDER)

    write_corpus(folder / "corpus", raw.documents, tokenizer)

    messages = [ids + end for ids in tokenizer.encode_many(row.text for row in raw.messages)]
    write_token_store(folder / "messages", messages, size)
    write_rows(folder / "messages" / ROWS_FILE, [vars(row) for row in raw.messages])

    # Prompt and answer are encoded apart: what the model reads before it answers then has the same tokens in
    # training, where the answer follows, and in use, where it does not.
    questions = tokenizer.encode_many(format_prompt(row.instruction, row.input) for row in raw.instructions)
    prompts = [
        history_tokens(row.history, tokenizer) + question
        for row, question in zip(raw.instructions, questions, strict=True)
    ]
    answers = tokenizer.encode_many(row.output for row in raw.instructions)
    pairs = [prompt + answer + end for prompt, answer in zip(prompts, answers, strict=True)]
    write_token_store(folder / "instructions", pairs, size)
    write_rows(folder / "instructions" / ROWS_FILE, [row.as_row() for row in raw.instructions])
    save_array(
        folder / "instructions" / PROMPT_LENGTHS_FILE, np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    )

    return {"vocab_size": size} | {kind: _token_counts(folder / kind, tokenizer) for kind in get_args(TextKind)}


def _token_counts(folder: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    tokens = TokenFile(folder, tokenizer)
    n_tokens = int(tokens.offsets[-1])
    n_bytes = sum(int(tokenizer.token_lengths[block].sum()) for block in tokens.blocks())
    return {
        "documents": len(tokens),
        "tokens": n_tokens,
        "bytes_per_token": round(n_bytes / max(1, n_tokens), 4),
        "longest": int(np.diff(tokens.offsets).max(initial=0)),
    }


def read_tokens(folder: Path) -> tuple[RawData, Tokenizer]:
    """The texts that `write_tokens` encoded, and the tokenizer; the corpus comes back from its tokens alone."""
    tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
    raw = RawData(
        documents=TokenCorpus(folder / "corpus", tokenizer),
        messages=[Message(**row) for row in read_rows(folder / "messages" / ROWS_FILE)],
        instructions=[Instruction.from_row(row) for row in read_rows(folder / "instructions" / ROWS_FILE)],
    )
    return raw, tokenizer


def write_sides(tokens_folder: Path, folder: Path, split: SplitParams, seed: int) -> dict[str, Any]:
    """Write the three sides of all three kinds of text, and check that no text stands on two.

    Returns: the leakage report and the sizes, as metrics.
    Raises: GroundupError if a side is empty, or if a text of one side stands on another.
    """
    raw, tokenizer = read_tokens(tokens_folder)
    plan = plan_sides(raw, split, seed)
    corpus = _write_corpus_sides(raw, plan, split, tokens_folder / "corpus", folder / "corpus", tokenizer)
    for kind, sides in (("messages", plan.messages), ("instructions", plan.instructions)):
        _write_rows_by_side(tokens_folder / kind, folder / kind, sides, tokenizer.vocab_size)

    report = _leakage_report(corpus, raw, plan, split.near_duplicate_similarity)
    for text_kind in get_args(TextKind):
        n_texts = report[text_kind]["texts"]
        empty = [side for side in SIDES if not n_texts[side]]
        if empty:
            raise GroundupError(
                f"split: {text_kind} has too little text for its {' and '.join(empty)} side",
                got=f"{sum(n_texts.values())} texts",
                allowed="at least one text a side",
                do="add text, raise split.near_duplicate_similarity, or change split.train, split.validation and "
                "split.test",
            )
    if report["leaks"] or report["near_leaks"] or report["instructions"]["group_leaks"]:
        raise GroundupError(
            "split: texts stand on more than one side",
            got=f"{report['leaks']} exact, {report['near_leaks']} near duplicates, "
            f"{report['instructions']['group_leaks']} groups of instructions",
            allowed="none",
            do="report this as a bug, with the data if you can",
        )
    report["messages"]["copies_left_out"] = plan.messages.count(None)
    report["messages"]["shares"] = _label_shares(raw, plan)
    report["instructions"]["copies_left_out"] = plan.instructions.count(None)
    report["corpus"]["bytes"] = {side: corpus[side].size_bytes for side in SIDES}
    return report


def _write_corpus_sides(
    raw: RawData, plan: SidePlan, split: SplitParams, tokens_folder: Path, folder: Path, tokenizer: Tokenizer
) -> dict[Side, SideTexts]:
    """Write the sides of the corpus; what they hold is read back from them."""
    tokens = TokenFile(tokens_folder, tokenizer)
    found = {}
    for side in SIDES:
        added = _added_texts(raw, plan, split) if side == "train" else []
        write_corpus_side(folder / side, raw.documents, tokens, plan.documents, side, added, tokenizer)
        found[side] = read_side(folder / side, plan.documents, side, tokenizer)
    return found


def _added_texts(raw: RawData, plan: SidePlan, split: SplitParams) -> list[str]:
    """Train texts of other kinds that pretraining reads too, without any that the corpus keeps for its other sides."""
    if not split.add_to_corpus:
        return []
    texts = list(train_texts(raw, plan, split.add_to_corpus))
    kept = numbers_of_passages(raw.documents, plan.documents, ("validation", "test"))
    numbers = np.array([text_number(normalise(text)) for text in texts], dtype=np.uint64)
    return list(compress(texts, ~np.isin(numbers, kept)))


def _by_side(texts: list[str], sides: list[Side | None]) -> dict[Side, list[str]]:
    return {side: [text for text, chosen in zip(texts, sides, strict=True) if chosen == side] for side in SIDES}


def _write_rows_by_side(source: Path, target: Path, sides: list[Side | None], vocab_size: int) -> None:
    store = TokenStore.load(source)
    rows = read_rows(source / ROWS_FILE)
    prompt_lengths = source / PROMPT_LENGTHS_FILE
    for side in SIDES:
        chosen = [index for index, given in enumerate(sides) if given == side]
        write_token_store(target / side, [store[index] for index in chosen], vocab_size)
        write_rows(target / side / ROWS_FILE, [rows[index] for index in chosen])
        if prompt_lengths.exists():
            save_array(target / side / PROMPT_LENGTHS_FILE, np.load(prompt_lengths)[chosen])


def _leakage_report(corpus: dict[Side, SideTexts], raw: RawData, plan: SidePlan, similarity: float) -> dict[str, Any]:
    """Leaks of each kind and in all; near duplicates are looked for where the split groups them."""
    messages = _by_side([row.text for row in raw.messages], plan.messages)
    questions = [_question(row) for row in raw.instructions]
    instructions = _by_side(questions, plan.instructions)
    ungrouped = _by_side(
        questions, [None if row.group else side for row, side in zip(raw.instructions, plan.instructions, strict=True)]
    )
    report: dict[str, Any] = {
        "leaks": 0,
        "near_leaks": 0,
        "corpus": _leaks(count_shared(corpus), 0, {side: corpus[side].n_texts for side in SIDES}),
        "messages": _leaks(*count_leaks(messages, similarity), _counts(messages)),
        "instructions": _leaks(
            count_leaks(instructions)[0], count_leaks(ungrouped, similarity)[1], _counts(instructions)
        ),
    }
    for kind in get_args(TextKind):
        report["leaks"] += report[kind]["leaks"]
        report["near_leaks"] += report[kind]["near_leaks"]
    sides_of: defaultdict[str, set[Side]] = defaultdict(set)
    for row, given in zip(raw.instructions, plan.instructions, strict=True):
        if row.group and given:
            sides_of[row.group].add(given)
    report["instructions"]["group_leaks"] = sum(len(found) > 1 for found in sides_of.values())
    return report


def _leaks(exact: int, near: int, n_texts: dict[Side, int]) -> dict[str, Any]:
    return {"leaks": exact, "near_leaks": near, "texts": n_texts}


def _counts(texts: dict[Side, list[str]]) -> dict[Side, int]:
    return {side: len(texts[side]) for side in SIDES}


def _label_shares(raw: RawData, plan: SidePlan) -> dict[str, dict[str, float]]:
    """Share of each label on each side."""
    shares: dict[str, dict[str, float]] = {}
    for side in SIDES:
        labels = [row.label for row, given in zip(raw.messages, plan.messages, strict=True) if given == side]
        shares[side] = {label: round(labels.count(label) / max(1, len(labels)), 4) for label in sorted(set(labels))}
    return shares
