-- Partitions that open alerts about failed runs are about and that have not been built since.
select a.alert_id, unbuilt.partition_key, unbuilt.ordinal
from karat.alert a
cross join lateral (
    select s.partition_key, s.ordinal from karat.step s
    where s.asset_key = a.subject and s.state in ('failed', 'blocked') and s.step_id >= a.evidence_from
      and not exists (
          select from karat.step n
          where n.asset_key = s.asset_key and n.partition_key = s.partition_key
            and n.step_id > s.step_id and n.state in ('succeeded', 'skipped')
      )
    limit $1
) unbuilt
where a.recovered_at is null and a.kind = 'run_failed'
