-- A step that is to be tried again says from when on; all others that are ready are ready at once.
--
-- `ready_at` is since when it waits: a step that seems to wait since later than now waits since a clock that was ahead,
-- and is not left waiting until the clock is there again.
alter table karat.step add column retry_at timestamptz;
update karat.step set retry_at = ready_at where state = 'ready' and attempts > 0;
