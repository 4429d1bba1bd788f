"""What tests of the remote client share: the real service, and its configuration in the environment."""

import json
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from quarry_service import PATIENCE_SECONDS, EndedEarly, Service, counting_graph  # noqa: E402,F401


def environment_of(service):
    """The variables that point a client at the service."""
    config = json.loads(service.config.read_text())
    return {"QUARRY_SERVER": service.facts["server"], "QUARRY_API_KEY": config["api_key"],
            "QUARRY_AUTHORITY": config["authority"]}


class ServiceCase(unittest.TestCase):
    """One service for all tests of a class; its configuration is in the environment while they run."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Service(arguments=cls.arguments)
        cls.addClassCleanup(cls.server.__exit__)
        cls.variables = environment_of(cls.server)
        patch = mock.patch.dict(os.environ, {**cls.variables, "XDG_CONFIG_HOME": str(cls.server.data / "no-config")})
        patch.start()
        cls.addClassCleanup(patch.stop)
