--liquibase formatted sql logicalFilePath:0003-model.sql

--changeset generation:0003-record-the-model labels:expand
--comment Prompt, seed and model together repeat a text. Jobs from before know no model.
set local lock_timeout = '5s';
alter table generations add column model text not null default 'unknown';
--rollback alter table generations drop column model;
