"""Settings become a platform: the only place that names adapters."""

from ragstone.wiring.engines import open_embedder, open_index
from ragstone.wiring.foundation import open_records, prepare_data_dir
from ragstone.wiring.opening import open_platform
from ragstone.wiring.platform import Accounts, Platform, Records

__all__ = [
    "Accounts",
    "Platform",
    "Records",
    "open_embedder",
    "open_index",
    "open_platform",
    "open_records",
    "prepare_data_dir",
]
