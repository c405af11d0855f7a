-- For `GET /prompts?variable=…`, which is right without it, only slow: works-from does not ask for this one.
-- Concurrently, so that writers go on meanwhile; that is possible outside a transaction only (see the .conf beside this).
-- An attempt that was cut off leaves an invalid index, which `if not exists` would keep: it is dropped first.
drop index concurrently if exists prompt_versions_variables;
create index concurrently prompt_versions_variables on prompt_versions using gin (variables);
