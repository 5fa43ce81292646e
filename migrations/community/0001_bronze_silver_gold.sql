-- The community's tables. Forward only; plain PostgreSQL 15 or later.
--
-- Keys follow what TimescaleDB and Citus need: the key of a table of events begins with the account and contains the
-- time, so that the table can become a hypertable, be distributed by account, or both, without another key.

create schema if not exists bronze;
create schema if not exists silver;
create schema if not exists gold;

comment on schema bronze is 'As received: events from outside, without anything that people wrote';
comment on schema silver is 'Cleaned and joined: people, sessions, activity';
comment on schema gold is 'Answers: the figures a community looks at';

create table bronze.discord_voice_states (
    account_id    text not null,
    at            timestamptz not null,
    guild_id      bigint not null,
    sequence      bigint not null,
    channel_id    bigint,
    afk           boolean not null,
    bot           boolean not null,
    snapshot      boolean not null,
    voice_session text,
    primary key (account_id, at, guild_id, sequence)
);
create index discord_voice_states_at on bronze.discord_voice_states (at);

create table bronze.discord_messages (
    account_id text not null,
    at         timestamptz not null,
    message_id bigint not null,
    guild_id   bigint not null,
    channel_id bigint not null,
    characters integer not null,
    bot        boolean not null,
    primary key (account_id, at, message_id)
);
create index discord_messages_at on bronze.discord_messages (at);

create table bronze.discord_members (
    account_id text not null,
    at         timestamptz not null,
    guild_id   bigint not null,
    change     text not null check (change in ('joined', 'left')),
    bot        boolean not null,
    primary key (account_id, at, guild_id, change)
);
create index discord_members_at on bronze.discord_members (at);

-- Nobody's rows: on a distributed database this small table is on every node.
create table bronze.discord_connection (
    at       timestamptz not null,
    guild_id bigint not null,
    kind     text not null check (kind in ('connected', 'snapshot')),
    primary key (at, guild_id, kind)
);

create table bronze.game_log_events (
    account_id text not null,
    at         timestamptz not null,
    server     text not null,
    kind       text not null check (kind in (
        'connected', 'entered', 'disconnected', 'switched_team',
        'map_loaded', 'log_started', 'log_closed', 'shutdown', 'alive')),
    line       bigint not null,
    name       text,
    team       text,
    map        text,
    reason     text,
    primary key (account_id, at, server, kind, line)
);
create index game_log_events_at on bronze.game_log_events (at);

create table bronze.chat_messages (
    account_id text not null,
    at         timestamptz not null,
    sequence   integer not null,
    primary key (account_id, at, sequence)
);
create index chat_messages_at on bronze.chat_messages (at);

create table bronze.identity_links (
    account_id text not null,
    same_as    text not null,
    source     text not null,
    primary key (account_id, same_as, source)
);

create table silver.account_links (
    account_id text primary key,
    person_id  text not null
);

create table silver.fact_voice_sessions (
    account_id text not null,
    day        date not null,
    session_id text not null,
    guild_id   bigint not null,
    channel_id bigint not null,
    afk        boolean not null,
    started_at timestamptz not null,
    ended_at   timestamptz not null,
    seconds    bigint not null,
    end_reason text not null,
    primary key (account_id, day, session_id)
);
create index fact_voice_sessions_day on silver.fact_voice_sessions (day);

create table silver.fact_game_sessions (
    account_id text not null,
    day        date not null,
    session_id text not null,
    server     text not null,
    started_at timestamptz not null,
    ended_at   timestamptz not null,
    seconds    bigint not null,
    end_reason text not null,
    primary key (account_id, day, session_id)
);
create index fact_game_sessions_day on silver.fact_game_sessions (day);

create table silver.user_activity (
    person_id     text not null,
    day           date not null,
    messages      bigint not null,
    characters    bigint not null,
    voice_seconds bigint not null,
    game_seconds  bigint not null,
    primary key (person_id, day)
);
create index user_activity_day on silver.user_activity (day);

create table silver.dim_user (
    person_id       text primary key,
    discord_id      text,
    steamid64       text,
    irc_nick        text,
    accounts        bigint not null,
    member_since    timestamptz,
    first_active_on date,
    last_active_on  date
);

create table gold.daily_active_users (
    day         date primary key,
    users       bigint not null,
    voice_users bigint not null,
    chat_users  bigint not null,
    game_users  bigint not null
);

create table gold.retention_cohorts (
    month        date not null,
    cohort_month date not null,
    months_since integer not null,
    users        bigint not null,
    primary key (month, cohort_month)
);
