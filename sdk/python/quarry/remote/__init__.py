"""The client of a Quarry service: `connect()`, then `Service.run_job`, `submit`, `quote`, `account`, `usage`, `jobs`.

Importing this costs nothing: HTTP and TLS are loaded with the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .errors import JobError, ServiceError

if TYPE_CHECKING:
    from .answers import Account, Quote, Usage
    from .config import Config
    from .document import JobOutput
    from .job import Event, Job
    from .service import Service

HOME_OF = {"Account": "answers", "Quote": "answers", "Usage": "answers", "Config": "config", "load_config": "config",
           "Event": "job", "Job": "job", "JobOutput": "document", "Service": "service"}
__all__ = ["JobError", "ServiceError", "connect", *HOME_OF]

_services: dict = {}  # by configuration: calls one after the other share the open connection and what was uploaded


def connect(on: str = "service") -> Service:
    """The service that the command line's configuration names ("service"), or the one at "https://host:port".

    The configuration is ~/.config/quarry/config.json, then QUARRY_SERVER, QUARRY_API_KEY and QUARRY_AUTHORITY.
    Nothing is sent yet.
    """
    from .config import load_config
    from .service import Service
    config = load_config(on)
    if config not in _services:
        _services[config] = Service(config)
    return _services[config]


def __getattr__(name: str):
    if name not in HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{HOME_OF[name]}", __name__), name)
