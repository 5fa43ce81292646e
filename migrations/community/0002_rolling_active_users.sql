-- How many people were active within a day, a week and a month, by day.

create table gold.rolling_active_users (
    day                 date primary key,
    daily_users         bigint not null,
    weekly_users        bigint not null,
    monthly_users       bigint not null,
    daily_voice_users   bigint not null,
    weekly_voice_users  bigint not null,
    monthly_voice_users bigint not null,
    daily_chat_users    bigint not null,
    weekly_chat_users   bigint not null,
    monthly_chat_users  bigint not null,
    daily_game_users    bigint not null,
    weekly_game_users   bigint not null,
    monthly_game_users  bigint not null,
    stickiness          double precision not null,
    voice_stickiness    double precision,
    chat_stickiness     double precision,
    game_stickiness     double precision
);
