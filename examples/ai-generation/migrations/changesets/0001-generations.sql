--liquibase formatted sql logicalFilePath:0001-generations.sql

--changeset generation:0001-create-generations labels:expand
create table generations (
    id uuid primary key default gen_random_uuid(),
    status text not null default 'running',
    prompt text not null,
    max_words integer not null,
    seed bigint not null,
    text text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint generations_status check (status in ('running', 'completed')),
    constraint generations_prompt_length check (char_length(prompt) <= 500),
    constraint generations_max_words check (max_words between 1 and 200),
    constraint generations_completed_has_text
        check ((status = 'completed') = (text is not null and finished_at is not null))
);
comment on table generations is 'Generation jobs: stored as running before the work, completed with their text after it';
--rollback drop table generations;
