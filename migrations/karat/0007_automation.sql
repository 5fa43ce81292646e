-- Rows that landed since a snapshot, whatever the asset.
create index mark_transaction on karat.mark (transaction_id);
