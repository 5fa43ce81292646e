//! Running by itself: the process that decides what is due, the workers, and the list of both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::alert::ChannelArguments;
use super::exit::{Exit, Failure};
use super::interruptions::Interruptions;
use super::output::{duration_text, short_id, table, time_text, toned};
use super::remote::Call;
use super::session::{Connected, Session, place};
use super::verb::KeepArguments;
use crate::daemon::alert_channel::AlertChannel;
use crate::daemon::{self, AlertSender, Daemon};
use crate::engine::{Shutdown, Wakeups, WorkerSettings};
use crate::service::{
    DEFAULT_ADDRESS, LoginPolicy, LoginProvider, PagesContext, Process, Retention, ServePages, WorkerView, listen,
};

/// How long what was told to stop is waited for after an abort.
const ABORT_LIMIT: Duration = Duration::from_secs(2);

/// Arguments of a process that carries out steps.
#[derive(Args, Clone, Debug)]
pub struct ServeArguments {
    /// Most partitions or ranges at once; the number of processors, 2 to 8, without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub slots: Option<u32>,
    /// How long what runs may take to finish after the first Ctrl-C or SIGTERM; the rest is handed back
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = limit)]
    pub shutdown_limit: Duration,
}

/// Arguments of `up`.
#[derive(Args, Clone, Debug)]
pub struct UpArguments {
    /// How it carries out steps.
    #[command(flatten)]
    pub serve: ServeArguments,
    /// Carry out no steps here, and leave them to workers elsewhere
    #[arg(long, conflicts_with = "slots")]
    pub no_worker: bool,
    /// How long what is for people is kept.
    #[command(flatten)]
    pub keep: KeepArguments,
    /// Where the pages are
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_ADDRESS)]
    pub address: SocketAddr,
    /// Ask nobody for a login, wherever they are: whoever reaches the address may do everything
    #[arg(long)]
    pub insecure_no_login: bool,
    /// Bring an invented community into an empty database, build it, and let it live on
    #[arg(long)]
    pub demo: bool,
    /// Ask nobody at this very machine for a login, although there are users
    #[arg(long, conflicts_with = "insecure_no_login")]
    pub no_login_on_loopback: bool,
    /// Where its alerts go.
    #[command(flatten)]
    pub channels: ChannelArguments,
}

impl UpArguments {
    /// Who needs a login.
    const fn login(&self) -> LoginPolicy {
        match (self.insecure_no_login, self.no_login_on_loopback) {
            (true, _) => LoginPolicy::Never,
            (_, true) => LoginPolicy::NotOnLoopback,
            _ => LoginPolicy::WithAccounts,
        }
    }
}

