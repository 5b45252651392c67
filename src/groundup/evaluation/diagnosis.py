"""What the curves and figures of a run mean, in words for someone who has never trained a model.

Each rule is a function that looks at one thing and says nothing unless it is there. The numbers that decide are above
the rules, each with its reason: a false alarm costs more trust than a missed hint.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from groundup.config import SCRATCH, FinetuneClsParams, PretrainParams, TrainingParams
from groundup.errors import shorten
from groundup.evaluation.marks import BASELINES

Level = Literal["good", "note", "warning"]
LEVELS: tuple[Level, ...] = ("warning", "note", "good")  # as they are shown
Row = Mapping[str, float]
Figures = Mapping[str, Any]

# A loss that is 0.1 nats higher is a perplexity that is a tenth higher: what a reader of the text would notice.
LARGE_NATS = 0.1
# Below these, nats and as a share of the loss, a change of the validation loss is no more than the unrest of the steps.
SMALL_NATS, SMALL_SHARE = 0.005, 0.02
# Times the bits of one who knows how a generated text was made; so near to it advice to train longer is idle.
NEAR_THE_FLOOR = 1.05
# Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models": for natural text about 20 tokens of training
# for each parameter use a given amount of computing best. Only far below that is it worth a word.
TOKENS_PER_PARAMETER, FEW_TOKENS_PER_PARAMETER = 20, 5
# Muennighoff et al. 2023, "Scaling Data-Constrained Language Models": up to 4 epochs are almost as good as new text, at
# about 16 each further one brings little, and beyond 40 nothing.
FREE_EPOCHS, MANY_EPOCHS, USELESS_EPOCHS = 4, 16, 40
# A row of the loss curve that leaves the rows before it by so many of their usual deviations, and by twice as much as
# the highest of them, is no noise: losses of small batches have long tails, and deviations alone take those for jumps.
ROWS_BEFORE, DEVIATIONS, TIMES_THE_HIGHEST = 10, 6.0, 2.0
MAD_TO_DEVIATION = 1.4826  # of a normal distribution
# Gradients are cut to their limit in any healthy training: nanoGPT's recipe for characters cuts nearly all of them from
# about twice the limit and learns well. From far above it is a sign.
CLIPPED_SHARE, FAR_ABOVE, VERY_FAR_ABOVE = 0.9, 5.0, 20.0
FEWEST_ROWS = 12  # of a loss curve whose shape is judged
FEWEST_TRAIN_ROWS, FEWEST_TEST_ROWS = 30, 10  # of one class: below these a few messages decide everything
UNFINISHED, MOSTLY_UNFINISHED = 0.1, 0.5  # shares of answers without an end
COPIES = 0.05  # share of the stories that are copies: one in twenty is no chance
LONGEST_LABEL = 40


@dataclass(frozen=True)
class Finding:
    """One thing that a run shows.

    Args:
        model: the training it is about, by the name of its section in `params.yaml`, or `split`.
        text: a short first sentence that stands alone, and one or two more with what it rests on.
        key: which keys of `params.yaml` to change, and in which direction; empty where there is nothing to change.
    """

    level: Level
    model: str
    text: str
    key: str = ""


@dataclass(frozen=True)
class Training:
    """One training as its files tell it: the curves, the metrics, and what it was told.

    Units:  `loss_nats` per target; a row of `train` is the mean over the steps since the row before.
    """

    name: str
    settings: TrainingParams
    train: Sequence[Row]
    validation: Sequence[Row]
    metrics: Figures

    @property
    def steps(self) -> int:
        return int(self.metrics.get("steps", 0))

    @property
    def best(self) -> Row:
        return min(self.validation, key=lambda row: row["loss_nats"])

    @property
    def full_rows(self) -> list[Row]:
        """Without rows that a validation cut short, for a mean over few steps jumps about more than the others."""
        ends = [0.0, *(row["step"] for row in self.train)]
        enough = min(self.settings.log_interval, self.settings.evaluation_interval) / 2
        steps = [end - start for start, end in pairwise(ends)]
        return [row for row, n_steps in zip(self.train, steps, strict=True) if n_steps >= enough]

    def train_loss_by(self, step: float) -> float:
        """The usual training loss shortly before a step, or at the start if there is no row so early."""
        before = [row["loss_nats"] for row in self.full_rows or self.train if row["step"] <= step]
        return median(before[-5:]) if before else self.train[0]["loss_nats"]

    @property
    def length_key(self) -> str:
        return f"{self.name}.{'max_steps' if self.name == 'pretrain' else 'epochs'}"

    @property
    def dropout_key(self) -> str:
        return "model.dropout" if self.name == "pretrain" else f"{self.name}.dropout"


@dataclass(frozen=True)
class Corpus:
    """What is known of the text that was pretrained on. `train_tokens` is an estimate, None where nothing tells it."""

    vocab_size: int | None = None
    train_tokens: float | None = None


Rule = Callable[[Training], Finding | None]


def diagnose(trainings: Iterable[Training], figures: Figures, split: Figures, corpus: Corpus) -> list[Finding]:
    """All that is to be said of a run, what is wrong first; of a training that is sound, that it is.

    Args:
        trainings: `pretrain`, `finetune_cls` and `finetune_instruct`, or some of them.
        figures: what the models do on the test side, under `language_model`, `classifier` and `instruct`.
        split: the metrics of the split.
    """
    findings: list[Finding] = []
    for training in trainings:
        little_left = training.name == "pretrain" and near_the_floor(figures.get("language_model", {}))
        found = [*curve_findings(training), *figure_findings(training, figures, split, corpus)]
        if not little_left:
            found += would_gain_from_more(training, corpus)
        findings += found or [sound(training, figures)]
    findings += leaks(split)
    return in_order(findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Warnings first, then notes, then what is good; otherwise in the order in which they come."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def curve_findings(training: Training) -> Iterator[Finding]:
    """What the curves of any training say."""
    if not training.train or not training.validation:
        return
    yield from (finding for rule in RULES_OF_CURVES if (finding := rule(training)))


def would_gain_from_more(training: Training, corpus: Corpus) -> list[Finding]:
    """What says that a longer training would do better."""
    if not training.train or not training.validation:
        return []
    found = [still_improving(training), too_few_tokens(training, corpus) if training.name == "pretrain" else None]
    return [finding for finding in found if finding]


def figure_findings(training: Training, figures: Figures, split: Figures, corpus: Corpus) -> Iterator[Finding]:
    """What the figures of one model say, beside those of its training."""
    found: list[Finding | None] = []
    if training.name == "pretrain":
        language = figures.get("language_model", {})
        found += [
            no_better_than_chance(training, corpus),
            repeated_data(training, corpus),
            language_below_baseline(language),
            harder_test_text(training, language),
            copied_stories(language),
        ]
    elif training.name == "finetune_cls":
        classifier = figures.get("classifier", {})
        found += [
            knows_only_the_shares(training, split),
            extreme_threshold(classifier),
            *rare_classes(split),
            classifier_below_baseline(classifier),
            worse_on_test_messages(training, classifier),
        ]
    elif training.name == "finetune_instruct":
        instruct = figures.get("instruct", {})
        found += [
            answers_without_end(instruct),
            worse_on_test_instructions(training, instruct),
            pretraining_buys_nothing(instruct),
        ]
    yield from (finding for finding in found if finding)


# --- what the curves say


def over_fitting(training: Training) -> Finding | None:
    """The validation loss rises while the training loss goes on falling.

    The rows are learned by heart instead of what they have in common. The weights that are kept are those of the best
    step, so it costs time rather than quality; but it says that the texts give no more.

    Source: Prechelt 1998, "Early Stopping - But When?".
    """
    best, last = training.best, training.validation[-1]
    rise = last["loss_nats"] - best["loss_nats"]
    before, after = training.train_loss_by(best["step"]), training.train_loss_by(last["step"])
    if best["step"] == 0 or rise < max(SMALL_NATS, SMALL_SHARE * best["loss_nats"]) or after >= before:
        return None
    text = (
        f"Over-fitting since step {best['step']:.0f}: the validation loss rose from {nats(best['loss_nats'])} to "
        f"{nats(last['loss_nats'])}. By step {last['step']:.0f} the training loss fell from {nats(before)} to "
        f"{nats(after)}: "
    )
    if last.get("accuracy", 0.0) > best.get("accuracy", 1.0):
        text += (
            f"it still finds more of the right classes ({percent(best['accuracy'])}, then {percent(last['accuracy'])}) "
            f"but is surer where it is wrong. The weights of step {best['step']:.0f} are the ones kept."
        )
    else:
        text += f"it learns its texts by heart. The weights of step {best['step']:.0f} are the ones kept."
    more_text = ", or add text under data.corpus" if training.name == "pretrain" else ""
    key = f"lower {training.length_key} or raise {training.dropout_key}{more_text}"
    return Finding("warning" if rise >= LARGE_NATS else "note", training.name, text, key)


def best_long_before_the_end(training: Training) -> Finding | None:
    """Much of the training brought nothing, though it did no harm either."""
    best = training.best
    if len(training.validation) < 3 or training.metrics.get("stopped_early") or over_fitting(training):
        return None
    if not 0 < best["step"] <= 0.6 * training.steps:
        return None
    text = (
        f"The best validation loss came at step {best['step']:.0f} of {training.steps}. Nothing after it was better, "
        "so a shorter training could lead to as good a model."
    )
    return Finding("note", training.name, text, f"lower {training.length_key}")


def stopped_early(training: Training) -> Finding | None:
    """Validations in a row brought nothing better, so the training ended before its last step."""
    if not training.metrics.get("stopped_early"):
        return None
    text = (
        f"Training stopped early, at step {training.steps}. {training.settings.patience} validations in a row were no "
        f"better than that of step {training.best['step']:.0f}, whose weights are kept; that saves time."
    )
    return Finding("note", training.name, text, f"raise {training.name}.patience to wait longer")


def still_improving(training: Training) -> Finding | None:
    """The validation loss is lowest at the end, and was falling there.

    How much more steps would bring can be read from the curve only where the learning rate stayed up. Where it was
    brought down, the end of the curve is flat because of that, whatever there is left to learn.

    Source: Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations".
    """
    last = training.validation[-1]
    earlier = [row for row in training.validation if row["step"] <= 0.75 * last["step"]]
    if not earlier or training.best["step"] != last["step"]:
        return None
    fall = earlier[-1]["loss_nats"] - last["loss_nats"]
    if fall < max(SMALL_NATS, SMALL_SHARE * last["loss_nats"]):
        return None
    steps = last["step"] - earlier[-1]["step"]
    text = f"Still improving at the end: the validation loss fell by {nats(fall)} in the last {steps:.0f} steps. "
    if training.train[-1]["learning_rate"] >= training.settings.learning_rate / 2:
        text += f"It came to {nats(last['loss_nats'])}; as many steps again would bring somewhat less than that."
    else:
        text += (
            f"It came to {nats(last['loss_nats'])}; a longer training would probably do better, but how much cannot be "
            "read from the curve, whose end is flat because the learning rate was brought down."
        )
    return Finding("note", training.name, text, f"raise {training.length_key}")


def loss_spikes(training: Training) -> Finding | None:
    """The training loss jumps up from one row to the next: steps too long for the slope that they are on.

    Source: Chowdhery et al. 2022, "PaLM", section 5.1, tells of such jumps in large trainings.
    """
    rows = training.full_rows
    losses = [row["loss_nats"] for row in rows]
    spikes = []
    for at in range(ROWS_BEFORE // 2, len(losses)):
        before = losses[max(0, at - ROWS_BEFORE) : at]
        middle = median(before)
        deviation = MAD_TO_DEVIATION * median(abs(loss - middle) for loss in before)
        limit = max(DEVIATIONS * deviation, TIMES_THE_HIGHEST * (max(before) - middle), LARGE_NATS, 0.1 * middle)
        if losses[at] - middle > limit:
            spikes.append((losses[at] - middle, at, middle))
    if not spikes:
        return None
    _, at, middle = max(spikes)
    end = median(losses[-3:])
    recovered = end < middle + LARGE_NATS
    times = "once" if len(spikes) == 1 else f"{len(spikes)} times"
    text = (
        f"The training loss jumped up {times}, most at step {rows[at]['step']:.0f}: {nats(middle)} to "
        f"{nats(losses[at])}. "
    )
    if recovered:
        text += "It came down again, but steps that long lose some of what was learned before."
    else:
        text += f"It was {nats(end)} at the end and never came back: the learning rate is too high."
    key = f"lower {training.name}.learning_rate or raise {training.name}.warmup_steps"
    return Finding("note" if recovered and len(spikes) == 1 else "warning", training.name, text, key)


def clipped_gradients(training: Training) -> Finding | None:
    """Nearly every step was cut to `max_grad_norm`, from far above it."""
    settings = training.settings
    norms = [row["grad_norm"] for row in training.train if row["step"] > settings.warmup_steps]
    if len(norms) < FEWEST_ROWS:
        return None
    share, usual = sum(norm > settings.max_grad_norm for norm in norms) / len(norms), median(norms)
    if share < CLIPPED_SHARE or usual < FAR_ABOVE * settings.max_grad_norm:
        return None
    text = (
        f"{percent(share)} of the gradients were cut to {settings.max_grad_norm:g}, from usually {usual:.3g}. Then the "
        "limit and not the slope decides how long a step is, as it should only for a few rough batches."
    )
    key = f"lower {training.name}.learning_rate or raise {training.name}.max_grad_norm"
    return Finding("warning" if usual >= VERY_FAR_ABOVE * settings.max_grad_norm else "note", training.name, text, key)


def does_not_learn(training: Training) -> Finding | None:
    """The training loss is no lower at the end than at the start."""
    losses = [row["loss_nats"] for row in training.full_rows]
    if len(losses) < 4:
        return None
    start, end, lowest = losses[0], median(losses[-3:]), min(losses)
    if end < 0.98 * start:
        return None
    text = f"It did not learn: the training loss was {nats(start)} at the start and {nats(end)} at the end. "
    if lowest < 0.9 * start:
        text += f"It had come down to {nats(lowest)} before, so the learning rate is too high."
        return Finding("warning", training.name, text, f"lower {training.name}.learning_rate")
    text += "Either the steps are too short to matter, or so long that they undo each other."
    key = f"change {training.name}.learning_rate by a factor of 10, up or down"
    return Finding("warning", training.name, text, key)


def worse_than_it_began(training: Training) -> Finding | None:
    """No step was better on the validation side than the weights that the training was given."""
    first = training.validation[0]
    if first["step"] != 0 or training.best["step"] != 0 or not training.steps:
        return None
    text = (
        f"No step was better than the weights that the training was given. The validation loss was "
        f"{nats(first['loss_nats'])} before and {nats(training.validation[-1]['loss_nats'])} at the end, so the given "
        "weights are the ones kept."
    )
    return Finding("warning", training.name, text, f"lower {training.name}.learning_rate or {training.length_key}")


def low_learning_rate(training: Training) -> Finding | None:
    """The training loss falls in a straight line, not fast at first and slowly later, and has not fallen far.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks": a rate that is too low shows itself by
        a loss that falls evenly and slowly.
    """
    losses = [row["loss_nats"] for row in training.full_rows if row["step"] > training.settings.warmup_steps]
    if len(losses) < FEWEST_ROWS:
        return None
    size = len(losses) // 4
    levels = [median(losses[start : start + size]) for start in (0, size, 2 * size, len(losses) - size)]
    falls = [earlier - later for earlier, later in pairwise(levels)]
    steps = [later - earlier for earlier, later in pairwise(losses)]
    noise = MAD_TO_DEVIATION * median(abs(step - median(steps)) for step in steps) / math.sqrt(2)
    far = levels[-1] < levels[0] / 2
    clear = levels[0] - levels[-1] > max(6 * noise, 0.05 * levels[0])
    if far or not clear or min(falls) < 0.7 * max(falls):
        return None
    text = (
        f"The learning rate may be too low: the loss fell in a straight line, {nats(levels[0])} to "
        f"{nats(levels[-1])}. With a good rate the training loss falls fast at first and slowly later."
    )
    return Finding("note", training.name, text, f"raise {training.name}.learning_rate or {training.length_key}")


RULES_OF_CURVES: tuple[Rule, ...] = (
    over_fitting,
    loss_spikes,
    does_not_learn,
    worse_than_it_began,
    clipped_gradients,
    low_learning_rate,
    best_long_before_the_end,
    stopped_early,
)


# --- what the figures of the language model say


def no_better_than_chance(training: Training, corpus: Corpus) -> Finding | None:
    """The loss is that of one who holds all tokens for equally likely, the logarithm of their number."""
    if not corpus.vocab_size or not training.validation:
        return None
    chance, loss = math.log(corpus.vocab_size), training.best["loss_nats"]
    if loss < 0.95 * chance:
        return None
    text = (
        f"It knows hardly more than one who guesses: validation loss {nats(loss)}. To hold all {corpus.vocab_size} "
        f"tokens for equally likely gives {nats(chance)}."
    )
    return Finding("warning", training.name, text, "raise pretrain.max_steps or change pretrain.learning_rate")


def too_few_tokens(training: Training, corpus: Corpus) -> Finding | None:
    """Far fewer tokens of training for each parameter than use a given amount of computing best.

    Source: Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models".
    """
    settings, parameters = training.settings, training.metrics.get("parameters")
    if not isinstance(settings, PretrainParams) or settings.init != SCRATCH or not parameters:
        return None
    tokens = training.metrics["tokens"]
    each = tokens / parameters
    if each >= FEW_TOKENS_PER_PARAMETER:
        return None
    text = (
        f"Few tokens for its size: it was trained on {each:.2g} for each of its {parameters:,} parameters. The rule of "
        f"thumb for natural text is about {TOKENS_PER_PARAMETER} (Hoffmann et al. 2022)"
    )
    epochs = tokens / corpus.train_tokens if corpus.train_tokens else 0.0
    if epochs >= FREE_EPOCHS or over_fitting(training):
        text += "; as it has had enough of this text, the model needs more, or should be smaller."
        return Finding("note", training.name, text, "add text under data.corpus, or lower model.d_model")
    text += "; a longer training, or a smaller model in the same time, would probably predict better."
    return Finding("note", training.name, text, "raise pretrain.max_steps, or lower model.d_model")


def repeated_data(training: Training, corpus: Corpus) -> Finding | None:
    """The text was read so often that another time brings little.

    Source: Muennighoff et al. 2023, "Scaling Data-Constrained Language Models".
    """
    if not corpus.train_tokens:
        return None
    epochs = training.metrics.get("tokens", 0) / corpus.train_tokens
    if epochs < MANY_EPOCHS:
        return None
    text = (
        f"It read its text about {epochs:.0f} times. Up to {FREE_EPOCHS} times are almost as good as new text, beyond "
        f"{USELESS_EPOCHS} little is learned (Muennighoff et al. 2023), so more text would help more than more steps."
    )
    level: Level = "warning" if epochs > USELESS_EPOCHS else "note"
    return Finding(level, training.name, text, "add text under data.corpus, or lower pretrain.max_steps")


def near_the_floor(language: Figures) -> bool:
    """Whether so little is left to learn of a generated text that advice to train longer is idle."""
    return language.get("ratio_to_floor", math.inf) < NEAR_THE_FLOOR


def language_below_baseline(language: Figures) -> Finding | None:
    """Something simple predicts the test text as well."""
    baselines = {
        name: each["bits_per_byte"] if isinstance(each, Mapping) else each
        for name, each in language.get("baselines", {}).items()
        if not isinstance(each, Mapping) or "bits_per_byte" in each
    }
    if not baselines or "bits_per_byte" not in language:
        return None
    name = min(baselines, key=lambda each: (baselines[each], each))
    if language["bits_per_byte"] < baselines[name]:
        return None
    text = (
        f"A simpler method predicts the test text as well: {name.replace('_', ' ')}, with {baselines[name]:.3f} bits "
        f"per byte. The GPT needs {language['bits_per_byte']:.3f}, so it has not earned its cost."
    )
    return Finding("warning", "pretrain", text, "raise pretrain.max_steps, or add text under data.corpus")


def harder_test_text(training: Training, language: Figures) -> Finding | None:
    """The test side is much less predictable than the validation side: the two are not of one kind, or texts leaked."""
    validation, test = training.metrics.get("best", {}).get("bits_per_byte"), language.get("bits_per_byte")
    if not validation or not test or test < 1.1 * validation:
        return None
    text = (
        f"The test text is harder for it than the validation text: {test:.3f} bits per byte, not {validation:.3f}. "
        "Either the two sides hold different text, or training text is among the validation text."
    )
    return Finding("warning", training.name, text)


def copied_stories(language: Figures) -> Finding | None:
    """Stories that the model writes are documents that it has read."""
    stories = language.get("stories", {})
    if stories.get("copies", 0.0) < COPIES:
        return None
    text = (
        f"{percent(stories['copies'])} of the documents that it wrote from nothing are copies. It has learned by heart "
        f"what it read; {stories['written']} were written."
    )
    return Finding("warning", "pretrain", text, "lower pretrain.max_steps, or add text under data.corpus")


# --- what the figures of the classifier say


def knows_only_the_shares(training: Training, split: Figures) -> Finding | None:
    """The loss is that of one who knows how common each class is, and reads no message."""
    shares = split.get("messages", {}).get("shares", {}).get("validation", {})
    settings = training.settings
    if not isinstance(settings, FinetuneClsParams) or len(shares) < 2 or not training.validation:
        return None
    chance = (
        math.log(len(shares))  # it met all classes alike, so this is what it knows before it reads
        if settings.class_balance == "balanced"
        else -sum(share * math.log(share) for share in shares.values() if share)
    )
    if training.best["loss_nats"] < 0.98 * chance:
        return None
    text = (
        f"It learned nothing from the messages: validation loss {nats(training.best['loss_nats'])}. One who reads none "
        f"and knows only how common each class is has {nats(chance)}."
    )
    return Finding("warning", training.name, text, "change finetune_cls.learning_rate, or raise finetune_cls.epochs")


def extreme_threshold(classifier: Figures) -> Finding | None:
    """A message is called positive only at a probability near 0 or 1: a few validation messages decided that."""
    threshold = classifier.get("threshold")
    if threshold is None or 0.02 <= threshold <= 0.98:
        return None
    text = (
        f"The threshold is extreme: {threshold:.3f}. What the model says is then no real probability, and a few "
        "validation messages decided from where on a message is called positive."
    )
    return Finding("note", "finetune_cls", text, "lower finetune_cls.epochs, or raise finetune_cls.dropout")


def rare_classes(split: Figures) -> Iterator[Finding]:
    """A class with so few messages that nothing sure can be learned, or said, of it."""
    messages = split.get("messages", {})
    kinds: tuple[tuple[str, int, Level, str], ...] = (
        ("train", FEWEST_TRAIN_ROWS, "warning", "It takes more to learn what they have in common."),
        ("test", FEWEST_TEST_ROWS, "note", "So few tell little of how well such messages are found."),
    )
    for side, fewest, level, so in kinds:
        n_rows, shares = messages.get("texts", {}).get(side), messages.get("shares", {}).get(side, {})
        if not n_rows or not shares:
            continue
        counts = {name: round(n_rows * share) for name, share in shares.items()}
        rare = [name for name in sorted(counts, key=lambda each: (counts[each], each)) if counts[name] < fewest]
        if rare:
            others = f" (and few of {len(rare) - 1} other classes)" if len(rare) > 1 else ""
            text = f"Only {counts[rare[0]]} {side} messages are “{shorten(rare[0], LONGEST_LABEL)}”{others}. {so}"
            yield Finding(level, "finetune_cls", text, "give data.messages more rows")


def classifier_below_baseline(classifier: Figures) -> Finding | None:
    """A simple classifier is as often right. Whether a lead is more than luck is for the intervals to say."""
    accuracies = {name: row["accuracy"] for name, row in classifier.get("baselines", {}).items() if "accuracy" in row}
    if not accuracies or "accuracy" not in classifier:
        return None
    name = min(accuracies, key=lambda each: (-accuracies[each], each))
    ours, best = classifier["accuracy"], accuracies[name]
    if ours > best:
        return None
    clearly = best > classifier.get("accuracy_high", ours) or accuracies.get("majority", 0.0) >= ours
    text = (
        f"A simpler method is right as often: {BASELINES.get(name, name)} for {percent(best)} of the test messages. "
        f"The GPT is right for {percent(ours)}"
    )
    text += ", so it has not earned its cost." if clearly else "; so small a difference may be chance."
    key = "raise finetune_cls.epochs or pretrain.max_steps"
    return Finding("warning" if clearly else "note", "finetune_cls", text, key)


def worse_on_test_messages(training: Training, classifier: Figures) -> Finding | None:
    """Far fewer test messages are called rightly than validation messages."""
    validation, test = training.metrics.get("best", {}).get("accuracy"), classifier.get("accuracy")
    if validation is None or test is None:
        return None
    if validation - test < 0.03 or validation <= classifier.get("accuracy_high", test):
        return None
    text = (
        f"It is right for {percent(test)} of the test messages, for {percent(validation)} of the validation messages. "
        "Either the two sides differ, or too much was chosen by the validation side."
    )
    return Finding("warning", training.name, text)


# --- what the figures of the instruction follower say


def answers_without_end(instruct: Figures) -> Finding | None:
    """Answers that go on until they are cut."""
    unfinished = 1 - instruct.get("ended", 1.0)
    if unfinished < UNFINISHED:
        return None
    text = (
        f"{percent(unfinished)} of its answers did not end by themselves. Either it has not learned where to stop, or "
        "right answers are longer than it is allowed to write."
    )
    key = "raise finetune_instruct.epochs or evaluate.response_tokens"
    return Finding("warning" if unfinished >= MOSTLY_UNFINISHED else "note", "finetune_instruct", text, key)


def worse_on_test_instructions(training: Training, instruct: Figures) -> Finding | None:
    """The right answers to the test instructions surprise the model much more than those of the validation side."""
    validation, test = training.metrics.get("best", {}).get("loss_nats"), instruct.get("response_loss_nats")
    if validation is None or test is None or test - validation < max(LARGE_NATS / 2, 0.25 * validation):
        return None
    text = (
        f"Test answers surprise it more than those of the validation side: {nats(test)}, not {nats(validation)}. "
        "Either the two sides differ, or one of them is small."
    )
    return Finding("note", training.name, text)


def pretraining_buys_nothing(instruct: Figures) -> Finding | None:
    """The same training from random weights answers as well."""
    other = instruct.get("from_random", {})
    if "token_f1" not in other or instruct["token_f1"] > other["token_f1"]:
        return None
    text = (
        f"Pretraining bought nothing for the answers. Their token F1 is {instruct['token_f1']:.3f}, and "
        f"{other['token_f1']:.3f} if the same training begins with random weights."
    )
    return Finding("warning", "finetune_instruct", text, "raise pretrain.max_steps, or add text under data.corpus")


# --- the split, and what is as it should be


def leaks(split: Figures) -> list[Finding]:
    """Test texts that stand in training too make every figure look better than it is."""
    exact, near = split.get("leaks", 0), split.get("near_leaks", 0)
    if not exact + near:
        return []
    text = (
        f"{exact} texts stand word for word on two sides of the split, {near} more nearly so. Figures on the test side "
        "are too good by what was learned by heart."
    )
    return [Finding("warning", "split", text, "lower split.near_duplicate_similarity")]


def sound(training: Training, figures: Figures) -> Finding:
    """What to say of a training that no rule objects to; no more than the rules have looked at."""
    if not training.train or not training.validation:
        return Finding("good", training.name, "The given weights are used as they are.")
    best, first = training.best, training.train[0]
    text = (
        f"Sound: the validation loss came to {nats(best['loss_nats'])}. The training loss went from "
        f"{nats(first['loss_nats'])} to {nats(training.train_loss_by(training.steps))} without jumps, and neither "
        "over-fitting nor a learning rate that is far off is to be seen."
    )
    ratio = figures.get("language_model", {}).get("ratio_to_floor")
    if training.name == "pretrain" and ratio is not None:
        text += (
            f" The test text takes {100 * (ratio - 1):.1f} % more bits than it takes one who knows how it was made, "
            "so there is little left to learn."
            if near_the_floor(figures["language_model"])
            else f" The test text takes {ratio:.2f} times the bits it takes one who knows how it was made."
        )
    return Finding("good", training.name, text)


def nats(value: float) -> str:
    """A loss to three digits, as many as matter."""
    return f"{value:.3g}" if value < 1 else f"{value:.2f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
