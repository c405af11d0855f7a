"""The line that says why, out of what real tools wrote (Liquibase 4.28, ansible-core 2.19, pytest)."""

from slipway.release.telling import from_the_first_bad, telling


def test_liquibase_says_it_before_its_advice() -> None:
    said = """WARNING: License service not loaded
ERROR: Exception Primary Reason:  The file migrations/0009.sql was not found in the configured search path:
Unexpected error running Liquibase: Error parsing migrations/changelog.yaml : The file migrations/0009.sql was not found:
    - /w

For more information, please use the --log-level flag""".splitlines()
    assert telling(said).startswith(
        "Error parsing migrations/changelog.yaml : The file migrations/0009.sql was"
    )


def test_liquibase_names_the_changeset_first_and_the_databases_words_after() -> None:
    said = [
        "Unexpected error running Liquibase: Migration failed for changeset a.sql::1::me:",
        '     Reason: liquibase.exception.DatabaseException: ERROR: column "x" does not exist',
        "For more information, please use the --log-level flag",
    ]
    assert telling(said) == (
        "Migration failed for changeset a.sql::1::me: "
        'Reason: liquibase.exception.DatabaseException: ERROR: column "x" does not exist'
    )


def test_liquibase_names_the_changeset_that_was_edited() -> None:
    said = [
        "Unexpected error running Liquibase: Validation Failed:",
        "     1 changesets check sum",
        "          a.sql::1::me was: 9:11 but is now: 9:22",
        "",
        "For more information, please use the --log-level flag",
    ]
    assert telling(said) == (
        "Validation Failed: 1 changesets check sum a.sql::1::me was: 9:11 but is now: 9:22"
    )


def test_what_was_left_out_as_a_repetition_is_found_where_it_was_said_first() -> None:
    said = [
        "ERROR: Exception Primary Reason:  Validation Failed:",
        "     1 changesets check sum",
        "          a.sql::1::me was: 9:11 but is now: 9:22",
        "ERROR: Exception Primary Source:  4.28.0",
        "Unexpected error running Liquibase: Validation Failed:",
        "For more information, please use the --log-level flag",
    ]
    assert telling(said).endswith("1 changesets check sum a.sql::1::me was: 9:11 but is now: 9:22")


def test_ansible_says_it_before_its_recap() -> None:
    said = [
        "TASK [Draft] ***",
        'fatal: [localhost]: FAILED! => {"changed": false, "msg": "nobody knows"}',
        "PLAY RECAP ***",
        "localhost : ok=1 changed=0 unreachable=0 failed=1",
    ]
    assert telling(said) == said[1]


def test_anything_else_says_it_last() -> None:
    assert telling(["smoke test", "FAILED version: found 200", " "]) == "FAILED version: found 200"
    assert telling([]) == "it says nothing"


def test_a_tools_greeting_is_left_out() -> None:
    said = ["Starting Liquibase at 15:23", "Total change sets: 4", "ERROR: Exception Details", "the rest"]
    assert from_the_first_bad(said) == ["ERROR: Exception Details", "the rest"]
    assert from_the_first_bad(["nothing", "of", "the kind"], 2) == ["of", "the kind"]
    assert from_the_first_bad([]) == []
