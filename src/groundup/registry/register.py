"""Final models as versions in MLflow's registry, which everything that speaks MLflow can load or serve.

A version holds the model's files, the package that runs them and the pinned packages that this needs; the script that
loads it is code, so nothing of it is a pickle.
"""

from __future__ import annotations

import getpass
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

import groundup
from groundup.params_file import load_params
from groundup.registry.champion import figure_of, reason_to_stay
from groundup.registry.final import FILES, Final, read_finals
from groundup.tracking.pipeline import git_tags, pipeline_key
from groundup.tracking.store import PATIENCE_OF_A_PERSON_S, Store, project_root, size_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

NAMES = ("pretrained", "classifier", "instructed")  # as the folders of the models are called
CHAMPION = "champion"
PACKAGE = Path(groundup.__file__).parent
SCRIPTS = Path(__file__).parent / "from_code"
# What the code imports that a registered model runs; their own needs are pip's business.
REQUIREMENTS = ("mlflow", "pandas", "numpy", "torch", "tiktoken", "regex", "safetensors", "filelock")


def registered_name(name: str) -> str:
    return f"groundup-{name}"


def register(names: Sequence[str], *, force: bool) -> Iterator[str]:
    """Register final models and say, a line for each, what became of it and who is the champion.

    The champion is the first version, and then the one whose test figure is better than all that the interval of the
    champion before it holds. A model that stands there already is not registered again.

    Args:
        force: make these models the champions, whatever the figures say.
    Raises: GroundupError before anything is written if models or reports are missing or do not belong together, if
        tracking is off, or if the store does not answer.
    """
    finals = read_finals(names)
    quick = Store()
    quick.demand(lambda _: quick.experiment_id)  # a server that is down is found out soon
    store = Store(PATIENCE_OF_A_PERSON_S)
    folder = project_root() / ".groundup"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "register.lock"):  # so that two at once do not both make a version of the same bytes
        for final in finals:
            yield _registered(store, final, force)


def _registered(store: Store, final: Final, force: bool) -> str:
    name = registered_name(final.name)
    found = store.demand(lambda client: _version_of(client, name, final))
    if found is None:
        version = _new_version(store, name, final)
        said = f"{name}: registered as version {version.version}, {figure_of(version.tags)}"
    else:
        version, said = found, f"{name}: already registered as version {found.version}"
    return f"{said}; {store.demand(lambda client: _crowned(client, version, force, final.name))}"


def _version_of(client: MlflowClient, name: str, final: Final) -> ModelVersion | None:
    """The newest version that was made of these bytes."""
    wanted = f"name = '{name}' AND tags.`model.sha256` = '{final.digests['model.sha256']}'"
    return max(client.search_model_versions(wanted), key=lambda each: int(each.version), default=None)


def _new_version(store: Store, name: str, final: Final) -> ModelVersion:
    tags = {**final.figure().tags(), **final.digests, **git_tags()}
    experiment_id = store.demand(lambda _: store.experiment_id)
    run = store.demand(lambda _: store.find("pipeline.key", pipeline_key(load_params())))
    run_id = run.info.run_id if run is not None else None
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place) / "model"
        description = save(final.name, final.folder, saved)

        def uploaded(client: MlflowClient) -> ModelVersion:
            logged = client.create_logged_model(experiment_id, name, run_id, {"mlflow.user": getpass.getuser()})
            description.model_id, description.run_id = logged.model_id, run_id
            description.artifact_path = logged.artifact_location
            description.save(str(saved / "MLmodel"))
            client.log_model_artifacts(logged.model_id, str(saved))
            client.finalize_logged_model(logged.model_id, "READY")
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            source = f"models:/{logged.model_id}"
            return client.create_model_version(name, source, tags=tags, model_id=logged.model_id)

        made: ModelVersion = store.demand(uploaded, size_of(saved))
        return made


def save(name: str, folder: Path, target: Path) -> Any:
    """Write a model as MLflow keeps it into a new folder; returns its description, which lies there too."""
    import mlflow.pyfunc
    from mlflow.models import Model

    from groundup.registry.serving import FORMS, MODEL

    description = Model()
    with tempfile.TemporaryDirectory() as place:
        files = Path(place) / MODEL  # of the model alone, without samples and the model it is compared with
        files.mkdir()
        for file in FILES:
            shutil.copyfile(folder / file, files / file)  # MLflow follows no links, which DVC may have made
        mlflow.pyfunc.save_model(
            str(target),
            mlflow_model=description,
            python_model=str(SCRIPTS / f"{name}.py"),
            artifacts={MODEL: str(files)},
            code_paths=[str(PACKAGE)],
            signature=FORMS[name].signature,
            input_example=[FORMS[name].example],
            pip_requirements=pinned_requirements(),
        )
    return description


def pinned_requirements() -> list[str]:
    """The installed versions, without what only names a build (`+cpu`), which no index has."""
    return [f"{package}=={installed_version(package).split('+')[0]}" for package in REQUIREMENTS]


def _crowned(client: MlflowClient, version: ModelVersion, force: bool, name: str) -> str:
    """Give the version the alias if it has earned it; returns what is the case now."""
    champion = client.get_registered_model(version.name).aliases.get(CHAMPION)
    if champion == version.version:
        return "it is the champion"
    reason = None
    if champion is not None and not force:
        before = figure_of(client.get_model_version(version.name, champion).tags)
        reason = reason_to_stay(before, figure_of(version.tags))
    if reason is not None:
        return (
            f"the champion stays version {champion}: {reason}; "
            f"`groundup register {name} --champion` makes it the champion all the same"
        )
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return f"it is the champion now, {'the first' if champion is None else f'in place of version {champion}'}"
