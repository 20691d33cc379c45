"""Every verb of the command loads, and it and all its options say what they are for."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from control.cli import VERBS, main


def commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None, (*words, name)
                yield from commands(inner, (*words, name))


@pytest.mark.parametrize("verb", VERBS)
def test_the_verb_and_its_options_have_help(verb: str) -> None:
    with click.Context(main) as context:
        command = main.get_command(context, verb)
    assert command is not None
    for words, each in commands(command, (verb,)):
        assert each.help, f"tepi {' '.join(words)} has no help"
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"tepi {' '.join(words)} {parameter.opts[0]} has no help"
        told = CliRunner().invoke(main, [*words, "--help"])
        assert told.exit_code == 0, told.output


def test_the_list_of_verbs_is_the_help() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    assert [verb for verb in VERBS if f"\n  {verb} " not in told.output] == []
