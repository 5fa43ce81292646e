-- Partitions that open alerts about failed checks are about and in which the newest result is still a failed one. The
-- subject of such an alert is the asset and the check, with a blank between.
select a.alert_id, unpassed.partition_key, 0::bigint as ordinal
from karat.alert a
cross join lateral (
    select c.partition_key from karat.check_result c
    where c.asset_key = split_part(a.subject, ' ', 1)
      and c.check_name = substr(a.subject, strpos(a.subject, ' ') + 1)
      and not c.passed and not c.blocking and c.check_result_id >= a.evidence_from
      and not exists (
          select from karat.check_result n
          where n.asset_key = c.asset_key and n.partition_key = c.partition_key
            and n.check_result_id > c.check_result_id and n.check_name = c.check_name
      )
    limit $1
) unpassed
where a.recovered_at is null and a.kind = 'check_failed'
