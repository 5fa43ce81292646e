-- Requests that are carried out once however often they are sent.

-- A key that a program gave to a request, and what was answered. It is written before the request is carried out, so that
-- of several equal ones, sent together or again after a broken connection, only one is.
create table karat.idempotency_key (
    -- who asked: keys of different accounts have nothing to do with each other
    caller       text not null,
    key          text not null,
    -- of the method, the address and the body
    request_hash bytea not null,
    created_at   timestamptz not null,
    -- the answer; nothing while the request is carried out, and if the process died over it
    finished_at  timestamptz,
    status       smallint,
    media_type   text,
    answer       text,
    primary key (caller, key),
    check ((finished_at is null) = (status is null) and (status is null) = (answer is null))
);

create index idempotency_key_created on karat.idempotency_key (created_at);
