"""Where the service is and who is asking, as the command line finds it: the config file, then the environment."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from .errors import ServiceError


@dataclass(frozen=True)
class Config:
    server: str = ""  #: "https://host:port"
    api_key: str = field(default="", repr=False)  #: qk_live_...; never printed
    authority: str = ""  #: PEM file of the CA to trust; empty: the system's


KEYS = tuple(entry.name for entry in fields(Config))


def default_config_path() -> Path:
    """$XDG_CONFIG_HOME/quarry/config.json, else ~/.config/quarry/config.json."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "quarry" / "config.json"


def bad_config(detail: str, pointer: str = "", action: str = "") -> ServiceError:
    return ServiceError("bad_config", detail, pointer=pointer, action=action)


def read_config_file(path: Path) -> dict[str, str]:
    """The known keys of a config file; none when it does not exist."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise bad_config(f"cannot read {path}: {error}") from None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise bad_config(f"{path} is not valid JSON", action="Mend or remove the file.") from None
    if not isinstance(values, dict):
        raise bad_config(f"{path} does not hold a JSON object", action='Write {"server": "https://..."}.')
    for key, value in values.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            raise bad_config(f'unknown key "{key}" in {path}', f"/{key}",
                             f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(KEYS)}.")
        if not isinstance(value, str):
            raise bad_config(f'"{key}" in {path} must be a string', f"/{key}")
    return values


def load_config(on: str = "service", path: Path | None = None) -> Config:
    """The configuration for `on`: "service" for the configured server, or "https://host:port" with the same key."""
    config = Config(**read_config_file(path or default_config_path()))
    environment = {key: os.environ.get(f"QUARRY_{key.upper()}", "") for key in KEYS}
    config = replace(config, **{key: value for key, value in environment.items() if value})
    if on != "service":
        config = replace(config, server=on)
    config = replace(config, server=config.server.rstrip("/"))
    if not config.server:
        raise ServiceError("not_configured", "no server is configured",
                           action='Run `quarry up`, or set "server" in the config, or QUARRY_SERVER.')
    if not config.server.startswith("https://"):
        raise bad_config(f"the server {config.server!r} is not of the form https://host:port",
                         action="Quarry speaks HTTPS only.")
    if not config.api_key:
        raise ServiceError("not_configured", "no API key is configured",
                           action='Set "api_key" in the config, or QUARRY_API_KEY.')
    if not (config.api_key.isascii() and config.api_key.isprintable()) or " " in config.api_key:
        raise bad_config("the API key has characters that no key has", action="Copy it again, without line breaks.")
    return config
