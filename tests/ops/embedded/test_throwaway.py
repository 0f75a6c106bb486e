"""`make test` in two processes: what fails beside others is run once more alone, and is named."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import throwaway
from ops.embedded.supervisor import StopRequest

FLAKY = """
from pathlib import Path

def test_that_fails_the_first_time():
    seen = Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first

def test_that_passes():
    pass
"""


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that are run here need none."""

    @contextlib.contextmanager
    def prepared(caller: dict[str, str], _stop: StopRequest) -> Iterator[dict[str, str]]:
        own = {name: value for name, value in caller.items() if not name.startswith("PYTEST_")}
        yield own | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    monkeypatch.setattr(throwaway, "throwaway_environment", prepared)


def run(file: Path, *, processes: int = 2) -> int:
    return throwaway.test(["-q", "-p", "xdist", f"--numprocesses={processes}", str(file)], StopRequest())


def test_what_fails_beside_others_and_passes_alone_is_named_and_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flaky = tmp_path / "test_flaky.py"
    flaky.write_text(FLAKY)

    assert run(flaky) == 0

    told = capsys.readouterr().out
    assert "1 failed while other tests ran beside; once more, alone:" in told
    assert told.rstrip().endswith("test_flaky.py::test_that_fails_the_first_time")


def test_what_fails_alone_too_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("def test_broken():\n    assert False\n")

    assert run(broken) == throwaway.TESTS_FAILED

    assert "PASSED ALONE" not in capsys.readouterr().out


def test_many_failures_are_no_accident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("".join(f"def test_{n}():\n    assert False\n" for n in range(throwaway.MOST_ONCE_MORE + 1)))

    assert run(broken) == throwaway.TESTS_FAILED

    assert "once more" not in capsys.readouterr().out


def test_in_one_process_nothing_is_run_twice(tmp_path: Path) -> None:
    flaky = tmp_path / "test_flaky.py"
    flaky.write_text(FLAKY)

    assert run(flaky, processes=1) == throwaway.TESTS_FAILED
