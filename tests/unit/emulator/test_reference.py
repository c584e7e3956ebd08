"""The emulator's page of the documentation says what the models and tables say."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from entrasync.emulator.certainty import GUESSES, Guess
from entrasync.emulator.config import (
    Application,
    EmulatedCloud,
    EmulatorConfig,
    FederatedCredential,
    Seed,
    SeedObject,
    Tenant,
    Tls,
)
from entrasync.emulator.reference import EXAMPLES, render_emulator_reference
from entrasync.emulator.switches import Switches

PAGE = render_emulator_reference()
MODELS = (
    ("", EmulatorConfig),
    ("clouds[].", EmulatedCloud),
    ("tls.", Tls),
    ("tenants[].", Tenant),
    ("tenants[].seed.", Seed),
    ("tenants[].objects[].", SeedObject),
    ("tenants[].applications[].", Application),
    ("tenants[].applications[].federatedCredentials[].", FederatedCredential),
    ("", Switches),
)


@pytest.mark.parametrize(
    ("prefix", "model"), MODELS, ids=lambda each: getattr(each, "__name__", each)
)
def test_every_field_has_a_row_and_a_meaning(prefix: str, model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        known = re.escape(prefix + (field.alias or name))
        rows = re.findall(rf"^\| `{known}` .*$", PAGE, re.MULTILINE)
        meaning = " ".join((field.description or "?").split())
        assert any(meaning in row for row in rows), name


def test_every_switch_has_an_example_that_sets_it() -> None:
    usual = Switches().model_dump(by_alias=True)
    assert list(EXAMPLES) == list(usual)
    for name, body in EXAMPLES.items():
        found = Switches.model_validate(body).model_dump(by_alias=True)
        assert found[name] != usual[name], name


@pytest.mark.parametrize("guess", GUESSES, ids=lambda each: each.name)
def test_every_guess_is_where_it_is_said_to_be(guess: Guess) -> None:
    value = guess.value()
    assert callable(value) or isinstance(value, str)


def test_a_table_has_as_many_cells_in_every_row() -> None:
    cells = 0
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        count = len(re.split(r"(?<!\\)\|", line))
        assert cells in {0, count}, line
        cells = count
