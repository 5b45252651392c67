"""From raw text to token arrays, and from those to three sides: the work of `tokenize` and `split`.

Both stages ask `plan_sides` which text goes where. It depends on the texts and the seed alone, so the vocabulary that
`tokenize` trains has seen exactly the text that `split` then calls the train side.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.config import SplitParams, TextKind, TokenizeParams
from groundup.data.corpus import Document
from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction, format_prompt, history_tokens
from groundup.data.messages import Message
from groundup.data.raw import RawData
from groundup.data.rows import ROWS_FILE, read_rows, write_rows
from groundup.data.split import SIDES, Row, Side, assign, assign_documents, count_leaks, normalise, passage_key
from groundup.data.token_store import SURPRISAL_FILE, TokenStore, save_array, write_token_store
from groundup.errors import GroundupError
from groundup.files import read_json, write_json_atomically
from groundup.tokenizer.bpe import train_bpe
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE, Tokenizer

TOKENIZER_FOLDER = "tokenizer"
DOCUMENTS_FILE = "documents.json"


@dataclass(frozen=True)
class SidePlan:
    """For each document its passages by side, for each message and instruction its side (None: a copy, left out)."""

    documents: list[dict[Side, list[str]]]
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
        for passages in plan.documents:
            yield from passages.get("train", [])
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

    corpus = folder / "corpus"
    documents = [ids + end for ids in tokenizer.encode_many(document.text for document in raw.documents)]
    stores = {"corpus": write_token_store(corpus, documents, size)}
    write_json_atomically(
        corpus / DOCUMENTS_FILE,
        [{name: value for name, value in vars(document).items() if name != "text"} for document in raw.documents],
    )

    messages = [ids + end for ids in tokenizer.encode_many(row.text for row in raw.messages)]
    stores["messages"] = write_token_store(folder / "messages", messages, size)
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
    stores["instructions"] = write_token_store(folder / "instructions", pairs, size)
    write_rows(folder / "instructions" / ROWS_FILE, [row.as_row() for row in raw.instructions])
    save_array(
        folder / "instructions" / PROMPT_LENGTHS_FILE, np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    )

    return {"vocab_size": size} | {kind: _token_counts(store, tokenizer) for kind, store in stores.items()}


def _token_counts(store: TokenStore, tokenizer: Tokenizer) -> dict[str, Any]:
    n_bytes = int(tokenizer.token_lengths[store.tokens].sum())
    return {
        "documents": len(store),
        "tokens": len(store.tokens),
        "bytes_per_token": round(n_bytes / max(1, len(store.tokens)), 4),
        "longest": int(store.lengths.max(initial=0)),
    }


def read_tokens(folder: Path) -> tuple[RawData, Tokenizer]:
    """The texts that `write_tokens` encoded, and the tokenizer; the corpus comes back from its tokens alone."""
    tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
    corpus = TokenStore.load(folder / "corpus")
    facts = read_json(folder / "corpus" / DOCUMENTS_FILE)
    raw = RawData(
        documents=[Document(text=tokenizer.decode(corpus[index].tolist()), **fact) for index, fact in enumerate(facts)],
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
    texts: dict[TextKind, dict[Side, list[str]]] = {
        "corpus": {side: [] for side in SIDES},
        "messages": _by_side([row.text for row in raw.messages], plan.messages),
        "instructions": _by_side([_question(row) for row in raw.instructions], plan.instructions),
    }
    for side in SIDES:
        passages = [document.get(side, []) for document in plan.documents]
        # A cut document is compared passage by passage, others whole.
        for document, parts in zip(raw.documents, passages, strict=True):
            texts["corpus"][side] += [passage_key(part) for part in parts] if document.whole_source else parts
        side_texts = ["".join(parts) for parts in passages if parts]
        if side == "train":
            side_texts += _added_texts(raw, plan, split)
        ids = tokenizer.encode_many(side_texts)
        write_token_store(
            folder / "corpus" / side, [[*document, tokenizer.end_of_text_id] for document in ids], tokenizer.vocab_size
        )
        _write_surprisal(
            folder / "corpus" / side,
            [document for document, parts in zip(raw.documents, passages, strict=True) if parts],
            n_texts=len(ids),
        )
    for kind, sides in (("messages", plan.messages), ("instructions", plan.instructions)):
        _write_rows_by_side(tokens_folder / kind, folder / kind, sides, tokenizer.vocab_size)

    report = _leakage_report(texts, raw, plan, split.near_duplicate_similarity)
    for text_kind, by_side in texts.items():
        found = plan.documents if text_kind == "corpus" else [by_side]
        empty = [side for side in SIDES if not any(each.get(side) for each in found)]
        if empty:
            raise GroundupError(
                f"split: {text_kind} has too little text for its {' and '.join(empty)} side",
                got=f"{sum(len(rows) for rows in by_side.values())} texts",
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
    report["corpus"]["bytes"] = {
        side: sum(len(part.encode()) for document in plan.documents for part in document.get(side, []))
        for side in SIDES
    }
    return report


def _write_surprisal(folder: Path, documents: Sequence[Document], n_texts: int) -> None:
    """Write the bits of each text of a side, if they are known of all of them.

    Shapes:  (n_texts,), in the order of the token store
    """
    known = [document.surprisal_bits for document in documents if document.surprisal_bits is not None]
    if known and len(known) == n_texts and not any(document.whole_source for document in documents):
        save_array(folder / SURPRISAL_FILE, np.array(known, dtype=np.float64))


def _added_texts(raw: RawData, plan: SidePlan, split: SplitParams) -> list[str]:
    """Train texts of other kinds that pretraining reads too, without any that the corpus keeps for its other sides."""
    kept = {
        normalise(part)
        for document in plan.documents
        for side in ("validation", "test")
        for part in document.get(side, [])
    }
    return [text for text in train_texts(raw, plan, split.add_to_corpus) if normalise(text) not in kept]


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


def _leakage_report(
    texts: dict[TextKind, dict[Side, list[str]]], raw: RawData, plan: SidePlan, similarity: float
) -> dict[str, Any]:
    """Leaks of each kind and in all; near duplicates are looked for where the split groups them."""
    ungrouped = _by_side(
        [_question(row) for row in raw.instructions],
        [None if row.group else side for row, side in zip(raw.instructions, plan.instructions, strict=True)],
    )
    report: dict[str, Any] = {"leaks": 0, "near_leaks": 0}
    for kind, sides in texts.items():
        exact, _ = count_leaks(sides)
        _, near = count_leaks(ungrouped if kind == "instructions" else sides, 1.0 if kind == "corpus" else similarity)
        report["leaks"] += exact
        report["near_leaks"] += near
        report[kind] = {
            "leaks": exact,
            "near_leaks": near,
            "texts": {side: len(sides[side]) for side in SIDES},
        }
    sides_of: defaultdict[str, set[Side]] = defaultdict(set)
    for row, given in zip(raw.instructions, plan.instructions, strict=True):
        if row.group and given:
            sides_of[row.group].add(given)
    report["instructions"]["group_leaks"] = sum(len(found) > 1 for found in sides_of.values())
    return report


def _label_shares(raw: RawData, plan: SidePlan) -> dict[str, dict[str, float]]:
    """Share of each label on each side."""
    shares: dict[str, dict[str, float]] = {}
    for side in SIDES:
        labels = [row.label for row, given in zip(raw.messages, plan.messages, strict=True) if given == side]
        shares[side] = {label: round(labels.count(label) / max(1, len(labels)), 4) for label in sorted(set(labels))}
    return shares
