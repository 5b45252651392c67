"""Weights on their way to data/raw/: from a mirror or a web server, pinned or trusted on first use, or one's own."""

import hashlib
import json
import os

import numpy as np
import pytest
from data_helpers import contents, entry_for, local_site
from safetensors.numpy import save

from groundup.data import weights as weights_module
from groundup.data.weights import bring_weights
from groundup.errors import GroundupError

TENSORS = save({"wte.weight": np.arange(12, dtype=np.float32).reshape(3, 4)})
OTHER_TENSORS = save({"wte.weight": np.ones((3, 4), dtype=np.float32)})


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUNDUP_MIRROR", raising=False)
    (tmp_path / "data" / "own").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def site():
    with local_site() as opened:
        yield opened


@pytest.fixture
def offers(monkeypatch, site):
    """Puts GPT-2's weights onto the local site, with or without a known hash; served once unless told otherwise."""

    def offer(data, *, pinned, limit=None, name="gpt2"):
        place = site.serve("/model.safetensors", data)
        facts = {} if pinned else {"sha256": None, "size_bytes": limit or len(data) + 9}
        entry = entry_for(
            TENSORS, place, name=name, kind="weights", file=f"{name}/model.safetensors", rows=None, **facts
        )
        monkeypatch.setattr(weights_module, "entries", lambda kind: {name: entry})

    return offer


def bring(project, init, section="pretrain", to="raw"):
    told = []
    files = bring_weights(
        section, init, project / to, project / "transfers", lambda name: lambda done, total: None, told.append
    )
    return files, told


def refused(project, init):
    with pytest.raises(GroundupError) as error:
        bring(project, init)
    assert "\n" not in str(error.value)
    assert not list(project.glob("raw/*/model.safetensors"))
    return str(error.value)


@pytest.mark.parametrize("init", ["scratch", "pretrained"])
def test_a_training_without_given_weights_gets_a_folder_that_says_so(project, init):
    assert bring(project, init) == ([], [])
    assert contents(project / "raw") == {"pretrain/source.json": f'{{\n  "init": "{init}"\n}}\n'.encode()}


def test_pinned_weights_come_with_the_shape_that_they_have(project, offers, site):
    offers(TENSORS, pinned=True)
    files, told = bring(project, "gpt2")
    folder = project / "raw" / "pretrain"
    assert (folder / "model.safetensors").read_bytes() == TENSORS
    facts = json.loads((folder / "config.json").read_text())
    assert facts == {"model_type": "gpt2", "n_positions": 1024, "n_layer": 12, "n_embd": 768, "n_head": 12}
    assert [(file.kind, file.name, file.file, file.sha256) for file in files] == [
        ("weights", "gpt2", "weights/pretrain/model.safetensors", hashlib.sha256(TENSORS).hexdigest())
    ]
    assert told == []
    assert not (project / "transfers" / "weights.lock.json").exists()


def test_they_are_transferred_once_and_linked(project, offers, site):
    offers(TENSORS, pinned=True)
    bring(project, "gpt2")
    bring(project, "gpt2", "finetune_instruct")
    bring(project, "gpt2", to="raw.again")
    assert len(site.asked) == 1
    places = [project / "raw" / "pretrain", project / "raw" / "finetune_instruct", project / "raw.again" / "pretrain"]
    assert len({os.stat(place / "model.safetensors").st_ino for place in places}) == 1


def test_a_kept_file_that_was_damaged_is_transferred_again(project, offers, site):
    offers(TENSORS, pinned=True)
    bring(project, "gpt2")
    kept = project / "transfers" / "weights" / "gpt2.safetensors"
    kept.unlink()
    kept.write_bytes(TENSORS[:-1])
    bring(project, "gpt2", to="raw.again")
    assert len(site.asked) == 2
    assert (project / "raw.again" / "pretrain" / "model.safetensors").read_bytes() == TENSORS


def test_other_bytes_than_the_pinned_ones_are_refused(project, offers):
    offers(OTHER_TENSORS, pinned=True)
    assert "gpt2: no source gave the file" in refused(project, "gpt2")