/// Arguments of `worker`.
#[derive(Args, Clone, Debug)]
pub struct WorkerArguments {
    /// What to do; without any, carry out steps.
    #[command(subcommand)]
    pub verb: Option<WorkerVerb>,
    /// How it carries out steps.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// What can be done with workers.
#[derive(Clone, Debug, Subcommand)]
pub enum WorkerVerb {
    /// List the processes on this database: what they do, which one leads, when they were last seen
    Ls,
}

fn limit(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 30s or 5m"))
}

/// What a process says when it begins.
#[derive(Serialize)]
struct StartedView {
    worker_id: Uuid,
    address: Option<SocketAddr>,
    database: String,
    private: bool,
    zone: String,
    first_day: NaiveDate,
    slots: usize,
}

/// What of it a process does.
struct Parts {
    slots: Option<usize>,
    /// How long history is kept, when it reconciles.
    reconciles: Option<Retention>,
    /// Where alerts go.
    channels: Vec<Arc<dyn AlertChannel>>,
    pages: Option<(ServePages, TcpListener)>,
    /// What goes on beside all that, for people to look at.
    demonstration: Option<BoxFuture<'static, ()>>,
    login: LoginPolicy,
    providers: Vec<Arc<dyn LoginProvider>>,
    shutdown_limit: Duration,
}

pub(super) async fn up(session: &Session, arguments: &UpArguments) -> Result<Exit, Failure> {
    let channels = arguments.channels.channels(session)?;
    let providers = (session.application.login_providers)().map_err(|error| Failure::new(Exit::Usage, error))?;
    // Before anything starts: an address that cannot be had is the likeliest mistake.
    let pages = match session.application.pages {
        Some(pages) => Some((pages, listen(arguments.address).await?)),
        None => None,
    };
    let slots = if arguments.no_worker { Some(0) } else { slots(&arguments.serve) };
    let demonstrate = match (arguments.demo, session.application.demonstrate) {
        (false, _) => None,
        (true, Some(demonstrate)) => Some(demonstrate),
        (true, None) => {
            let sentence = format!("{} has no demonstration: leave out --demo", session.application.name);
            return Err(Failure::new(Exit::Usage, sentence));
        }
    };
    let mut parts = Parts {
        slots,
        reconciles: Some(arguments.keep.retention()),
        channels,
        pages,
        demonstration: None,
        login: arguments.login(),
        providers,
        shutdown_limit: arguments.serve.shutdown_limit,
    };
    session
        .connected(async |connected| {
            connected.service.may_listen(arguments.address, parts.login).await?;
            connected.service.prepare().await?;
            if let Some(demonstrate) = demonstrate {
                parts.demonstration = Some(demonstrate(session, connected).await?);
            }
            serve(session, connected, parts).await
        })
        .await
}

pub(super) async fn worker(session: &Session, arguments: &ServeArguments) -> Result<Exit, Failure> {
    let parts = Parts {
        slots: slots(arguments),
        reconciles: None,
        channels: Vec::new(),
        pages: None,
        demonstration: None,
        login: LoginPolicy::default(),
        providers: Vec::new(),
        shutdown_limit: arguments.shutdown_limit,
    };
    session.connected(async |connected| serve(session, connected, parts).await).await
}

fn slots(arguments: &ServeArguments) -> Option<usize> {
    arguments.slots.and_then(|slots| usize::try_from(slots).ok())
}

async fn serve(session: &Session, connected: &Connected, parts: Parts) -> Result<Exit, Failure> {
    let mut settings = WorkerSettings::default();
    settings.slots = parts.slots.unwrap_or(settings.slots);
    let measures = settings.measures.clone();
    let service = &connected.service;
    let mut interruptions = Interruptions::listen()?;
    let shutdown = Shutdown::new(parts.shutdown_limit);
    let wakeups = Wakeups::listen(&connected.connect_options);
    let worker = service.worker(session.logs.clone(), settings).woken_by(wakeups.clone());
    let worker_id = worker.worker_id();
    tokio::select! {
        registered = worker.register(shutdown.begun()) => registered?,
        () = interruptions.next() => {
            worker.close().await;
            return Ok(Exit::Ok);
        }
    }
    let started = StartedView {
        worker_id,
        address: parts.pages.as_ref().and_then(|(_, listener)| listener.local_addr().ok()),
        database: place(&connected.connect_options),
        private: connected.is_private(),
        zone: session.calendar().zone.name().to_owned(),
        first_day: session.calendar().first_day,
        slots: worker.slots(),
    };
    let mut process = Process {
        version: session.application.version,
        worker_id: Some(worker_id),
        measures,
        pools: vec![("commands", connected.pool.clone()), ("worker", worker.pool().clone())],
        ..Process::default()
    };
    process.retention = parts.reconciles;
    let daemon = parts.reconciles.map(|retention| {
        let mut reconcilers = daemon::reconcilers(retention);
        reconcilers.push(Box::new(AlertSender::new(session.application.name, parts.channels.clone())));
        service.daemon(worker_id, wakeups.clone(), reconcilers)
    });
    let mut leads = daemon.as_ref().map(Daemon::leads);
    let mut working = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.serve(&shutdown).await }
    });
    let daemon = daemon.map(|daemon| {
        process.reconcilers = daemon.reconcilers();
        let stop = shutdown.begun().clone();
        tokio::spawn(async move {
            // However it ends, the process does not go on without it.
            let _guard = stop.clone().drop_guard();
            daemon.run(&stop).await;
            Ok(())
        })
    });
    // The pages stay until the end: they show how it stops.
    let stop_pages = CancellationToken::new();
    let pages = parts.pages.map(|(pages, listener)| {
        // Whoever asks by a page is named by the page.
        let (service, login, stop) = (service.unattended(), parts.login, stop_pages.clone());
        let guard = shutdown.begun().clone().drop_guard();
        let (program, channels) = (session.application.name, parts.channels);
        tokio::spawn(async move {
            let _guard = guard;
            let wakeups = Some(wakeups);
            pages(PagesContext {
                service,
                program,
                process,
                login,
                providers: parts.providers,
                channels,
                wakeups,
                listener,
                stop,
            })
            .await
        })
    });
    session.output.result(&started, |started| started_text(session, started))?;
    let is_demonstration = parts.demonstration.is_some();
    let _demonstration = parts.demonstration.map(|goes_on| AbortOnDropHandle::new(tokio::spawn(goes_on)));
    if let Some(address) = started.address.filter(|_| is_demonstration) {
        session.output.text(&format!("\nTo look at it: http://{address}"))?;
    }
    let worked = loop {
        tokio::select! {
            biased;
            worked = &mut working => break worked,
            () = interruptions.next() => {
                if shutdown.aborted().is_cancelled() {
                    // The private server and the leases look after themselves.
                    std::process::exit(Exit::Failure.code().into());
                }
                if shutdown.begun().is_cancelled() {
                    shutdown.abort();
                    session.output.message("Handing back what runs.");
                } else {
                    shutdown.begin();
                    session.output.message(&format!(
                        "Stopping: nothing more is begun, and what runs has {} to finish. Interrupt again to hand it back at once.",
                        duration_text(shutdown.limit())
                    ));
                }
            }
            leading = changed(&mut leads), if !is_demonstration => say_who_leads(session, connected, worker_id, leading).await?,
        }
    };
    // Whatever ended the worker ends the rest.
    shutdown.begin();
    let aborted = shutdown.aborted().is_cancelled();
    stop_pages.cancel();
    let patience = if aborted { ABORT_LIMIT } else { shutdown.limit().max(ABORT_LIMIT) };
    let rest = async { (ended("reconcilers", daemon).await, ended("pages", pages).await) };
    let rest = tokio::select! {
        rest = tokio::time::timeout(patience, rest) => rest.unwrap_or((Ok(()), Ok(()))),
        () = interruptions.next() => (Ok(()), Ok(())),
    };
    worked.map_err(|error| defect("worker", &error))??;
    rest.0?;
    rest.1?;
    Ok(if aborted { Exit::Failure } else { Exit::Ok })
}

