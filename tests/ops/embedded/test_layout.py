"""Files that only their owner reads, and one run in a checkout at a time."""

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from ops.embedded import bank, layout, running
from ops.embedded.errors import Refusal, explain
from ops.embedded.secrets import load_or_generate
from ops.embedded.supervisor import StopRequest


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path):
    path = tmp_path / "secrets.json"
    secrets = load_or_generate(path)
    assert mode(path) == 0o600
    assert load_or_generate(path) == secrets
    assert len(set(vars(secrets).values())) == len(vars(secrets)) >= 5
    assert all(len(value) >= 50 for value in vars(secrets).values())


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path):
    path = tmp_path / "secrets.json"
    layout.write_json(path, {"postgres": "kept"})
    secrets = load_or_generate(path)
    assert secrets.postgres == "kept"
    assert layout.read_json(path)["redis"] == secrets.redis


def test_secrets_do_not_show_in_a_traceback_or_a_log(tmp_path):
    secrets = load_or_generate(tmp_path / "secrets.json")
    assert secrets.postgres not in repr(secrets)


def test_directories_are_their_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        assert mode(layout.make_directory(tmp_path / "var")) == 0o700
        layout.write_private(tmp_path / "file", "x")
        assert mode(tmp_path / "file") == 0o600
    finally:
        os.umask(before)


def test_a_lock_is_held_by_one_and_free_again_when_it_is_closed(tmp_path):
    first = layout.try_lock(tmp_path / "lock")
    assert first is not None
    assert layout.try_lock(tmp_path / "lock") is None
    first.close()
    second = layout.try_lock(tmp_path / "lock")
    assert second is not None
    second.close()


def test_a_second_run_in_the_same_checkout_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "VAR", tmp_path)
    first = layout.try_lock(tmp_path / "run.lock")
    assert first is not None
    with first, pytest.raises(Refusal, match="The bank already runs in this checkout"):
        bank.run(StopRequest())


def test_a_command_for_a_bank_that_does_not_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "VAR", tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refusal, match="start it with make run"):
        running.manage(["verify_ledger"])


def test_a_nearly_full_disk_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10 * 1024**3, 0, 300 * 1024**2))
    with pytest.raises(Refusal, match=r"Only 300 MiB are free .* a new database needs 1024 MiB: free some space"):
        layout.check_space(tmp_path, "a new database")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device"), "The disk is full: free some space and run make again."),
        (
            PermissionError(13, "Permission denied", "/x/var"),
            "No permission to write at /x/var: run make as the owner",
        ),
    ],
)
def test_a_system_error_is_told_in_a_sentence_with_the_remedy(error: OSError, sentence: str):
    assert explain(error).startswith(sentence)
