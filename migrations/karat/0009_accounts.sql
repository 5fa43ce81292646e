-- Who may do what, and who did.

-- A person or program with a name of its own.
create table karat.account (
    account_id     bigint generated always as identity primary key,
    -- lower case
    name           text not null unique,
    role           text not null check (role in ('viewer', 'operator', 'admin')),
    -- argon2id with its parameters and salt; null cannot log in with a password
    password_hash  text,
    -- who vouches for it, and by what id, when it is not a password
    login_provider text,
    login_subject  text,
    created_at     timestamptz not null,
    disabled_at    timestamptz,
    unique (login_provider, login_subject),
    check ((login_provider is null) = (login_subject is null))
);

-- A login. Only its hash is here: who reads this table cannot take a session over.
create table karat.session (
    session_id   bigint generated always as identity primary key,
    session_hash bytea not null unique,
    account_id   bigint not null references karat.account,
    created_at   timestamptz not null,
    -- with a tolerance of minutes
    last_seen_at timestamptz not null,
    expires_at   timestamptz not null,
    revoked_at   timestamptz,
    address      text,
    user_agent   text
);

create index session_account on karat.session (account_id, session_id desc);

-- What a program shows instead of a password. It may do what its role allows and its account's role too.
create table karat.token (
    token_id     bigint generated always as identity primary key,
    token_hash   bytea not null unique,
    account_id   bigint not null references karat.account,
    name         text not null,
    -- how it begins, by which people recognize it
    prefix       text not null,
    role         text not null check (role in ('viewer', 'operator', 'admin')),
    created_at   timestamptz not null,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    -- with a tolerance of minutes
    last_used_at timestamptz
);

create unique index token_name on karat.token (account_id, name) where revoked_at is null;

-- Logins that failed lately, by account name or address: the more, the longer the next one has to wait. What is counted is
-- hashed: the table shows neither names that somebody tried nor passwords typed in their place.
create table karat.login_failure (
    subject_hash bytea primary key,
    failures     integer not null,
    failed_at    timestamptz not null
);

create index login_failure_age on karat.login_failure (failed_at);

-- What the processes of this installation share and nobody else may know.
create table karat.secret (
    name       text primary key,
    value      bytea not null,
    created_at timestamptz not null
);

-- Who did what.
create table karat.audit (
    audit_id    bigint generated always as identity primary key,
    happened_at timestamptz not null,
    -- the name as it was then: an account's, or an operating system's user
    who         text not null,
    role        text not null,
    via         text not null check (via in ('command_line', 'local', 'session', 'token', 'login')),
    address     text,
    action      text not null,
    target      text,
    run_id      uuid,
    backfill_id uuid,
    -- the command line that does the same, without the program's name
    command     text,
    detail      jsonb
);

create index audit_age on karat.audit (happened_at);
create index audit_who on karat.audit (who, audit_id desc);

-- Who asked for a run: null when nobody did, as for the tick of a schedule.
alter table karat.run add column requested_by text;
create index run_requested_by on karat.run (requested_by, run_id desc) where requested_by is not null;
