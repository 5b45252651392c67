"""A training as a person sees it: a bar in a terminal, plain lines elsewhere."""

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from groundup.console import make_console, one_line
from groundup.train.loop import Outcome, TrainRow


class TrainingProgress:
    """Steps, loss, tokens per second and time left as a bar; a line for each validation; the samples as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = make_console()
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.speed = ""

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()  # also when the training failed: a bar left alone hides the cursor

    def started(self, max_steps: int) -> None:
        self.task = self.bar.add_task(self.name, total=max_steps, loss="", speed="")
        if self.console.is_terminal:
            self.bar.start()

    def resumed(self, outcome: Outcome) -> None:
        self.bar.update(self.task, completed=outcome.steps)
        self.console.print(f"{self.name} goes on after step {outcome.steps}, from the state that was kept")

    def logged(self, row: TrainRow, tokens_per_s: float) -> None:
        self.speed = f"{tokens_per_s:,.0f} tokens/s"
        self.bar.update(self.task, completed=row.step, loss=f"loss {row.loss_nats:.3f}", speed=self.speed)

    def validated(self, row: dict[str, float]) -> None:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in ("step", "tokens"))
        self.console.print(f"{self.name} step {row['step']:.0f}  validation {figures}  {self.speed}")

    def sampled(self, step: int, text: str) -> None:
        self.console.print(
            f"    sample: {escape(one_line(text, line_break=' ⏎ '))}", style="dim", overflow="ellipsis", no_wrap=True
        )

    def ended(self, outcome: Outcome) -> None:
        how = "stopped early, no better since" if outcome.stopped_early else "done, best"
        self.console.print(
            f"{self.name} {how} step {outcome.best_step} (validation loss {outcome.best_loss_nats:.4f} nats)"
        )
