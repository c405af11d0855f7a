-- Authors say why they made a version. Nullable: the code before this knows no notes, and old versions have none.
alter table prompt_versions add column note text;
