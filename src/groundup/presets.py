"""Presets: named parameters, one complete and commented, the others only what they change.

`params.yaml` is the only thing that a run reads. A preset is copied into it, comments and all; nothing else of it is
kept, so what `params.yaml` says is what runs.
"""

import io
import re
import shlex
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from groundup.config import flatten
from groundup.errors import GroundupError
from groundup.files import write_text_atomically
from groundup.params_file import PARAMS_FILE, parse_params, read_yaml

FOLDER = Path("presets")
COMPLETE = "sample"  # the preset that holds every key, with comments


def preset_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def compose(name: str) -> str:
    """The text of `params.yaml` for a preset: the complete one, with this one's values in its places.

    Raises: GroundupError if there is no such preset, or if it holds an unknown key or a value that is not allowed.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise GroundupError(
            "there is no such preset", got=name, allowed=", ".join(preset_names()), do="choose one of them"
        )
    complete = (FOLDER / f"{COMPLETE}.yaml").read_text(encoding="utf-8")
    if name == COMPLETE:
        return complete
    yaml = YAML()
    yaml.width = 4096  # comments and long lists stay on their line
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(complete)
    _merge(document, yaml.load(path.read_text(encoding="utf-8")) or {}, str(path))
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    # The comment on top of the complete preset speaks of that file; the composed one says where it comes from.
    body = buffer.getvalue().split("\n\n", 1)[1]
    text = f"# The preset {name}: presets/{COMPLETE}.yaml with what presets/{name}.yaml changes.\n\n{body}"
    parse_params(YAML(typ="safe").load(text), str(path))
    return text


def _merge(base: Any, changes: Mapping[str, Any], origin: str, prefix: str = "") -> None:
    for key, value in changes.items():
        if key not in base:
            raise GroundupError(
                f"{origin}: {prefix}{key} is not a known key", do=f"remove it; presets/{COMPLETE}.yaml shows every key"
            )
        if isinstance(base[key], Mapping) and isinstance(value, Mapping):
            _merge(base[key], value, origin, f"{prefix}{key}.")
        else:
            base[key] = value


def use(name: str) -> bool:
    """Write a preset into `params.yaml`; returns whether that changed it."""
    text = compose(name)
    if PARAMS_FILE.exists() and PARAMS_FILE.read_text(encoding="utf-8") == text:
        return False
    write_text_atomically(PARAMS_FILE, text)
    return True


def as_dvc_flags(name: str) -> str:
    """A preset's differences from `params.yaml`, as flags for `dvc exp run --temp`."""
    wanted = flatten(parse_params(YAML(typ="safe").load(compose(name))))
    now = flatten(parse_params(read_yaml(PARAMS_FILE), str(PARAMS_FILE)))
    flags = [f"-S {shlex.quote(f'{key}={_hydra(value)}')}" for key, value in wanted.items() if now[key] != value]
    return " ".join(flags)


def _hydra(value: Any) -> str:
    """A value in the grammar of DVC's `-S`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_hydra(each) for each in value) + "]"
    if isinstance(value, str):
        if re.fullmatch(r"[A-Za-z][\w-]*", value) and value.lower() not in ("true", "false", "null", "nan", "inf"):
            return value
        # ${ would be filled in; a quote ends the text, and backslashes count only before either.
        escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
        escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), escaped)
        return f"'{escaped}'"
    if isinstance(value, float):
        text = f"{Decimal(repr(value)):f}"  # never 1e-05, which YAML 1.1 readers take for a word
        return text if "." in text else f"{text}.0"
    return str(value)
