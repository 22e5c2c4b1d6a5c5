"""The declaration in the runbook is one that the registry takes."""

import re
from pathlib import Path

import yaml
from google.protobuf import json_format

from protos.registry.v1.application_pb2 import Application as Declared
from services.registry.domain.application import complete
from services.registry.domain.values import Application
from services.registry.wire.values import value

README = Path("services/registry/README.md")


def test_the_declaration_with_everything_has_everything_and_is_accepted() -> None:
    found = re.search(r"```yaml\n(.+?)```", README.read_text(), re.DOTALL)
    assert found is not None
    declared = json_format.ParseDict(yaml.safe_load(found[1]), Declared())

    application = complete(value(Application, declared))

    assert {field.name for field, _ in declared.ListFields()} == set(
        Declared.DESCRIPTOR.fields_by_name
    )
    assert application.recipe.first_layer == 15
