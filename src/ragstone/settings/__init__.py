"""Every setting, in one typed tree. Read at the door only: `cli`, `app`, `worker`, `wiring`.

An environment variable is `RAGSTONE_`, then the path with two underscores between
levels: `RAGSTONE_ANSWER__MODEL`. A `.env` file in the working directory is read too;
real environment variables win. Each group mirrors the options of the part it is for.
"""

from ragstone.resilience.addresses import LOOPBACK_HOSTS
from ragstone.settings.parts import RedisSettings, ServerSettings
from ragstone.settings.tree import Settings, env_example, load_settings, variable_name

__all__ = [
    "LOOPBACK_HOSTS",
    "RedisSettings",
    "ServerSettings",
    "Settings",
    "env_example",
    "load_settings",
    "variable_name",
]
