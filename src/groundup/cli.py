"""The `groundup` command: what a person does beside `dvc repro`."""

from pathlib import Path

import click

from groundup import __version__
from groundup.console import said_in_one_line


@click.group()
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
    """Check params.yaml without running anything, and mend what a kill left of DVC's files."""
    from groundup.config import load_params
    from groundup.dvc_files import mend_dvc_files

    with said_in_one_line():
        load_params()
        for line in mend_dvc_files():
            click.echo(line)
    click.echo("params.yaml is valid")


@main.command()
def track() -> None:
    """Write the finished pipeline onto its run in MLflow, from DVC's files; doing so again changes nothing."""
    from groundup.config import load_params
    from groundup.report.record import record_reports
    from groundup.tracking import tracking_uri, without_password

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


if __name__ == "__main__":
    main()
