"""Every data set the project knows: where it is, what its bytes must be, who made it, under which licence.

Nothing here is data: files are fetched by `data/fetch.py`, which trusts no source and checks each against this page.
"""

from dataclasses import dataclass

from groundup.data.raw import Kind


@dataclass(frozen=True)
class Source:
    """One place to get a file from; `member` names the file inside an archive."""

    url: str
    member: str | None = None


@dataclass(frozen=True)
class Entry:
    """One file.

    Args:
        file: its name below `data/raw/<kind>/`, and below a mirror folder.
        size_bytes: of the file itself, not of an archive around it; where no hash is known, the most it may have.
        sha256: None where nobody has told this page; the first transfer then decides, and is remembered
            (`data/weights.py`).
        rows: rows the file must have (lines, messages or instructions; None where rows mean nothing).
    """

    name: str
    kind: Kind
    file: str
    sources: tuple[Source, ...]
    size_bytes: int
    sha256: str | None
    rows: int | None
    licence: str
    about: str


def _weights(name: str, revision: str, size_bytes: int, parameters: str, sha256: str | None = None) -> Entry:
    """GPT-2 as OpenAI trained it, in one of its sizes."""
    return Entry(
        name=name,
        kind="weights",
        file=f"{name}/model.safetensors",
        sources=(Source(f"https://huggingface.co/openai-community/{name}/resolve/{revision}/model.safetensors"),),
        size_bytes=size_bytes,
        sha256=sha256,
        rows=None,
        licence="MIT",
        about=f"{name} as OpenAI trained it, {parameters} parameters",
    )


CATALOG: tuple[Entry, ...] = (
    Entry(
        name="the-verdict",
        kind="corpus",
        file="the-verdict.txt",
        sources=(
            Source(
                "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch02/01_main-chapter-code/the-verdict.txt"
            ),
        ),
        size_bytes=20_479,
        sha256="b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f",
        rows=1,
        licence="public domain",
        about="Edith Wharton, The Verdict (1908): the short story of the book's first chapters",
    ),
    Entry(
        name="tinyshakespeare",
        kind="corpus",
        file="tinyshakespeare.txt",
        sources=(Source("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"),),
        size_bytes=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        rows=1,
        licence="public domain",
        about="40,000 lines of Shakespeare's plays",
    ),
    Entry(
        name="sms-spam",
        kind="messages",
        file="SMSSpamCollection",
        sources=(
            Source("https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip", member="SMSSpamCollection"),
            Source("https://raw.githubusercontent.com/justmarkham/pydata-dc-2016-tutorial/master/sms.tsv"),
        ),
        size_bytes=477_907,
        sha256="7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        rows=5_574,
        licence="CC BY 4.0",
        about="SMS Spam Collection (Almeida & Hidalgo, UCI 228): 4,827 ham and 747 spam messages",
    ),
    Entry(
        name="instruction-data",
        kind="instructions",
        file="instruction-data.json",
        sources=(
            Source(
                "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json"
            ),
        ),
        size_bytes=203_524,
        sha256="7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
        rows=1_100,
        licence="Apache 2.0",
        about="1,100 instructions with answers, from the book's chapter 7",
    ),
    Entry(
        name="gpt2-merges",
        kind="vocabulary",
        file="gpt2/vocab.bpe",
        sources=(
            Source("https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe"),
            Source("https://huggingface.co/openai-community/gpt2/resolve/main/merges.txt"),
        ),
        size_bytes=456_318,
        sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        rows=None,
        licence="MIT",
        about="the 50,000 merges of GPT-2's vocabulary",
    ),
    Entry(
        name="gpt2-encoder",
        kind="vocabulary",
        file="gpt2/encoder.json",
        sources=(
            Source("https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/encoder.json"),
            Source("https://huggingface.co/openai-community/gpt2/resolve/main/vocab.json"),
        ),
        size_bytes=1_042_301,
        sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        rows=None,
        licence="MIT",
        about="the 50,257 tokens of GPT-2's vocabulary with their ids",
    ),
    _weights(
        "gpt2",
        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        548_105_171,
        "124 million",
        sha256="248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    ),
    _weights("gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 1_521_000_000, "355 million"),
    _weights("gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519", 3_249_000_000, "774 million"),
    _weights("gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2", 6_434_000_000, "1.6 billion"),
)


@dataclass(frozen=True)
class Generated:
    """A file that is made here instead of fetched; what it holds follows from `data.sample`."""

    name: str
    kind: Kind
    file: str
    licence: str
    about: str


GENERATED: tuple[Generated, ...] = (
    Generated(
        "sample-stories", "corpus", "sample-stories.jsonl", "MIT", "stories, letters and lessons of the sample world"
    ),
    Generated("sample-messages", "messages", "sample-messages.csv", "MIT", "ham and spam between those who live in it"),
    Generated(
        "sample-instructions", "instructions", "sample-instructions.jsonl", "MIT", "questions that it has answers to"
    ),
)


def generated(kind: Kind) -> dict[str, Generated]:
    """The files of one kind that can be made, by name."""
    return {entry.name: entry for entry in GENERATED if entry.kind == kind}


def entries(kind: Kind) -> dict[str, Entry]:
    """The catalog's files of one kind, by name."""
    return {entry.name: entry for entry in CATALOG if entry.kind == kind}
