import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_published_document_is_what_the_node_gives_out(served: Any) -> None:
    given = served.http.get("/openapi.json").json()
    assert json.loads(DOCUMENT.read_text()) == given, "write what a node gives at /openapi.json to docs/openapi.json"


def test_every_operation_has_a_summary_a_reply_and_problems(served: Any) -> None:
    document = served.http.get("/openapi.json").json()
    names = set(document["components"]["schemas"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert "200" in operation["responses"], where
            assert "default" in operation["responses"], where
            if method == "post":
                assert operation["requestBody"]["required"], where
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert used == names


def test_replies_are_as_the_document_says(served: Any) -> None:
    document = served.http.get("/openapi.json").json()
    served.owner.register()
    for path in ("/v1/status", "/v1/network", "/v1/registry/nodes", "/readyz", "/v1/blocks/1"):
        pattern = "/v1/blocks/{height}" if "blocks" in path else path
        operation = document["paths"][pattern]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        validator.validate(served.http.get(path).json())
