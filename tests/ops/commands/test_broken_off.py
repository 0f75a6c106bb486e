"""A command that somebody ends with Ctrl-C says so in a sentence."""

from typing import Any

import pytest

from ops.management.working import WorkingCommand
from ops.operations import active


class Command(WorkingCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        raise KeyboardInterrupt


def test_it_is_told_what_became_of_the_work_and_the_shell_hears_of_the_interrupt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "broken_off", "--skip-checks", "--no-color"])
    assert ended.value.code == 130
    told = capsys.readouterr().err
    assert told == (
        "CommandError: test_broken_off was broken off: what it had finished stays, what it was doing was not done.\n"
    )
    assert not [each for each in active() if each["name"] == "test_broken_off"], "it is no longer in hand"
