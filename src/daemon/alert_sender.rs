//! Says on every channel what is to be said about alerts: what was raised goes out, and what went out is recorded.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::alert_channel::{AlertChannel, AlertMessage, AlertState};
use super::post::{Posted, Poster};
use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::core::count::counted;
use crate::core::policy::RetryPolicy;
use crate::store::alert_delivery::{DeliveryTimes, FailedTry, WaitingDelivery};
use crate::store::signal::Signal;

/// How many messages a channel gets in an hour unless it is said otherwise.
pub const MESSAGES_PER_HOUR: usize = 20;

/// An open alert is said again after this.
const REMINDER: TimeDelta = TimeDelta::days(1);

/// An alert that ended before it could be announced is announced for so long.
const ANNOUNCED_LATE: TimeDelta = TimeDelta::hours(1);

/// What could not be delivered for so long is given up.
const GIVE_UP: TimeDelta = TimeDelta::days(1);

/// How long a message that is being sent is left to its sender; longer than a post can take.
const RESERVATION: TimeDelta = TimeDelta::minutes(1);

/// How many messages one activation sends on a channel, so that a slow receiver does not hold everything up.
const MESSAGES_PER_ACTIVATION: usize = 5;

/// How much of what waits is looked at.
const LOOKED_AT: i64 = 500;

/// How many alerts a summary names.
const SUMMARY_LINES: usize = 15;

/// The waits after failed tries: 10 s, doubled up to half an hour.
const RETRY: RetryPolicy = RetryPolicy {
    retries: u32::MAX,
    delay: Duration::from_secs(10),
    exponential: true,
    delay_limit: Duration::from_secs(1800),
    jitter: 0.2,
};

/// Sends alerts to channels.
///
/// Every alert is announced once on every channel, said again once a day while it lasts, and its end is said where it was
/// announced. Above a number of messages an hour what there is to say goes out as one summary. A receiver that fails is
/// tried again with growing waits, for a day.
pub struct AlertSender {
    program: String,
    channels: Vec<Arc<dyn AlertChannel>>,
    messages_per_hour: usize,
    poster: Poster,
}

impl AlertSender {
    /// Sends on `channels` in the name of `program`, whose command lines the messages give.
    #[must_use]
    pub fn new(program: &str, channels: Vec<Arc<dyn AlertChannel>>) -> Self {
        Self { program: program.to_owned(), channels, messages_per_hour: MESSAGES_PER_HOUR, poster: Poster::default() }
    }

    /// With another limit of messages an hour on a channel; at least 1.
    #[must_use]
    pub fn messages_per_hour(mut self, limit: usize) -> Self {
        self.messages_per_hour = limit.max(1);
        self
    }

    /// Sends what is due on one channel; returns how many messages went out and when there is more to do.
    async fn serve(
        &mut self,
        channel: &dyn AlertChannel,
        context: &ReconcilerContext,
    ) -> Result<(usize, Option<DateTime<Utc>>), ReconcilerError> {
        let now = context.now();
        let times = DeliveryTimes { now, announce_after: now - ANNOUNCED_LATE, remind_before: now - REMINDER };
        let waiting = context.store.plan_deliveries(channel.name(), times, LOOKED_AT).await?;
        if waiting.is_empty() {
            return Ok((0, None));
        }
        let hour = TimeDelta::hours(1);
        let said = context.store.messages_since(channel.name(), now - hour).await?;
        let free = self.messages_per_hour.saturating_sub(said.len());
        let next_try = waiting.iter().map(|delivery| delivery.next_try_at).filter(|&at| at > now).min();
        let due: Vec<WaitingDelivery> = waiting.into_iter().filter(|delivery| delivery.next_try_at <= now).collect();
        if due.is_empty() {
            return Ok((0, next_try));
        }
        if free == 0 {
            return Ok((0, said.first().map(|&oldest| oldest + hour)));
        }
        let mut sent = 0;
        for deliveries in messages(due, free) {
            if sent == MESSAGES_PER_ACTIVATION {
                return Ok((sent, Some(now)));
            }
            match self.send(channel, &deliveries, context).await? {
                Sent::Delivered => sent += 1,
                Sent::Dropped => {}
                Sent::Later(at) => return Ok((sent, Some(at))),
            }
        }
        Ok((sent, next_try))
    }

    /// Sends one message about these deliveries.
    async fn send(
        &mut self,
        channel: &dyn AlertChannel,
        deliveries: &[WaitingDelivery],
        context: &ReconcilerContext,
    ) -> Result<Sent, ReconcilerError> {
        let now = context.now();
        let ids: Vec<i64> = deliveries.iter().map(|delivery| delivery.delivery_id).collect();
        if !context.store.reserve_deliveries(&ids, now + RESERVATION, now).await? {
            // Somebody else is sending it.
            return Ok(Sent::Dropped);
        }
        let message = message_of(&self.program, deliveries, now);
        let tries = deliveries.iter().map(|delivery| delivery.tries).max().unwrap_or(0);
        let (error, retry_at) = match self.poster.post(channel, &message, now).await {
            Posted::Accepted { .. } => {
                let ended = deliveries.iter().filter(|delivery| delivery.alert.recovered_at.is_some());
                let ended: Vec<i64> = ended.map(|delivery| delivery.delivery_id).collect();
                context.store.record_delivered(&ids, &ended, Uuid::now_v7(), context.now()).await?;
                return Ok(Sent::Delivered);
            }
            Posted::Refused { error } => (error, None),
            Posted::Failed { error, retry_after } => {
                let attempt = u32::try_from(tries).unwrap_or(0).saturating_add(1);
                let wait = RETRY.delay_after(attempt, random()).unwrap_or_default();
                let wait = wait.max(retry_after.unwrap_or_default());
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                (error, Some(context.now() + TimeDelta::milliseconds(wait)))
            }
        };
        tracing::warn!(channel = channel.name(), %error, "an alert was not delivered: {}", message.title);
        let failed = FailedTry { error: &error, retry_at, give_up_before: now - GIVE_UP };
        let given_up = context.store.record_undelivered(channel.name(), &ids, failed).await?;
        if given_up > 0 {
            tracing::error!(channel = channel.name(), %error, "{} about alerts given up", counted(given_up, "message"));
        }
        Ok(retry_at.map_or(Sent::Dropped, Sent::Later))
    }
}