def test_weights_without_a_known_hash_are_trusted_on_first_use_loudly_and_held_to(project, offers, site):
    offers(TENSORS, pinned=False)
    digest = hashlib.sha256(TENSORS).hexdigest()
    _, told = bring(project, "gpt2")
    assert len(told) == 1
    assert told[0].startswith("WARNING: gpt2 was trusted on first use")
    assert f"{len(TENSORS)} bytes with sha256 {digest}" in told[0]
    lock = project / "transfers" / "weights.lock.json"
    assert json.loads(lock.read_text()) == {"gpt2": {"size_bytes": len(TENSORS), "sha256": digest}}
    assert bring(project, "gpt2", "finetune_instruct")[1] == []  # said once
    assert len(site.asked) == 1

    (project / "transfers" / "weights" / "gpt2.safetensors").unlink()
    offers(OTHER_TENSORS, pinned=False)
    with pytest.raises(GroundupError, match=f"no source gave the file.*sha256 {digest[:12]}"):
        bring(project, "gpt2", to="raw.again")
    assert json.loads(lock.read_text())["gpt2"]["sha256"] == digest


def test_a_page_in_place_of_unknown_weights_is_never_trusted(project, offers):
    offers(b"<html>please sign in</html>" * 30, pinned=False)
    assert "gpt2: what came is no safetensors file" in refused(project, "gpt2")
    assert not (project / "transfers" / "weights.lock.json").exists()
    assert not (project / "transfers" / "weights" / "gpt2.safetensors").exists()


def test_unknown_weights_beyond_the_limit_are_refused(project, offers):
    offers(TENSORS, pinned=False, limit=len(TENSORS) - 1)
    assert f"offers {len(TENSORS)} bytes, more than the {len(TENSORS) - 1} allowed" in refused(project, "gpt2")


def test_a_mirror_gives_them_too(project, offers, site, monkeypatch):
    offers(TENSORS, pinned=False)
    (project / "mirror" / "gpt2").mkdir(parents=True)
    (project / "mirror" / "gpt2" / "model.safetensors").write_bytes(TENSORS)
    monkeypatch.setenv("GROUNDUP_MIRROR", str(project / "mirror"))
    _, told = bring(project, "gpt2")
    assert len(told) == 1
    assert site.asked == []


def own_folder(project, **files):
    folder = project / "data" / "own" / "mine"
    folder.mkdir()
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return "data/own/mine"


def test_a_folder_of_ones_own_comes_with_what_describes_it_and_nothing_else(project):
    name = own_folder(
        project, model__safetensors=TENSORS, config__json=b"{}", tokenizer__json=b"[]", optimizer__pt=b"x"
    )
    files, _ = bring(project, name)
    folder = project / "raw" / "pretrain"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "source.json",
        "tokenizer.json",
    ]
    assert (files[0].name, files[0].licence) == (name, "your own")
    assert os.stat(folder / "model.safetensors").st_nlink == 1  # DVC may protect its files; yours stay yours


def test_a_file_of_ones_own_comes_alone(project):
    own_folder(project, some__safetensors=TENSORS)
    bring(project, "data/own/mine/some.safetensors")
    assert (project / "raw" / "pretrain" / "model.safetensors").read_bytes() == TENSORS


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "pretrain.init: no model.safetensors in data/own/mine; allowed: one file"),
        ({"pytorch_model__bin": b"\x80"}, "got pytorch_model.bin, a pickle, which could run any code"),
        ({"model__safetensors__index__json": b"{}"}, "got several parts"),
    ],
)
def test_a_folder_without_one_file_of_weights_is_refused(project, files, said):
    assert said in refused(project, own_folder(project, **files))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./model.safetensors", "pretrain.init: your own files must lie in data/own/"),
        ("data/own/gone", "pretrain.init: no such file or folder; got data/own/gone"),
    ],
)
def test_weights_elsewhere_are_refused(project, name, said):
    (project / "model.safetensors").write_bytes(TENSORS)
    assert said in refused(project, name)
