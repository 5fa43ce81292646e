-- Every transaction below this has ended and is seen by whoever is at work now or begins later.
--
-- A snapshot that is in use may be older than the oldest running transaction; the server shows how old. Ages count from
-- the next transaction, and the last one that ended is below it, which errs on the safe side.
select greatest(0, least(
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(max(age(backend_xmin)), 0)))
from pg_stat_activity
where backend_xmin is not null
