//! Several processes, and processes that are killed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use karat::postgres::{PostgresError, start};
use rustix::process::{Pid, Signal, getpgid, kill_process_group};
use sqlx::{Connection, Executor};

use crate::embedded_support::{
    Child, Scratch, connect, eventually, is_alive, is_root, kill, mounts_or_skip, program_of, value,
};

/// The server's process, and whether this child started it.
fn server_of(child: &mut Child) -> (i32, bool) {
    let answer = child.answer();
    let Some((pid, started)) = answer.split_once(' ') else { panic!("{answer}") };
    (pid.parse().unwrap_or_else(|_| panic!("{answer}")), started == "true")
}

/// A command that runs as the account the cluster belongs to.
fn as_owner_of(data: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        let owner = fs::metadata(data).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

#[test]
fn of_processes_starting_at_once_one_starts_the_server_and_the_last_one_stops_it() {
    let scratch = Scratch::new();
    let mut children: Vec<Child> = (0..4).map(|_| scratch.part("user").spawn()).collect();
    let servers: Vec<(i32, bool)> = children.iter_mut().map(server_of).collect();
    assert!(servers.iter().all(|(pid, _)| *pid == servers[0].0), "{servers:?}");
    assert_eq!(servers.iter().filter(|(_, started)| *started).count(), 1, "{servers:?}");

    // All at once again; exactly one finds itself the last.
    for child in &mut children {
        child.tell("stop");
    }
    let stopped: Vec<String> = children.iter_mut().map(Child::answer).collect();
    assert_eq!(stopped.iter().filter(|answer| *answer == "true").count(), 1, "{stopped:?}");
    assert!(!is_alive(servers[0].0));
}

#[tokio::test]
async fn a_server_outlives_its_killed_launcher_and_is_adopted() {
    let scratch = Scratch::new();
    let mut launcher = scratch.part("user").spawn();
    let (pid, _) = server_of(&mut launcher);
    launcher.kill();
    let server = start(scratch.settings()).await.unwrap();
    assert_eq!((server.was_started(), server.postmaster_pid()), (false, Some(pid)));
    assert_eq!(value(&server, "select 'alive'").await, "alive");
    assert!(server.stop().await.unwrap(), "a dead user does not count");
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn an_interrupt_at_the_terminal_does_not_reach_the_server() {
    let scratch = Scratch::new();
    let mut launcher = scratch.part("user").spawn();
    let (pid, _) = server_of(&mut launcher);
    let group = Pid::from_raw(launcher.pid()).unwrap();
    assert_ne!(getpgid(Pid::from_raw(pid)).unwrap(), group);
    kill_process_group(group, Signal::INT).unwrap();
    drop(launcher);
    let server = start(scratch.settings()).await.unwrap();
    assert_eq!((server.was_started(), server.postmaster_pid()), (false, Some(pid)));
}

#[tokio::test]
async fn a_killed_server_comes_back_with_everything_committed_and_nothing_else() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let pid = server.postmaster_pid().unwrap();
    connect(&server).await.execute("create table number (n int)").await.unwrap();
    let mut open = connect(&server).await;
    open.execute("begin; insert into number select -n from generate_series(1, 100000) n").await.unwrap();

    let mut connection = connect(&server).await;
    let writer = tokio::spawn(async move {
        let mut committed = 0;
        while sqlx::query("insert into number values ($1)").bind(committed + 1).execute(&mut connection).await.is_ok() {
            committed += 1;
            if committed == 50 {
                kill(pid, Signal::KILL);
            }
            if committed == 5_000 {
                break;
            }
        }
        connection.close_hard().await.ok();
        committed
    });
    let committed = writer.await.unwrap();
    // While the guard of the dead server is still held, and its clients are still connected.
    let revived = start(scratch.settings()).await.unwrap();
    assert!(revived.was_started());
    assert_ne!(revived.postmaster_pid(), Some(pid));
    let kept =
        value(&revived, "select count(*) filter (where n > 0) || ' ' || count(*) filter (where n < 0) from number")
            .await;
    let (positive, negative) = kept.split_once(' ').unwrap();
    // One more than acknowledged may have been committed just before the answer got lost.
    assert!(
        (committed..=committed + 1).contains(&positive.parse().unwrap()),
        "{committed} were committed, {kept} are there"
    );
    assert_eq!(negative, "0");
    drop(server);
    assert_eq!(value(&revived, "select 'still there'").await, "still there");
}

#[tokio::test]
async fn a_busy_child_of_a_killed_server_is_not_waited_for_and_not_raced() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let mut connection = connect(&server).await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    let busy =
        tokio::spawn(async move { connection.execute("select sum(n) from generate_series(1, 1e9) n").await.is_err() });
    let mut observer = connect(&server).await;
    loop {
        let state: String = sqlx::query_scalar("select state from pg_stat_activity where pid = $1")
            .bind(backend)
            .fetch_one(&mut observer)
            .await
            .unwrap();
        if state == "active" {
            break;
        }
    }
    kill(server.postmaster_pid().unwrap(), Signal::KILL);
    let revived = start(scratch.settings()).await.unwrap();
    assert!(!is_alive(backend), "it would have written beside the next server");
    assert!(busy.await.unwrap());
    assert_eq!(value(&revived, "select 'up'").await, "up");
}

