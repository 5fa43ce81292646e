-- $1 now, $2 sessions that were not seen after this are over, $3 limit
select a.account_id, a.name, a.role, a.password_hash, a.login_provider, a.created_at, a.disabled_at,
       (select max(s.created_at) from karat.session s where s.account_id = a.account_id) as last_login_at,
       (select count(*) from karat.session s
        where s.account_id = a.account_id and a.disabled_at is null
          and s.revoked_at is null and s.expires_at > $1 and s.last_seen_at > $2) as sessions,
       (select count(*) from karat.token t
        where t.account_id = a.account_id and a.disabled_at is null
          and t.revoked_at is null and (t.expires_at is null or t.expires_at > $1)) as tokens
from karat.account a
order by a.name
limit $3
