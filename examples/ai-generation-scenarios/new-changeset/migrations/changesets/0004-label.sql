--liquibase formatted sql logicalFilePath:0004-label.sql

--changeset generation:0004-label-generations labels:expand
--validCheckSum: 9:3d9004d54aaa97d85059e73e31a685ec
--comment Clients mark what a generation was for. Nullable: the code before it knows no labels. Once it validated its constraint, too.
set local lock_timeout = '5s';
alter table generations
    add column label text,
    add constraint generations_label_length check (char_length(label) between 1 and 80) not valid;
--rollback alter table generations drop column label;

--changeset generation:0005-validate-label-length labels:expand
--comment In a transaction of its own: the one before has ended, so that nobody waits while the rows are read.
alter table generations validate constraint generations_label_length;
--rollback empty