#[tokio::test]
async fn a_start_given_up_half_way_leaves_nothing_running() {
    let scratch = Scratch::new();
    for milliseconds in [0, 30, 300, 600, 900, 1_200] {
        let limit = Duration::from_millis(milliseconds);
        if let Ok(server) = tokio::time::timeout(limit, start(scratch.settings())).await {
            server.unwrap().stop().await.unwrap();
        }
        eventually("nothing runs", || !scratch.is_in_use());
    }
    assert_eq!(value(&start(scratch.settings()).await.unwrap(), "select 'up'").await, "up");
}

#[test]
fn a_zombie_server_is_no_obstacle() {
    let scratch = Scratch::new();
    assert_eq!(scratch.part("zombie").play(), "true Some('Z') true");
}

#[test]
fn nor_are_zombies_under_a_first_process_that_reaps_none() {
    if !mounts_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let as_first_process = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    assert_eq!(scratch.part("zombie").through(&as_first_process).play(), "true Some('Z') true");
}

#[tokio::test]
async fn an_interrupted_initialization_leaves_nothing_that_matters() {
    let scratch = Scratch::new();
    let unfinished = scratch.data().join("postgres/data.unfinished");
    for file in ["PG_VERSION", "global/pg_control"] {
        let launcher = scratch.part("user").spawn();
        eventually("initdb is at work", || unfinished.join(file).exists());
        launcher.kill();
        assert!(!scratch.data().join("postgres/data").exists(), "nothing looks like a cluster yet");
    }
    let server = start(scratch.settings()).await.unwrap();
    assert_eq!(value(&server, "select current_database()::text").await, "community");
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn files_of_a_dead_server_are_cleared_away() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let (data, sockets) = (server.cluster_directory().to_owned(), server.socket_directory().to_owned());
    server.stop().await.unwrap();
    // The process id in them is that of a living process of the same account which has nothing to do with it.
    let mut unrelated = as_owner_of(&data, Path::new("sleep")).arg("60").spawn().unwrap();
    let stale = format!("{}\n{}\n1\n5432\n{}\n\n 1 1\nready\n", unrelated.id(), data.display(), sockets.display());
    for path in [data.join("postmaster.pid"), sockets.join(".s.PGSQL.5432.lock"), sockets.join(".s.PGSQL.5432")] {
        fs::write(path, &stale).unwrap();
    }
    let server = start(scratch.settings()).await;
    let untouched = unrelated.try_wait().unwrap().is_none();
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
    assert!(untouched);
    assert_eq!(value(&server.unwrap(), "select 'here'").await, "here");
}

#[tokio::test]
async fn a_lost_socket_is_made_anew_unless_somebody_still_uses_the_server() {
    let scratch = Scratch::new();
    let mut user = scratch.part("user").spawn();
    let (pid, _) = server_of(&mut user);
    let socket = scratch.data().join("postgres/socket/.s.PGSQL.5432");
    fs::remove_file(&socket).unwrap();
    let error = start(scratch.settings()).await.unwrap_err();
    assert!(matches!(error, PostgresError::Unreachable { pid: Some(found), .. } if found == pid), "{error}");
    assert!(is_alive(pid));
    user.kill();
    let server = start(scratch.settings()).await.unwrap();
    assert!(server.was_started());
    assert_eq!(value(&server, "select 'again'").await, "again");
}

#[tokio::test]
async fn a_server_that_somebody_started_by_hand_is_left_alone() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let program = program_of(&server);
    let data = server.cluster_directory().to_owned();
    server.stop().await.unwrap();

    let mut command = as_owner_of(&data, &program);
    command.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-k", "."]).current_dir(&data);
    command.stderr(fs::File::create(scratch.path.join("log")).unwrap());
    let mut by_hand = command.spawn().unwrap();
    eventually("the server by hand is up", || data.join(".s.PGSQL.5432").exists());
    let pid: i32 = by_hand.id().try_into().unwrap();
    let error = start(scratch.settings()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("(process {pid})")), "{error}");
    assert!(is_alive(pid) && data.join("postmaster.pid").exists());
    kill(pid, Signal::INT);
    by_hand.wait().unwrap();
    start(scratch.settings()).await.unwrap();
}

#[test]
fn variables_for_other_servers_change_nothing_and_secrets_stay_behind() {
    let scratch = Scratch::new();
    let mut user = scratch.part("user");
    for (name, value) in [
        ("PGPORT", "1"),
        ("PGDATA", "/x"),
        ("PGHOST", "db"),
        ("PGUSER", "x"),
        ("PGDATABASE", "x"),
        ("PGSSLMODE", "require"),
    ] {
        user = user.variable(name, value);
    }
    let mut user = user.variable("BOT_TOKEN", "SECRET").spawn();
    let (pid, _) = server_of(&mut user);
    match fs::read(Path::new("/proc").join(pid.to_string()).join("environ")) {
        Ok(environment) => assert!(!String::from_utf8_lossy(&environment).contains("SECRET")),
        Err(error) => eprintln!("skipped: the server's environment cannot be read, {error}"),
    }
    user.tell("stop");
    assert_eq!(user.answer(), "true");
}
