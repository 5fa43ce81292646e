-- What pages list is found by an index, whatever the filter and however long the history.

-- Which runs ended since one looked last, and the newest ones that ended.
create index run_finished on karat.run (finish_number) where finish_number is not null;
