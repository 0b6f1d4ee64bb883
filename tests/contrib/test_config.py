"""What is shipped as configuration is valid, and the reference says what is in force without it."""

import tomllib
from typing import get_args, get_type_hints

import msgspec
import pytest

from contrib.debian.package import CONFIG
from qfagent.config import Config, Section, parse


def keys(section, path=""):
    """Every setting that there is, by its whole path."""
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from keys(field.type, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}"


def named(table, path=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from named(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


@pytest.mark.parametrize("role", get_args(get_type_hints(Config)["role"]))
def test_there_is_a_valid_example_for_each_role(role):
    assert role == parse((CONFIG / f"{role}.toml").read_text()).role


def test_the_reference_names_every_setting_in_order():
    assert list(keys(Config)) == list(named(tomllib.loads((CONFIG / "reference.toml").read_text())))


def test_the_reference_says_what_holds_without_it():
    reference = (CONFIG / "reference.toml").read_text().replace('name = ""', 'name = "peer-a"')

    assert parse('name = "peer-a"') == parse(reference)
