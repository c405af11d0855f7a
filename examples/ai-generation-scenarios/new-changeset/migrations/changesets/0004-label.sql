--liquibase formatted sql logicalFilePath:0004-label.sql

--changeset generation:0004-label-generations labels:expand
--comment Clients mark what a generation was for. Nullable: the code before it knows no labels.
set local lock_timeout = '5s';
alter table generations
    add column label text,
    add constraint generations_label_length check (char_length(label) between 1 and 80) not valid;
alter table generations validate constraint generations_label_length;
--rollback alter table generations drop column label;
