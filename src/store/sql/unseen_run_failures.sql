-- Failed runs that nobody has looked at, with what of them is still not built, by asset.
with unseen as (
    select run_id, cause, finish_number from karat.run
    where outcome = 'failed' and failure_seen_at is null
    order by finish_number limit $1
)
select u.run_id, u.cause, unbuilt.asset_key, unbuilt.state, coalesce(unbuilt.partitions, 0) as partitions,
       unbuilt.partition_key, unbuilt.reason, unbuilt.first_step
from unseen u
left join lateral (
    select s.asset_key, s.state, count(*) as partitions, min(s.step_id) as first_step,
           (array_agg(s.partition_key order by s.ordinal))[1] as partition_key,
           (array_agg(s.reason order by s.ordinal))[1] as reason
    from karat.step s
    where s.run_id = u.run_id and s.state in ('failed', 'blocked')
      and not exists (
          select from karat.step n
          where n.asset_key = s.asset_key and n.partition_key = s.partition_key
            and n.step_id > s.step_id and n.state in ('succeeded', 'skipped')
      )
    group by s.asset_key, s.state
) unbuilt on true
order by u.finish_number, unbuilt.asset_key
