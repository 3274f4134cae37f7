"""The encoder: it finds the model's files and loads only the pinned ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import ragstone_minilm

from ragstone.errors import ModelFileError
from ragstone.inference.encoder import SHA256, read_model_files

INSTALLED = Path(ragstone_minilm.__file__).parent


def test_the_installed_package_is_found():
    files = read_model_files(None)
    assert files == read_model_files(INSTALLED)
    assert len(files.weights) > 90_000_000


def test_a_folder_comes_before_the_package(tmp_path):
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        read_model_files(tmp_path)


def test_a_missing_file_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ModelFileError) as raised:
        read_model_files(tmp_path)
    assert f"Cannot read the model file {tmp_path / 'model.onnx'}" in str(raised.value)
    assert "Install the package ragstone-minilm" in str(raised.value)
    assert "RAGSTONE_EMBEDDING__MODEL_FOLDER" in str(raised.value)


@pytest.mark.parametrize("altered", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_one_altered_byte_is_refused(tmp_path, altered):
    for name in SHA256:
        shutil.copy(INSTALLED / name, tmp_path)
    content = bytearray((tmp_path / altered).read_bytes())
    content[-100] ^= 1
    (tmp_path / altered).write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"{altered} is not the pinned one"):
        read_model_files(tmp_path)
