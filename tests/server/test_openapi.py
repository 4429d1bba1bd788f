"""The served OpenAPI document: well formed, complete, and true of every kind of answer. (test_api.py checks each answer it sees too.)"""

import re
import sys
import unittest
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server_under_test import Server  # noqa: E402

ROUTES = Path(__file__).resolve().parents[2] / "server" / "api" / "routes.cpp"


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.document = cls.server.contract.document

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_the_document_names_every_route_and_its_scope_and_no_other(self):
        routes = {(m.lower(), pattern): scope for m, pattern, scope in
                  re.findall(r'Route\{(\w+), "([^"]+)", "([^"]*)"', ROUTES.read_text())}
        documented = {(method, path): operation["security"][0]["key"][0] if operation["security"] else ""
                      for path, item in self.document["paths"].items() for method, operation in item.items()}
        self.assertEqual(routes, documented)

    def test_every_schema_is_a_schema_and_every_reference_resolves(self):
        schemas = self.document["components"]["schemas"]
        for name, schema in schemas.items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

        def walk(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    at = self.document
                    for part in value["$ref"].removeprefix("#/").split("/"):
                        at = at[part]
                for child in value.values():
                    walk(child)
            elif isinstance(value, list):
                for child in value:
                    walk(child)
        walk(self.document)

    def test_every_operation_answers_as_documented(self):
        server = self.server
        digest = server.put_tensors({"x": ("U8", [1], b"x")})
        document = server.job()
        job = server.request("POST", "/v1/jobs", {"job": document}).json["id"]
        graph = document["stages"][0]["graph"]
        requests = [("PUT", "/v1/tensors/" + "0" * 64, b"x"), ("HEAD", f"/v1/tensors/{digest}", None), ("GET", f"/v1/tensors/{digest}", None),
                    ("GET", f"/v1/graphs/{graph}", None), ("GET", f"/v1/graphs/{graph}?form=json", None),
                    ("POST", "/v1/graphs", {}), ("POST", "/v1/quotes", {"job": document}), ("POST", "/v1/quotes", {}),
                    ("POST", "/v1/jobs:batch", {"jobs": [{"job": document}]}), ("GET", "/v1/jobs", None), ("GET", f"/v1/jobs/{job}", None),
                    ("GET", f"/v1/jobs/{job}/results", None), ("GET", f"/v1/jobs/{job}/results/total", None),
                    ("DELETE", f"/v1/jobs/{job}", None), ("GET", f"/v1/jobs/{job}/events", None), ("GET", f"/v1/jobs/{job}/bill", None),
                    ("GET", "/v1/usage", None), ("GET", "/v1/account", None), ("GET", "/v1/account/ledger", None),
                    ("POST", "/v1/boxes", {"name": "a"}), ("GET", "/v1/boxes", None), ("POST", "/v1/boxes:claim", {}),
                    ("GET", "/v1/openapi.json", None), ("GET", "/healthz", None), ("GET", "/readyz", None)]
        for method, path, body in requests:
            with self.subTest(f"{method} {path}"):
                server.request(method, path, body)  # the contract checks the answer
        asked = {(method, pattern) for method, pattern, _ in server.contract.seen}
        documented = {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}
        self.assertEqual(documented - asked, set())


if __name__ == "__main__":
    unittest.main()
