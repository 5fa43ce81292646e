//! What the community's admins look at. A dashboard, or a chart of one, appears when its asset is declared.

use karat::prelude::*;

use crate::gold::{DailyActiveUsers, RetentionCohorts, RollingActiveUsers};

/// Hours with how busy each game server was.
const SERVER_UTILIZATION: AssetKey = AssetKey::new("gold.server_utilization");

/// Events with who came.
const EVENTS: AssetKey = AssetKey::new("silver.dim_events");

/// Who joined, and who stayed.
const NEWCOMERS: AssetKey = AssetKey::new("gold.newcomers");

/// What the analytics collector counted.
const METRIC_SNAPSHOTS: AssetKey = AssetKey::new("bronze.metric_snapshots");

/// All dashboards, in the order in which they are listed.
pub fn dashboards() -> [Dashboard; 6] {
    [activity(), retention(), servers(), events(), newcomers(), analytics()]
}

fn activity() -> Dashboard {
    Dashboard::new("activity", ("Activity", "Aktivität"))
        .about((
            "How many people are there: in a day, a week and a month.",
            "Wie viele Menschen da sind: an einem Tag, in einer Woche, in einem Monat.",
        ))
        .switch(
            Switch::new("surface", ("Where", "Wo"))
                .choice("all", ("Everywhere", "Überall"))
                .choice("voice", ("Voice", "Sprachkanäle"))
                .choice("chat", ("Chat", "Chat"))
                .choice("game", ("Game servers", "Spielserver")),
        )
        .chart(
            Chart::big_number("today", ("People in a day", "Menschen an einem Tag"), DailyActiveUsers::KEY)
                .series(
                    Series::by_choice(
                        ("Daily active", "Täglich aktiv"),
                        ["users", "voice_users", "chat_users", "game_users"],
                    )
                    .definition((
                        "Distinct people seen on the newest day with anybody. Everywhere: on at least one surface.",
                        "Verschiedene Menschen, die am neuesten belebten Tag da waren. Überall: an mindestens einem Ort.",
                    )),
                )
                .unit(("people", "Menschen")),
        )
        .chart(
            Chart::line("active_users", ("Active people", "Aktive Menschen"), RollingActiveUsers::KEY)
                .series(
                    Series::by_choice(
                        ("In a day", "An einem Tag"),
                        ["daily_users", "daily_voice_users", "daily_chat_users", "daily_game_users"],
                    )
                    .definition((
                        "DAU: distinct people seen on that local day.",
                        "DAU: verschiedene Menschen, die an diesem Tag (Ortszeit) da waren.",
                    )),
                )
                .series(
                    Series::by_choice(
                        ("In 7 days", "In 7 Tagen"),
                        ["weekly_users", "weekly_voice_users", "weekly_chat_users", "weekly_game_users"],
                    )
                    .definition((
                        "WAU: distinct people seen within the 7 local days that end with that day. Who came on several \
                         days counts once.",
                        "WAU: verschiedene Menschen, die in den 7 Tagen bis zu diesem Tag da waren. Wer an mehreren \
                         Tagen kam, zählt einmal.",
                    )),
                )
                .series(
                    Series::by_choice(
                        ("In 30 days", "In 30 Tagen"),
                        ["monthly_users", "monthly_voice_users", "monthly_chat_users", "monthly_game_users"],
                    )
                    .definition((
                        "MAU: distinct people seen within the 30 local days that end with that day. Who came on several \
                         days counts once.",
                        "MAU: verschiedene Menschen, die in den 30 Tagen bis zu diesem Tag da waren. Wer an mehreren \
                         Tagen kam, zählt einmal.",
                    )),
                )
                .unit(("people", "Menschen")),
        )
        .chart(
            Chart::line("stickiness", ("Stickiness", "Stickiness"), RollingActiveUsers::KEY)
                .series(
                    Series::by_choice(
                        ("DAU / MAU", "DAU / MAU"),
                        ["stickiness", "voice_stickiness", "chat_stickiness", "game_stickiness"],
                    )
                    .definition((
                        "Of the people seen within 30 days, the share seen on that day: 20 % is every fifth day, on \
                         average.",
                        "Von den Menschen der letzten 30 Tage der Anteil, der an diesem Tag da war: 20 % ist im Mittel \
                         jeder fünfte Tag.",
                    )),
                )
                .share(),
        )
}

fn retention() -> Dashboard {
    Dashboard::new("retention", ("Retention", "Bindung neuer Leute"))
        .about((
            "Who comes back: of the people who came in one month, how many were there in the months after.",
            "Wer wiederkommt: wie viele derer, die in einem Monat kamen, in den Monaten danach da waren.",
        ))
        .span(Span::Year)
        .chart(
            Chart::retention(
                "cohorts",
                ("Cohorts", "Kohorten"),
                RetentionCohorts::KEY,
                ["cohort_month", "months_since", "users"],
            )
            .definition((
                "A cohort is the people first active in a month (X). X+n is how many of them were active in the n-th month \
                 after, as a share of the cohort. X+3 tells who stays.",
                "Eine Kohorte sind die Menschen, die in einem Monat (X) zum ersten Mal aktiv waren. X+n ist der Anteil \
                 von ihnen, der im n-ten Monat danach aktiv war. X+3 zeigt, wer bleibt.",
            ))
            .unit(("people", "Menschen")),
        )
}

fn servers() -> Dashboard {
    Dashboard::new("servers", ("Game servers", "Spielserver"))
        .about((
            "When the servers are full, by hour and weekday.",
            "Wann die Server voll sind, nach Stunde und Wochentag.",
        ))
        .chart(
            Chart::weekday_hours("hours", ("Players by hour", "Spielende nach Stunde"), SERVER_UTILIZATION)
                .over("hour")
                .by("server")
                .series(Series::new(("Players", "Spielende"), "players"))
                .definition((
                    "The mean number of players in that local hour, over all days shown.",
                    "Die mittlere Zahl der Spielenden in dieser Stunde (Ortszeit), über alle gezeigten Tage.",
                )),
        )
}

fn events() -> Dashboard {
    Dashboard::new("events", ("Events", "Veranstaltungen"))
        .about(("What took place, and who came.", "Was stattfand, und wer kam."))
        .span(Span::Year)
        .chart(Chart::table("list", ("Events", "Veranstaltungen"), EVENTS))
}

fn newcomers() -> Dashboard {
    Dashboard::new("newcomers", ("Newcomers", "Neue Leute"))
        .about(("Who joined, and what became of them.", "Wer dazukam, und was daraus wurde."))
        .chart(
            Chart::bars("per_day", ("Newcomers per day", "Neue Leute pro Tag"), NEWCOMERS)
                .series(Series::new(("Stayed", "Geblieben"), "stayed"))
                .series(Series::new(("Left", "Gegangen"), "gone"))
                .unit(("people", "Menschen")),
        )
}

fn analytics() -> Dashboard {
    Dashboard::new("analytics", ("Analytics", "Messwerte"))
        .about((
            "What the analytics collector counted, by type, with what is unusual.",
            "Was der Analytics-Collector gezählt hat, nach Art, mit Auffälligem.",
        ))
        .span(Span::Month)
        .chart(
            Chart::line("metrics", ("Metric", "Messwert"), METRIC_SNAPSHOTS)
                .by("type")
                .series(Series::new(("Count", "Anzahl"), "count"))
                .anomalies(Seasonal::default()),
        )
}
