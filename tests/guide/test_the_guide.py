"""Nothing is printed in the troubleshooting guide that the table of promises lacks."""

from collections import Counter

import pytest

from tests.guide import promises
from tests.guide.reading import Guide, normal
from tests.guide.reading import guide as read_guide


@pytest.fixture(scope="module")
def guide() -> Guide:
    found = read_guide()
    if found is None:
        pytest.skip("the guide does not stand beside this checkout (../shared/guide)")
    return found


def test_the_table_has_every_curl_line(guide: Guide) -> None:
    printed = guide.calls()
    assert len(printed) == 19
    assert printed == {(call.method, promises.PORT, call.path) for call in promises.CALLS}


def test_the_table_has_every_block_of_settings(guide: Guide) -> None:
    ours = [{row.name: row.written for row in block} for block in promises.BLOCKS.values()]
    assert len(guide.settings()) == 8
    assert sorted(map(str, map(sorted, map(dict.items, guide.settings())))) == sorted(
        map(str, map(sorted, map(dict.items, ours)))
    )


def test_the_table_has_every_statement(guide: Guide) -> None:
    printed = guide.statements()
    assert len(printed) == 4
    assert Counter(printed) == Counter(map(normal, promises.STATEMENTS))


def test_the_table_has_every_alert(guide: Guide) -> None:
    assert len(guide.alerts()) == guide.text.count("- alert:") == 3
    assert guide.alerts() == [tuple(alert) for alert in promises.ALERTS]


def test_the_table_has_every_command(guide: Guide) -> None:
    assert len(guide.commands()) == 10
    assert set(guide.commands()) == {row.shown for row in promises.COMMANDS}


def test_the_table_has_every_piece_of_code(guide: Guide) -> None:
    pieces = guide.blocks("rust")
    assert len(pieces) == 12
    assert [piece for piece in pieces if not any(row.shown in piece for row in promises.CODE)] == []
    assert [row.shown for row in promises.CODE if not any(row.shown in piece for piece in pieces)] == []


def test_the_table_has_every_key_metric(guide: Guide) -> None:
    assert len(guide.metrics()) == 16
    assert set(guide.metrics()) == set(promises.METRICS)


def test_no_block_is_of_a_language_that_nobody_looked_at(guide: Guide) -> None:
    looked_at = sum(len(guide.blocks(name)) for name in ("bash", "env", "rust", "sql", "yaml"))
    assert looked_at == guide.text.count("```") // 2


def test_names_of_database_and_log_file_are_the_printed_ones(guide: Guide) -> None:
    assert f"datname = '{promises.DATABASE}'" in guide.text
    assert promises.LOG_FILE in guide.text
