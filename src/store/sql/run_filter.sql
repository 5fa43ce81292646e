-- $2 cause, $3 outcome or `live`, $4 backfill, $5 asset, $6 who asked, $7 from, $8 until, $9 and $10 after these in the
-- order of the list, $11 `queued`, `running`, `paused` or `canceling`
where ($2::text is null or r.cause = $2)
  and ($3::text is null or coalesce(r.outcome, 'live') = $3)
  and ($4::uuid is null or r.backfill_id = $4)
  and ($5::text is null or exists (select from karat.run_asset a where a.run_id = r.run_id and a.asset_key = $5))
  and ($6::text is null or r.requested_by = $6)
  and r.requested_at >= $7 and r.requested_at < $8 and (r.requested_at, r.run_id) < ($9, $10)
  and case $11::text
          when 'canceling' then r.finished_at is null and r.cancel_requested_at is not null
          when 'paused' then r.finished_at is null and r.cancel_requested_at is null and r.paused_at is not null
          when 'queued' then r.finished_at is null and r.cancel_requested_at is null and r.paused_at is null
              and not exists (select from karat.step s where s.run_id = r.run_id and s.state not in ('pending', 'ready'))
          when 'running' then r.finished_at is null and r.cancel_requested_at is null and r.paused_at is null
              and exists (select from karat.step s where s.run_id = r.run_id and s.state not in ('pending', 'ready'))
          else true
      end
