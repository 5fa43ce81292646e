create schema lake;

create table lake.events (
    event_id    bigint primary key,
    occurred_at timestamptz not null,
    person      bigint not null,
    region      text not null
);
create index events_occurred_at on lake.events (occurred_at);

create table lake.daily (
    day    date primary key,
    people bigint not null,
    events bigint not null
);

create table lake.weekly (
    week   date primary key,
    busiest date,
    events bigint not null
);

create table lake.regions (
    region text primary key,
    events bigint not null
);

create table lake.summary (
    weeks  bigint not null,
    events bigint not null
);
