-- What has ended by now, and from which transaction on a snapshot in use may not have seen it.
--
-- Who begins later sees everything that this statement sees. Of the others, snapshots of this database count that are in
-- use; ages are counted from the next transaction, and the newest that has begun is below it, which errs on the safe side.
select pg_current_snapshot()::text as snapshot,
       (select greatest(0, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - age(backend_xmin))::text
        from pg_stat_activity
        where datname = current_database() and backend_xmin is not null and pid <> pg_backend_pid()
        order by age(backend_xmin) desc limit 1) as oldest
