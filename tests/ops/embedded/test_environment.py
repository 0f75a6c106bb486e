"""Who is told what: the running bank never learns the owner's password."""

from ops.embedded.bank import bank_children
from ops.embedded.environment import Addresses, for_application, for_owner, for_tests

ADDRESSES = Addresses("postgresql://app", "postgresql://owner", "redis://:x@h/0", "postgresql://super")
CALLER = {"PATH": "/bin", "LOG_LEVEL": "DEBUG", "DATABASE_OWNER_URL": "postgresql://theirs"}


def test_the_application_knows_its_own_role_only():
    environment = for_application(CALLER, ADDRESSES, "key")
    assert environment["DATABASE_URL"] == "postgresql://app"
    assert "DATABASE_OWNER_URL" not in environment
    assert "DATABASE_SUPERUSER_URL" not in environment
    assert "DEBUG" not in environment


def test_migrations_sign_in_as_the_owner():
    assert for_owner(CALLER, ADDRESSES, "key")["DATABASE_URL"] == "postgresql://owner"


def test_tests_know_all_roles_and_run_as_the_application():
    environment = for_tests(CALLER, ADDRESSES, "key")
    assert environment["DATABASE_URL"] == "postgresql://app"
    assert environment["DATABASE_OWNER_URL"] == "postgresql://owner"
    assert environment["DATABASE_SUPERUSER_URL"] == "postgresql://super"


def test_what_the_caller_set_is_passed_on():
    environment = for_application(CALLER | {"SECRET_KEY": "theirs"}, ADDRESSES, "generated")
    assert environment["LOG_LEVEL"] == "DEBUG"
    assert environment["SECRET_KEY"] == "theirs"


def test_no_secret_stands_on_a_command_line():
    environment = for_application({"PATH": "/bin"}, ADDRESSES, "generated-key")
    for child in bank_children(environment):
        line = " ".join(map(str, child.command))
        assert not any(environment[name] in line for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"))


def test_the_web_stops_first_and_the_sum_of_all_patience_is_below_fifteen_seconds():
    from ops.embedded import postgres, redis
    from ops.embedded.supervisor import LAST_RESORT_PAUSE

    moments = {child.name: child.stop_by for child in bank_children({})}
    assert min(moments, key=lambda name: moments[name]) == "web"
    assert max(moments.values()) < redis.STOP_BY < postgres.STOP_BY
    assert postgres.STOP_BY + 2 * LAST_RESORT_PAUSE < 15