/// What became of a message.
enum Sent {
    Delivered,
    /// Not by us, or never.
    Dropped,
    Later(DateTime<Utc>),
}

impl Reconciler for AlertSender {
    fn name(&self) -> &'static str {
        "alert_sender"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Alert]
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move {
            let mut sent = 0;
            let mut next_at: Option<DateTime<Utc>> = None;
            for channel in self.channels.clone() {
                let (messages, next) = self.serve(&*channel, context).await?;
                sent += messages;
                next_at = [next_at, next].into_iter().flatten().min();
            }
            let report = (sent > 0).then(|| format!("sent {}", counted(sent, "message")));
            Ok(Activation { report, next_at })
        })
    }
}

/// The deliveries by message: one each as long as there is room, what is left in the last one.
fn messages(mut due: Vec<WaitingDelivery>, free: usize) -> Vec<Vec<WaitingDelivery>> {
    let rest = if due.len() > free { due.split_off(free.saturating_sub(1)) } else { Vec::new() };
    let mut messages: Vec<Vec<WaitingDelivery>> = due.into_iter().map(|delivery| vec![delivery]).collect();
    if !rest.is_empty() {
        messages.push(rest);
    }
    messages
}

fn message_of(program: &str, deliveries: &[WaitingDelivery], now: DateTime<Utc>) -> AlertMessage {
    match deliveries {
        [one] => single(program, one, now),
        several => summary(program, several, now),
    }
}

fn single(program: &str, delivery: &WaitingDelivery, now: DateTime<Utc>) -> AlertMessage {
    let alert = &delivery.alert;
    AlertMessage {
        version: AlertMessage::VERSION,
        id: delivery.delivery_id.to_string(),
        program: program.to_owned(),
        kind: alert.kind.clone(),
        subject: alert.subject.clone(),
        state: state_of(delivery),
        severity: alert.severity.clone(),
        title: alert.title.clone(),
        detail: alert.explanation.clone(),
        command: format!("{program} {}", alert.command),
        at: now,
        opened_at: alert.opened_at,
        recovered_at: alert.recovered_at,
    }
}

fn summary(program: &str, deliveries: &[WaitingDelivery], now: DateTime<Utc>) -> AlertMessage {
    let mut lines: Vec<String> = deliveries
        .iter()
        .take(SUMMARY_LINES)
        .map(|delivery| match state_of(delivery) {
            AlertState::Recovered => format!("recovered: {}", delivery.alert.title),
            AlertState::Reminder => format!("still: {}", delivery.alert.title),
            AlertState::Open => delivery.alert.title.clone(),
        })
        .collect();
    if let Some(more) = deliveries.len().checked_sub(SUMMARY_LINES).filter(|&more| more > 0) {
        lines.push(format!("and {more} more"));
    }
    let ended = deliveries.iter().all(|delivery| delivery.alert.recovered_at.is_some());
    let is_error = deliveries.iter().any(|delivery| delivery.alert.severity == "error");
    let opened_at = deliveries.iter().map(|delivery| delivery.alert.opened_at).min().unwrap_or(now);
    AlertMessage {
        version: AlertMessage::VERSION,
        id: deliveries.first().map_or_else(String::new, |delivery| delivery.delivery_id.to_string()),
        program: program.to_owned(),
        kind: "summary".to_owned(),
        subject: format!("{} alerts", deliveries.len()),
        state: if ended { AlertState::Recovered } else { AlertState::Open },
        severity: if is_error { "error" } else { "warning" }.to_owned(),
        title: format!("{} more alerts than there is room for one by one", deliveries.len()),
        detail: lines.join("\n"),
        command: format!("{program} alert ls"),
        at: now,
        opened_at,
        recovered_at: if ended {
            deliveries.iter().filter_map(|delivery| delivery.alert.recovered_at).max()
        } else {
            None
        },
    }
}

/// An alert that has ended by now is told as ended, whatever was to be told of it.
fn state_of(delivery: &WaitingDelivery) -> AlertState {
    match delivery.event.as_str() {
        _ if delivery.alert.recovered_at.is_some() => AlertState::Recovered,
        "reminded" => AlertState::Reminder,
        _ => AlertState::Open,
    }
}

/// A draw from [0, 1), only for spreading waits.
fn random() -> f64 {
    let (_, low) = Uuid::now_v7().as_u64_pair();
    // The low 32 bits of a version 7 UUID are random.
    f64::from(u32::try_from(low & u64::from(u32::MAX)).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
