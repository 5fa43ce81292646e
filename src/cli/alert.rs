//! Alerts: listing and showing them, and testing whether they arrive.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::output::{one_line, shortened, table, time_text, toned};
use super::remote::Call;
use super::session::Session;
use crate::core::suggest::did_you_mean;
use crate::daemon::alert_channel::{AlertChannel, JsonWebhook, WebhookUrl, webhook_of_environment};
use crate::service::{AlertDetailView, AlertView, TestedChannelView};

/// How much of a title a list shows.
const TITLE_CHARACTERS: usize = 70;

/// What holds the URL of the generic webhook unless it is said on the command line.
const WEBHOOK_VARIABLE: &str = "KARAT_ALERT_WEBHOOK";

/// Arguments of `alert`.
#[derive(Args, Clone, Debug)]
pub struct AlertArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: AlertVerb,
}

/// What can be done with alerts.
#[derive(Clone, Debug, Subcommand)]
pub enum AlertVerb {
    /// List the alerts, newest first
    Ls(AlertListArguments),
    /// Show an alert, and what was said about it where
    Show(AlertShowArguments),
    /// Send a test message on every channel, or on one, and show the answer
    Test(AlertTestArguments),
}

/// Arguments of `alert ls`.
#[derive(Args, Clone, Debug)]
pub struct AlertListArguments {
    /// Only alerts that last
    #[arg(long)]
    pub open: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only those with numbers below
    #[arg(long, value_name = "ID")]
    pub before: Option<i64>,
}

/// Arguments of `alert show`.
#[derive(Args, Clone, Debug)]
pub struct AlertShowArguments {
    /// The alert's number
    pub id: i64,
}

/// Arguments of `alert test`.
#[derive(Args, Clone, Debug)]
pub struct AlertTestArguments {
    /// The channel; all without any
    pub channel: Option<String>,
    /// Where alerts go.
    #[command(flatten)]
    pub channels: ChannelArguments,
}

/// Where alerts go.
#[derive(Args, Clone, Debug)]
pub struct ChannelArguments {
    /// Send alerts as JSON to this URL; that in KARAT_ALERT_WEBHOOK, or in the file KARAT_ALERT_WEBHOOK_FILE, without it
    #[arg(long, value_name = "URL")]
    pub alert_webhook: Option<SecretText>,
}

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself, to use and not to print.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

impl ChannelArguments {
    /// The channels of this invocation: the generic webhook, if it has a URL, and the application's own.
    pub(super) fn channels(&self, session: &Session) -> Result<Vec<Arc<dyn AlertChannel>>, Failure> {
        let usage = |error: String| Failure::new(Exit::Usage, error);
        let url = match &self.alert_webhook {
            Some(SecretText(text)) => {
                Some(text.parse::<WebhookUrl>().map_err(|error| usage(format!("--alert-webhook: {error}")))?)
            }
            None => webhook_of_environment(WEBHOOK_VARIABLE).map_err(usage)?,
        };
        let mut channels: Vec<Arc<dyn AlertChannel>> = Vec::new();
        channels.extend(url.map(|url| Arc::new(JsonWebhook::new(url)) as Arc<dyn AlertChannel>));
        channels.extend((session.application.alert_channels)().map_err(usage)?);
        Ok(channels)
    }
}

pub(super) async fn alert(session: &Session, verb: &AlertVerb) -> Result<Exit, Failure> {
    match verb {
        AlertVerb::Ls(arguments) => {
            let AlertListArguments { open, limit, before } = *arguments;
            let there = Call::get(["alerts"]).with("open", Some(open)).with("before", before);
            let alerts =
                session.list(Some(limit), async |service| service.alerts(open, before, limit).await, there).await?;
            session.output.result(&alerts, |alerts| list_text(session, alerts, arguments))?;
        }
        AlertVerb::Show(arguments) => {
            let there = Call::get(["alerts", &arguments.id.to_string()]);
            let alert = session.ask(async |service| service.alert(arguments.id).await, there).await?;
            session.output.result(&alert, |alert| alert_text(session, alert))?;
        }
        AlertVerb::Test(arguments) => return test(session, arguments).await,
    }
    Ok(Exit::Ok)
}

