-- One month or a range of months: $1 and $2 are the first instant of the first and of the month after the last.
-- Days after an observed month cannot move the first month of somebody active in it, so a range gives what its months
-- give one by one.
with observed as (
    select distinct date_trunc('month', day)::date as month, person_id
    from silver.user_activity
    where day >= $1::timestamptz::date and day < $2::timestamptz::date
),
cohorts as (
    select person_id, date_trunc('month', min(day))::date as cohort_month
    from silver.user_activity
    where day < $2::timestamptz::date
    group by person_id
)
select
    o.month,
    c.cohort_month,
    ((extract(year from o.month) - extract(year from c.cohort_month)) * 12
        + extract(month from o.month) - extract(month from c.cohort_month))::integer as months_since,
    count(*) as users
from observed as o
join cohorts as c on c.person_id = o.person_id
group by o.month, c.cohort_month
