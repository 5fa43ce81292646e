//! The life of the embedded server within one process.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{ffi::OsString, fs};

use karat::postgres::{EmbeddedSettings, PostgresError, connect_options, start};
use sqlx::{Connection, Executor};

use crate::embedded_support::{Scratch, connect, is_alive, value};

#[tokio::test]
async fn a_server_starts_from_nothing_keeps_its_data_and_stops_with_its_last_user() {
    let scratch = Scratch::new();
    let first = start(scratch.settings()).await.unwrap();
    let pid = first.postmaster_pid().unwrap();
    assert!(first.was_started());
    connect(&first).await.execute("create table kept as select 7 as number").await.unwrap();

    let second = start(scratch.settings()).await.unwrap();
    assert!(!second.was_started());
    assert_eq!(second.postmaster_pid(), Some(pid));
    assert!(!first.stop().await.unwrap(), "somebody still used it");
    assert_eq!(value(&second, "select number::text from kept").await, "7");
    drop(second);
    assert!(!is_alive(pid), "the last one out stops it, also by being dropped");

    let again = start(scratch.settings()).await.unwrap();
    assert!(again.was_started());
    assert_eq!(value(&again, "select number::text from kept").await, "7");
    assert!(again.stop().await.unwrap());
    assert!(!scratch.data().join("postgres/data/postmaster.pid").exists());
}

