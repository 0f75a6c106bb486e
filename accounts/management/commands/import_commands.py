"""Executes the commands of a file, one a line; it goes on where it stopped."""

import getpass
import hashlib
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import IO, Any

from django.core.management.base import CommandError

from accounts.api.imports import IMPORT_KEY_PATTERN, line_reader
from accounts.api.items import Sender
from accounts.domain.errors import Refusal
from accounts.models import Import
from accounts.services import imports
from accounts.services.imports import ImportKey
from eventstore.events import Context
from ops.access.scopes import known_scopes
from ops.management.working import WorkingCommand
from ops.models import ApiClient
from ops.progress import bar

PIECE = 64 * 1024
REFUSALS_SHOWN = 10
BANK = "system:bank"
"""Whose keys they are where the bank itself sends them."""


class Command(WorkingCommand):
    help = (
        "Executes the commands of a file in order, one JSON object a line as in POST /api/v1/imports. Run again "
        "after a break it goes on where it stopped, and nothing is executed twice. Exits with 1 where lines were "
        "refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file; - is standard input")
        parser.add_argument("--client", help="act as this API client (default: the bank itself, for any account)")
        parser.add_argument(
            "--key",
            help="names the import, as the header Idempotency-Key does (default: the SHA-256 of the file, so that a "
            "file that was changed is another import)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with sys.stdin.buffer if options["file"] == "-" else open(options["file"], "rb") as file:
                record = self._import(file, options)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from None
        self._tell(record)

    def _import(self, file: IO[bytes], options: dict[str, Any]) -> Import:
        key, total = options["key"], 0
        if file.seekable():
            digest, total = _looked_through(file)
            key = key or digest
        if not key or not re.fullmatch(IMPORT_KEY_PATTERN, key):
            raise CommandError("Give --key, 1 to 200 letters, digits and . _ : ~ -: it names the import.")
        sender = _sender(options["client"], key)
        try:
            with bar("line") as progress:
                record, _ = imports.run(
                    ImportKey(sender.scope, key),
                    _pieces(file),
                    line_reader(sender),
                    actor=sender.context.actor,
                    progress=lambda position: progress(position, max(total, position)),
                    has_reach=lambda: _sender(options["client"], key).reach == sender.reach,
                )
        except Refusal as refusal:
            raise CommandError(f"{refusal.message} (key {key}, {refusal.code})") from None
        return record

    def _tell(self, record: Import) -> None:
        self.stdout.write(
            f"Import {record.key}: {record.position} lines, {record.executed} executed, {record.refused} refused."
        )
        if record.refused:
            rows = record.refusals.order_by("line")[:REFUSALS_SHOWN]
            first = [f"  line {row.line}: {row.message} ({row.code})" for row in rows]
            raise CommandError("\n".join([f"{record.refused} lines were refused. The first of them:", *first]))


def _looked_through(file: IO[bytes]) -> tuple[str, int]:
    """SHA-256 of the file and its lines; it stands at its beginning again."""
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    while piece := file.read(PIECE):
        digest.update(piece)
        lines += piece.count(b"\n")
        last = piece[-1:]
    file.seek(0, os.SEEK_SET)
    return digest.hexdigest(), lines + (last != b"\n")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _sender(client: str | None, key: str) -> Sender:
    """The bank, or an API client in whose name somebody at the shell acts; the events say so."""
    actor, scopes = f"command:{getpass.getuser()}", known_scopes().keys()
    context = Context(actor=actor, source="command", reason=f"import {key}" + (f" for {client}" if client else ""))
    if client is None:
        return Sender(BANK, "bank", None, scopes, key, context)
    found = ApiClient.objects.filter(name=client).first()
    if found is None or not found.is_active:
        raise CommandError(f"There is no active API client {client}.")
    return Sender.of_client(found, scopes, key, context)