fn list_text(session: &Session, alerts: &[AlertView], arguments: &AlertListArguments) -> String {
    if alerts.is_empty() {
        let what = match (arguments.before.is_some(), arguments.open) {
            (true, _) => "There are no older alerts",
            (_, true) => "There are no open alerts",
            _ => "There are no alerts",
        };
        return format!("{what}. Whether one would arrive: {}", session.command("alert test"));
    }
    let zone = session.calendar().zone;
    let rows = alerts.iter().map(|alert| {
        vec![
            alert.alert_id.to_string(),
            toned(state_word(alert)),
            alert.kind.clone(),
            time_text(alert.opened_at, zone),
            alert.recovered_at.map_or_else(|| "·".to_owned(), |instant| time_text(instant, zone)),
            shortened(&one_line(&alert.title), TITLE_CHARACTERS),
        ]
    });
    let mut text = table(&["ID", "STATE", "KIND", "OPENED", "RECOVERED", "ALERT"], &["ID"], rows);
    if let Some(first) = alerts.iter().find(|alert| alert.recovered_at.is_none()) {
        text.push_str(&format!("\n\nTo look into it:\n  {}", session.command(&first.command)));
    }
    text
}

/// `error` and `warning` while it lasts.
fn state_word(alert: &AlertView) -> &str {
    if alert.recovered_at.is_some() { "recovered" } else { &alert.severity }
}

fn alert_text(session: &Session, view: &AlertDetailView) -> String {
    let zone = session.calendar().zone;
    let alert = &view.alert;
    let mut text = format!("{} {}: {}", toned(state_word(alert)), alert.kind, one_line(&alert.title));
    for line in alert.detail.lines() {
        text.push_str(&format!("\n  {line}"));
    }
    text.push_str(&format!("\n  opened     {}", time_text(alert.opened_at, zone)));
    match alert.recovered_at {
        Some(instant) => text.push_str(&format!("\n  recovered  {}", time_text(instant, zone))),
        None => text.push_str(&format!("\n  last seen  {}", time_text(alert.last_seen_at, zone))),
    }
    text.push_str(&format!("\n  look       {}", session.command(&alert.command)));
    if view.deliveries.is_empty() {
        text.push_str("\n\nNothing was said about it on any channel.");
        return text;
    }
    let rows = view.deliveries.iter().map(|delivery| {
        let when = match (delivery.delivered_at, delivery.next_try_at) {
            (Some(instant), _) => time_text(instant, zone),
            (None, Some(instant)) => format!("next try {}", time_text(instant, zone)),
            (None, None) => "never".to_owned(),
        };
        vec![
            delivery.channel.clone(),
            delivery.event.clone(),
            toned(&delivery.state),
            delivery.tries.to_string(),
            when,
            delivery.last_error.as_deref().map_or_else(|| "·".to_owned(), one_line),
        ]
    });
    text.push_str("\n\n");
    text.push_str(&table(&["CHANNEL", "EVENT", "STATE", "TRIES", "WHEN", "ERROR"], &["TRIES"], rows));
    text
}

async fn test(session: &Session, arguments: &AlertTestArguments) -> Result<Exit, Failure> {
    let tested = if session.is_remote() {
        let there = Call::post(["alerts", "test"]).body(&serde_json::json!({ "channel": arguments.channel }));
        session.list(None, async |_| Ok(Vec::new()), there).await?
    } else {
        tested(session, arguments).await?
    };
    session.output.result(&tested, |tested| tested.iter().map(tested_line).collect::<Vec<_>>().join("\n"))?;
    Ok(if tested.iter().all(|tested| tested.delivered) { Exit::Ok } else { Exit::Failure })
}

async fn tested(session: &Session, arguments: &AlertTestArguments) -> Result<Vec<TestedChannelView>, Failure> {
    let mut channels = arguments.channels.channels(session)?;
    if channels.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            format!("alerts go nowhere: give the URL of a webhook with --alert-webhook, or in {WEBHOOK_VARIABLE}"),
        ));
    }
    if let Some(wanted) = &arguments.channel {
        let names: Vec<String> = channels.iter().map(|channel| channel.name().to_owned()).collect();
        channels.retain(|channel| channel.name() == wanted);
        if channels.is_empty() {
            let hint = did_you_mean(wanted, names.iter().map(String::as_str)).map_or_else(
                || format!("the channels are {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(Failure::new(Exit::Usage, format!("alerts do not go to `{wanted}`: {hint}")));
        }
    }
    let name = session.application.name;
    session
        .connected(async |connected| {
            let mut tested = Vec::new();
            for channel in &channels {
                tested.push(connected.service.test_channel(name, &**channel).await?);
            }
            Ok(tested)
        })
        .await
}

fn tested_line(tested: &TestedChannelView) -> String {
    match (&tested.error, tested.status) {
        (Some(error), _) => format!("{}: not delivered: {error}", tested.channel),
        (None, Some(status)) => format!("{}: delivered, {} answered {status}", tested.channel, tested.place),
        (None, None) => format!("{}: delivered", tested.channel),
    }
}
