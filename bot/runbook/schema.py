"""The JSON Schema of a runbook, for editors: made from the models, which alone define the format."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from bot.runbook.model import Runbook

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "runbook.schema.json"
"""Its name; it lies in the directory of runbooks."""


class _Schema(GenerateJsonSchema):
    """Says what a file may hold, where a validator of ours turns it into something else."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        function: Any = schema["function"]["function"]
        if getattr(function, "__name__", "") == "as_list" and inner.get("type") == "array":
            # One stands for a list of one.
            return {"anyOf": [inner["items"], inner]}
        return inner

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave defaults out: in the file they look otherwise (``30s``), and descriptions say them."""
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Let a key be absent, not empty."""
        return self.generate_inner(schema["schema"])

    def generate(
        self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation"
    ) -> JsonSchemaValue:
        """Name the dialect, and drop the titles that pydantic makes out of names."""
        made = super().generate(schema, mode)
        return {"$schema": DIALECT, **_untitled(made), "title": "Holdfast runbook"}


def _untitled(node: Any, *, names: bool = False) -> Any:
    if isinstance(node, list):
        return [_untitled(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _untitled(value, names=key in {"properties", "$defs"} and not names)
        for key, value in node.items()
        if names or key != "title" or not isinstance(value, str)
    }


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one runbook file."""
    return Runbook.model_json_schema(schema_generator=_Schema)