/// How a part of the process ended.
async fn ended(part: &str, task: Option<JoinHandle<std::io::Result<()>>>) -> Result<(), Failure> {
    let Some(task) = task else { return Ok(()) };
    task.await
        .map_err(|error| defect(part, &error))?
        .map_err(|error| Failure::new(Exit::Failure, format!("the {part} broke: {error}")))
}

fn defect(part: &str, error: &JoinError) -> Failure {
    Failure::new(Exit::Failure, format!("the {part} ended by a defect of Karat: {error}"))
}

/// The next time it is known, or known anew, whether this process leads.
async fn changed(leads: &mut Option<tokio::sync::watch::Receiver<Option<bool>>>) -> bool {
    if let Some(receiver) = leads {
        while receiver.changed().await.is_ok() {
            if let Some(leads) = *receiver.borrow_and_update() {
                return leads;
            }
        }
        *leads = None;
    }
    std::future::pending().await
}

fn started_text(session: &Session, started: &StartedView) -> String {
    let mut lines = Vec::new();
    if let Some(address) = started.address {
        lines.push(format!("  pages     http://{address}"));
    }
    let private = if started.private { ", private" } else { "" };
    lines.push(format!("  database  {}{private}", started.database));
    lines.push(format!("  zone      {}, first day {}", started.zone, started.first_day));
    lines.push(match started.slots {
        0 => "  slots     none: steps are left to workers elsewhere".to_owned(),
        slots => format!("  slots     {slots}"),
    });
    lines.push(format!("  worker    {}", short_id(started.worker_id)));
    lines.push(format!("  look      {}", session.command("worker ls")));
    lines.push("  stop      Ctrl-C".to_owned());
    format!("{} runs.\n{}", session.application.name, lines.join("\n"))
}

async fn say_who_leads(session: &Session, connected: &Connected, worker_id: Uuid, leads: bool) -> Result<(), Failure> {
    if leads {
        return session.output.text("This process leads: what is due by schedule and automation is launched here.");
    }
    // Who it is matters to people only; a database that is away for a moment is no reason to end.
    let workers = connected.service.workers().await.unwrap_or_default();
    let leader = workers.iter().find(|worker| worker.leads && worker.worker_id != worker_id);
    let who = leader.map_or_else(
        || "another process".to_owned(),
        |leader| format!("process {} on {}", leader.process_id, leader.host),
    );
    session.output.text(&format!("Stands by: {who} leads. This process takes over when that one dies."))
}

pub(super) async fn list_workers(session: &Session) -> Result<Exit, Failure> {
    let workers = session.list(None, async |service| service.workers().await, Call::get(["workers"])).await?;
    session.output.result(&workers, |workers| workers_text(session, workers))?;
    Ok(Exit::Ok)
}

fn workers_text(session: &Session, workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return format!(
            "No process carries out steps on this database.\n  start   {}\n  add     {}",
            session.command("up"),
            session.command("worker")
        );
    }
    let zone = session.calendar().zone;
    let rows = workers.iter().map(|worker| {
        vec![
            short_id(worker.worker_id),
            worker.host.clone(),
            worker.process_id.to_string(),
            toned(worker.state.as_str()),
            worker.running_steps.to_string(),
            worker.slots.to_string(),
            time_text(worker.started_at, zone),
            time_text(worker.last_seen_at, zone),
            if worker.leads { "leads".to_owned() } else { String::new() },
        ]
    });
    table(
        &["WORKER", "HOST", "PROCESS", "STATE", "STEPS", "SLOTS", "SINCE", "LAST SEEN", ""],
        &["PROCESS", "STEPS", "SLOTS"],
        rows,
    )
}