#[tokio::test]
async fn it_is_private_durable_and_sorts_alike_everywhere() {
    let scratch = Scratch::new();
    let server = start(EmbeddedSettings { server_settings: Vec::new(), ..scratch.settings() }).await.unwrap();
    for (statement, expected) in [
        ("show fsync", "on"),
        ("show synchronous_commit", "on"),
        ("show full_page_writes", "on"),
        ("show listen_addresses", ""),
        ("show server_encoding", "UTF8"),
        ("show timezone", "UTC"),
        ("show max_connections", "100"),
        ("select current_user::text", "karat"),
        ("select current_database()::text", "community"),
        ("select string_agg(letter, '' order by letter) from unnest('{a,B,ä,Z,é}'::text[]) letter", "BZaäé"),
        ("select count(*)::text from pg_hba_file_rules where type <> 'local' and auth_method <> 'reject'", "0"),
    ] {
        assert_eq!(value(&server, statement).await, expected, "{statement}");
    }
    let memory = rustix::fs::statvfs("/dev/shm").map_or(0, |memory| memory.f_blocks * memory.f_frsize);
    let kind = if memory < 256 << 20 { "mmap" } else { "posix" };
    assert_eq!(value(&server, "show dynamic_shared_memory_type").await, kind);
    for folder in [server.socket_directory(), server.cluster_directory()] {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn settings_and_database_are_the_callers() {
    let scratch = Scratch::new();
    let settings = EmbeddedSettings {
        database: "Größe \"1\"".to_owned(),
        server_settings: vec![("fsync".into(), "off".into()), ("max_connections".into(), "37".into())],
        ..scratch.settings()
    };
    let server = start(settings.clone()).await.unwrap();
    assert_eq!(value(&server, "show max_connections").await, "37");
    assert_eq!(value(&server, "select current_database()::text").await, "Größe \"1\"");
    let other = start(EmbeddedSettings { database: "other".to_owned(), ..settings.clone() }).await.unwrap();
    assert_eq!(value(&other, "select current_database()::text").await, "other");
    other.stop().await.unwrap();
    server.stop().await.unwrap();

    let wrong = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let error = start(EmbeddedSettings { server_settings: wrong, ..settings }).await.unwrap_err();
    assert!(matches!(error, PostgresError::Launch { .. }));
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere() {
    let scratch = Scratch::new();
    let data_directory = scratch.data().join("d".repeat(60)).join("e".repeat(60));
    let settings = EmbeddedSettings { data_directory, ..scratch.settings() };
    let server = start(settings.clone()).await.unwrap();
    let socket_directory = server.socket_directory().to_owned();
    assert!(socket_directory.starts_with("/tmp"), "{}", socket_directory.display());
    assert_eq!(fs::metadata(&socket_directory).unwrap().permissions().mode() & 0o777, 0o700);
    let second = start(settings.clone()).await.unwrap();
    assert!(!second.was_started(), "it is found again");
    drop(server);
    drop(second);
    assert!(!socket_directory.exists(), "nothing stays behind in /tmp");

    // Somebody else was there first: a file, or (for root to try) a folder of another account.
    fs::write(&socket_directory, "").unwrap();
    let error = start(settings.clone()).await.unwrap_err();
    fs::remove_file(&socket_directory).unwrap();
    assert!(error.to_string().contains("not a directory"), "{error}");
    if crate::embedded_support::is_root() {
        fs::create_dir(&socket_directory).unwrap();
        std::os::unix::fs::chown(&socket_directory, Some(54_321), Some(54_321)).unwrap();
        let error = start(settings).await.unwrap_err();
        fs::remove_dir(&socket_directory).unwrap();
        assert!(error.to_string().contains("belongs to the account `user id 54321`"), "{error}");
    }
}

#[tokio::test]
async fn any_path_will_do() {
    let scratch = Scratch::new();
    let data_directory = scratch.data().join("it's, \"quoted\" and \\ größer %h $HOME");
    let server = start(EmbeddedSettings { data_directory, ..scratch.settings() }).await.unwrap();
    assert!(server.socket_directory().starts_with(scratch.data()), "the socket is in it");
    assert_eq!(value(&server, "select 'reached'").await, "reached");
}

#[tokio::test]
async fn the_log_is_bounded_and_holds_nobodys_data() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let mut connection = connect(&server).await;
    connection.execute("create table person (name text check (length(name) < 3))").await.unwrap();
    connection.execute("insert into person values ('PLANTED in a row')").await.unwrap_err();
    connection.execute("select 'PLANTED in a statement'::int").await.unwrap_err();
    connection.close().await.unwrap();
    let log = server.log_file().to_owned();
    server.stop().await.unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("ready to accept connections") && !text.contains("PLANTED"), "{text}");

    fs::write(&log, vec![b'x'; 5 << 20]).unwrap();
    let server = start(scratch.settings()).await.unwrap();
    assert!(fs::metadata(server.log_file()).unwrap().len() < 1 << 20);
    assert_eq!(fs::metadata(log.with_extension("log.1")).unwrap().len(), 5 << 20);
}

#[tokio::test]
async fn a_database_url_needs_no_server_of_our_own() {
    let scratch = Scratch::new();
    let (options, server) =
        connect_options(Some(" postgres://someone@db.example:5433/there "), scratch.settings()).await.unwrap();
    assert_eq!((options.get_host(), options.get_port(), options.get_database()), ("db.example", 5433, Some("there")));
    assert!(server.is_none() && !scratch.data().exists());

    for wrong in ["postgres://me:SECRET@host:port/x", "mysql://me:SECRET@host/x", "host=x password=SECRET"] {
        let error = connect_options(Some(wrong), scratch.settings()).await.unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL") && !error.contains("SECRET"), "{error}");
    }
    let (options, server) = connect_options(Some(""), scratch.settings()).await.unwrap();
    assert_eq!(
        options.get_socket().map(|path| path.as_path()),
        server.as_ref().map(|server| server.socket_directory())
    );
}

#[test]
fn the_environment_says_where_the_data_lives() {
    let settings = |is_root: bool, variables: &[(&str, &str)]| {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).into(), value.into())).collect();
        EmbeddedSettings::from_variables("community", is_root, |wanted| {
            variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        })
    };
    let home = ("HOME", "/home/ada");
    let data = |is_root: bool, variables: &[(&str, &str)]| settings(is_root, variables).data_directory;
    assert_eq!(data(false, &[home]), Path::new("/home/ada/.local/share/karat/community"));
    assert_eq!(data(false, &[home, ("XDG_DATA_HOME", "/data")]), Path::new("/data/karat/community"));
    assert_eq!(
        data(false, &[home, ("XDG_DATA_HOME", "relative")]),
        Path::new("/home/ada/.local/share/karat/community")
    );
    assert_eq!(data(true, &[home]), Path::new("/var/lib/karat/community"));
    assert_eq!(data(true, &[home, ("KARAT_DATA", "/srv/k")]), Path::new("/srv/k"));
    assert!(data(false, &[home, ("KARAT_DATA", "k")]).is_absolute());
    assert_eq!(data(false, &[]), Path::new(""));
    assert_eq!(settings(false, &[home]).cache_directory, Path::new("/home/ada/.cache/karat"));
    assert_eq!(settings(true, &[home]).cache_directory, Path::new("/var/cache/karat"));
    assert_eq!(
        settings(false, &[("KARAT_PG_BIN", "/opt/pg/bin")]).binary_directory.as_deref(),
        Some(Path::new("/opt/pg/bin"))
    );
    let searched = settings(false, &[("PATH", "/a/bin:relative::/b/bin")]).search_directories;
    assert_eq!(searched[..2], [Path::new("/a/bin"), Path::new("/b/bin")]);
    assert_eq!(searched.last().unwrap(), Path::new("/usr/local/pgsql/bin"));
    for (value, allowed) in [("1", false), ("yes", false), ("0", true), ("", true)] {
        assert_eq!(settings(false, &[("KARAT_NO_DOWNLOAD", value)]).allow_download, allowed, "{value:?}");
    }
}

#[tokio::test]
async fn without_a_home_it_says_what_to_set() {
    let settings = EmbeddedSettings::from_variables("community", false, |_| None);
    let error = start(settings).await.unwrap_err().to_string();
    assert!(error.contains("KARAT_DATA") && error.contains("DATABASE_URL"), "{error}");
}
