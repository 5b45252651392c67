"""The `groundup` command: what a person does beside `dvc repro`."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from groundup import __version__
from groundup.console import said_in_one_line
from groundup.errors import GroundupError

MODELS = Path("models")
SAMPLES_END = "<|endoftext|>"  # a line between several samples, as between the documents of a corpus


class OneLine(click.Group):
    """A group of commands in which a wrong option is one line and exit code 1, like any other wrong input."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "groundup"
            click.echo(f"groundup: {error.format_message()} To mend it: see `{command} --help`", err=True)
            sys.exit(1)
        except click.Abort:
            sys.exit(130)
        except (BrokenPipeError, _PipeClosedError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        sys.exit(code if isinstance(code, int) else 0)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """As `said_in_one_line`, for commands whose input and output are pipes."""
    with said_in_one_line():
        try:
            yield
        except BrokenPipeError as gone:
            raise _PipeClosedError from gone
        except UnicodeDecodeError as error:
            raise GroundupError(
                f"standard input: not UTF-8 text at byte {error.start}", allowed="UTF-8", do="convert it"
            ) from None


class _PipeClosedError(Exception):
    """Whoever reads our output has seen enough."""


@click.group(cls=OneLine)
@click.version_option(__version__)
def main() -> None:
    """Train a GPT from the ground up; `dvc repro` runs the pipeline, this command does the rest."""


@main.command()
@click.argument("name")
@click.option("--flags", is_flag=True, help="Only print the preset as flags for `dvc exp run --temp`.")
def preset(name: str, flags: bool) -> None:
    """Write the preset NAME into params.yaml."""
    from groundup.presets import as_dvc_flags, use

    with said_in_one_line():
        if flags:
            click.echo(as_dvc_flags(name))
        elif use(name):
            click.echo(f"params.yaml now holds the preset {name}")
        else:
            click.echo(f"params.yaml already holds the preset {name}")


@main.command()
def check() -> None:
    """Check params.yaml and the labels of your own messages, and mend what a kill left of DVC's files."""
    from groundup.dvc_files import mend_dvc_files
    from groundup.params_file import load_params

    with said_in_one_line():
        params = load_params()
        _check_labels(params.data.messages, params.finetune_cls.positive_label)
        for line in mend_dvc_files():
            click.echo(line)
    click.echo("params.yaml is valid")


def _check_labels(messages: str, positive_label: str) -> None:
    """Whether the positive label fits a file of one's own; finetune-cls would say so only after the pretraining."""
    from groundup.data.messages import read_messages
    from groundup.tasks.classes import class_names

    if Path(messages).is_file():
        class_names([row.label for row in read_messages(Path(messages))], positive_label)


@main.command()
def track() -> None:
    """Write the finished pipeline onto its run in MLflow, from DVC's files; doing so again changes nothing."""
    from groundup.params_file import load_params
    from groundup.report.record import record_reports
    from groundup.tracking.store import tracking_uri, without_password

    with said_in_one_line():
        run_id = record_reports(load_params(), Path("reports"), Path("dvc.lock"))
    if run_id:
        click.echo(f"MLflow run {run_id} at {without_password(tracking_uri())}: see it with `make ui`")


@main.command()
def summary() -> None:
    """Show the headline figures of the last run."""
    from groundup.report.terminal import print_summary

    with said_in_one_line():
        print_summary(Path("reports"))


@contextlib.contextmanager
def _repeated_runs() -> Iterator[Any]:
    """Gives what tells of runs that go on; a signal that stops them is one line, and its own exit code."""
    from groundup.console import say
    from groundup.errors import StoppedBySignal

    with said_in_one_line():
        try:
            yield say
        except StoppedBySignal as stopped:
            say(f"stopped by {stopped}; what was finished is kept, and the same command goes on from there")
            sys.exit(stopped.exit_code)


@main.command()
@click.option("--n", type=click.IntRange(min=2), default=5, show_default=True, help="How many seeds.")
@click.option("--data-seeds", is_flag=True, help="Make the generated texts anew for each seed, too.")
def seeds(n: int, data_seeds: bool) -> None:
    """Run the pipeline over N seeds, each with a split of its own, and tell differences from noise."""
    with _repeated_runs() as say:
        from groundup.repeats.seeds import SEEDS_REPORT, run_seeds
        from groundup.repeats.terminal import print_seeds

        result = run_seeds(Path(), n, data_seeds, say)
        print_seeds(result)
    click.echo(f"The same with every digit: {SEEDS_REPORT}/summary.json and seeds.md")
    sys.exit(1 if result.failed else 0)


@main.command()
@click.option("--rows", default="10,30,100,300,all", show_default=True, help="Numbers of labelled rows.")
def curves(rows: str) -> None:
    """Fine-tune the classifier on fewer labelled rows, with and without pretraining, beside its baselines."""
    with _repeated_runs() as say:
        from groundup.repeats.curves import CURVES_REPORT, HOW, cells, headings, numbers_of_rows, run_curves, sentences
        from groundup.repeats.terminal import print_table

        points = run_curves(Path(), numbers_of_rows(rows), say)
        print_table(HOW, headings(points), cells(points), sentences(points), right_from=0)
    click.echo(f"Table, picture and page: {CURVES_REPORT}/")


@main.command()
@click.option("--steps", type=click.IntRange(min=10), default=100, show_default=True, help="Optimizer steps at each.")
@click.option("--at-most", type=click.IntRange(min=3), default=7, show_default=True, help="How many rates to try.")
def learning_rate(steps: int, at_most: int) -> None:
    """Look for the learning rate of pretraining: short trainings at the one in params.yaml, its double, its half, …"""
    from groundup.console import say
    from groundup.params_file import load_params
    from groundup.repeats.rates import in_words, loss_after, search

    with _said():
        params = load_params()
        loss_at = loss_after(params, Path("data/tokens/tokenizer"), Path("data/splits"), steps)

        def told(rate: float) -> float:
            say(f"{steps} steps at a learning rate of {rate:.2g} …")
            return loss_at(rate)

        now = params.pretrain.learning_rate
        for line in in_words(search(told, now, at_most), now, steps, params.pretrain.max_steps):
            click.echo(line)


def _sampling(temperature: float, top_k: int, top_p: float) -> Any:
    from groundup.generate import Sampling

    try:
        return Sampling(temperature, top_k, top_p)
    except ValueError as error:
        raise GroundupError(str(error), do="change --temperature, --top-k or --top-p") from None


def _model_option(default: str) -> Any:
    return click.option(
        "--model",
        type=click.Path(path_type=Path),
        default=MODELS / default,
        show_default=True,
        help="A model's folder.",
    )


def _sampling_options(temperature: float) -> Any:
    def decorate(function: Any) -> Any:
        for option in (
            click.option(
                "--precision",
                type=click.Choice(["fp32", "bf16", "auto"]),
                default="fp32",
                show_default=True,
                help="bf16: rounded weights, faster for large models; auto: bf16 where the hardware has it.",
            ),
            click.option("--seed", type=int, default=0, show_default=True, help="The same seed writes the same text."),
            click.option("--top-p", type=float, default=1.0, show_default=True, help="The likeliest, so much."),
            click.option("--top-k", type=int, default=0, show_default=True, help="The k likeliest tokens; 0: all."),
            click.option("--temperature", type=float, default=temperature, show_default=True, help="0: the likeliest."),
        ):
            function = option(function)
        return function

    return decorate


def _writing_precision(wanted: Any, device: Any) -> Any:
    """What `auto` is on this machine."""
    from groundup.train.precision import uses_bf16

    return "bf16" if uses_bf16(wanted, device) else "fp32"


@main.command()
@click.argument("prompt", required=False)
@_model_option("pretrained")
@click.option("--tokens", type=click.IntRange(min=1), default=200, show_default=True, help="Most tokens to write.")
@click.option("--samples", type=click.IntRange(min=1), default=1, show_default=True, help="How many texts.")
@click.option("--stop", multiple=True, help="A text to stop before; may be given several times.")
@_sampling_options(temperature=0.8)
def generate(
    prompt: str | None,
    model: Path,
    tokens: int,
    samples: int,
    stop: tuple[str, ...],
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    precision: str,
) -> None:
    """Let a language model write on after PROMPT, or after what stands on standard input."""
    with _said():
        from groundup.generate import PreparedGPT
        from groundup.train.checkpoint import load_model
        from groundup.use.writing import prompt_tokens, written_text, written_texts

        sampling = _sampling(temperature, top_k, top_p)
        text = _given(prompt)
        loaded, tokenizer, _ = load_model(model)
        ids = prompt_tokens(tokenizer, text, loaded.config.context_length)
        writes = PreparedGPT(loaded, _writing_precision(precision, loaded.device), n_tokens=tokens)
        how = {"sampling": sampling, "seed": seed, "stops": stop}
        if samples == 1:
            click.echo(text, nl=False)
            for piece in written_text(writes, tokenizer, ids, tokens, **how):
                click.echo(piece, nl=False)
            click.echo()
            return
        written = written_texts(writes, tokenizer, ids, samples, tokens, **how)
        click.echo(f"\n{SAMPLES_END}\n".join(text + each for each in written))


def _given(argument: str | None) -> str:
    """The argument, or what stands on standard input where there is none, without its last line break."""
    if argument is not None and argument != "-":
        return argument
    return "" if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")


@main.command()
@_model_option("instructed")
@click.option("--tokens", type=click.IntRange(min=1), default=100, show_default=True, help="Most tokens of an answer.")
@click.option("--turns", type=click.IntRange(min=0), default=0, show_default=True, help="Earlier turns to read again.")
@_sampling_options(temperature=0.0)
def chat(
    model: Path,
    tokens: int,
    turns: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    precision: str,
) -> None:
    """Talk to an instruction follower; /help tells its commands. Reads standard input, a line a question."""
    with _said():
        from groundup.train.checkpoint import load_model
        from groundup.use.chat import HELP, Chat

        sampling = _sampling(temperature, top_k, top_p)
        loaded, tokenizer, _ = load_model(model)
        writing_precision = _writing_precision(precision, loaded.device)
        talk = Chat(loaded, tokenizer, tokens, sampling, seed, turns, writing_precision)
        in_terminal = sys.stdin.isatty()
        if in_terminal:
            import readline  # noqa: F401  # input() edits lines and knows the earlier ones once this is loaded

            click.echo(HELP, err=True)
        for line in _lines("> " if in_terminal else ""):
            if line.strip() == "/quit":
                break
            if line.strip() == "/help":
                click.echo(HELP, err=True)
                continue
            try:
                if line.startswith("/"):
                    click.echo(talk.command(line), err=True)
                    continue
                for piece in talk.answer(line):
                    click.echo(piece, nl=False)
                click.echo()
            except GroundupError as error:  # a slip of the hand does not end the conversation
                click.echo(f"groundup: {error}", err=True)


def _lines(prompt: str) -> Iterator[str]:
    """What is typed, line by line, but for empty lines; ends with the input, or with Ctrl-C."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            line = input(prompt)
            if line.strip():
                yield line


@main.command()
@click.argument("text", required=False)
@_model_option("classifier")
@click.option("--file", "source", type=click.Path(path_type=Path), help="Texts: .csv or .tsv with a header, or lines.")
@click.option("--out", "target", type=click.Path(path_type=Path), help="Where labelled rows go; else to the output.")
@click.option("--column", default="text", show_default=True, help="The column that holds the texts.")
def classify(text: str | None, model: Path, source: Path | None, target: Path | None, column: str) -> None:
    """Say what TEXT is, or each line of standard input, or each row of a file, and how likely that is."""
    with _said():
        from groundup.use.labelling import load_labeller

        if target and not source:
            raise GroundupError("--out goes with --file", do="name the file of texts with --file, or leave --out away")
        labeller = load_labeller(model)
        if source is None:
            for line in [text] if text is not None else map(str.rstrip, sys.stdin):
                if text is None and not line:  # so that the output has as many lines as the input
                    click.echo("\t\t")
                    continue
                label, probability = labeller.say(line)
                click.echo(f"{label}\t{probability:.4f}\t{line}")
            return
        _classify_file(labeller, source, target, column)


def _classify_file(labeller: Any, source: Path, target: Path | None, column: str) -> None:
    import io

    from groundup.files import file_written_atomically
    from groundup.use.labelling import label_file

    def report(problem: str) -> None:
        click.echo(f"groundup: {problem}", err=True)

    if target is None:
        counts = label_file(labeller, source, sys.stdout, column, report)
    else:
        with file_written_atomically(target) as data:
            file = io.TextIOWrapper(data, encoding="utf-8", newline="")
            counts = label_file(labeller, source, file, column, report)
            file.flush()
            file.detach()
    where = f" to {target}" if target else ""
    click.echo(f"{counts.rows} rows written{where}, {counts.bad} of them without a label", err=True)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["hf", "gguf"]),
    default="hf",
    show_default=True,
    help="hf: a folder in Hugging Face's form; gguf: a file for llama.cpp, of a language model.",
)
@click.option("--out", "target", type=click.Path(path_type=Path), help="A new folder or file; else in exports/.")
def export(model: Path, form: str, target: Path | None) -> None:
    """Write the folder MODEL in a form that other tools load without this project."""
    default = Path("exports") / model.resolve().name  # of "." too
    with _said():
        if form == "gguf":
            from groundup.export_gguf import export_gguf

            place = target or default.with_name(f"{default.name}.gguf")
            export_gguf(model, place)
            loaded_by = "opens in llama.cpp"
        else:
            from groundup.export import export_model

            place = target or default
            export_model(model, place)
            loaded_by = "loads with transformers' AutoModel and AutoTokenizer"
    click.echo(f"{place} {loaded_by}")


@main.command()
@click.argument("models", nargs=-1, type=click.Choice(["pretrained", "classifier", "instructed"]))
@click.option("--champion", is_flag=True, help="Make them champions, whatever their test figures say.")
def register(models: tuple[str, ...], champion: bool) -> None:
    """Register the final MODELS (without a name all three) in MLflow, to be loaded or served from there."""
    with _said():
        from groundup.registry.register import NAMES, register

        for line in register(models or NAMES, force=champion):
            click.echo(line)


@main.command()
@click.option("--model", required=True, help="Its name on the server, such as llama3.2.")
@click.option("--url", default="http://127.0.0.1:11434/v1", show_default=True, help="The server; this one is Ollama's.")
@click.option("--limit", type=click.IntRange(min=1), help="Grade only so many answers, of all kinds.")
def judge(model: str, url: str, limit: int | None) -> None:
    """Let another language model grade the answers of the last run; a key for it stands in OPENAI_API_KEY."""
    from groundup.console import one_line, say
    from groundup.files import write_json_atomically
    from groundup.judge import grade
    from groundup.judge.server import Server, checked_url, key_from_environment
    from groundup.params_file import load_params

    with _said():
        params = load_params()
        address, key = checked_url(url), key_from_environment()
        samples = grade.read_answers(grade.SAMPLES_FILE, limit)
        server = Server(address, model, grade.append_to_log(grade.FOLDER), key)
        try:
            with _bar(len(samples), f"{one_line(model)} grades") as progress:
                graded = grade.grade(samples, server, grade.FOLDER, progress)
        except KeyboardInterrupt:
            say(f"stopped; the replies that came are in {grade.FOLDER}, and the same command goes on from there")
            sys.exit(130)
        report = grade.judge_report(graded, model, params.evaluate.confidence, params.seed)
        path = grade.FOLDER / grade.REPORT_FILE
        write_json_atomically(path, report)
        for line in grade.report_words(report, graded.asked):
            click.echo(one_line(line))
        click.echo(f"Every verdict with its reason: {path}")


@contextlib.contextmanager
def _bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


if __name__ == "__main__":
    main()
