"""The database schema that this code needs (Liquibase makes it: see migrations/)."""

# The newest changeset that the code relies on, as migrations/ names it. Raise it with the code that uses
# it; never lower it. A database may be ahead: changesets keep serving the code before them.
REQUIRED_REVISION = "0004-label-generations"
