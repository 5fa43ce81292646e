-- Who watches: alerts and their delivery, and sensors.

-- When rows last landed in an external asset: what its freshness is judged by.
create index mark_newest on karat.mark (asset_key, marked_at desc);
