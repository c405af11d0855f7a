-- A prompt is a name and a counter; what it says is in its versions, which never change.
create table prompts (
    name text primary key,
    latest integer not null default 0,
    updated_at timestamptz not null default now(),
    constraint prompts_name check (name ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
    constraint prompts_latest check (latest >= 0)
);

create table prompt_versions (
    name text not null references prompts,
    version integer not null,
    template text not null,
    variables text[] not null,
    created_at timestamptz not null default now(),
    primary key (name, version),
    constraint prompt_versions_version check (version >= 1),
    constraint prompt_versions_template_length check (char_length(template) <= 8000)
);

comment on column prompts.latest is 'The newest version; 0 only within the transaction that makes the first one';
comment on column prompt_versions.variables is 'What the template needs, sorted: derived from it when it is stored';
