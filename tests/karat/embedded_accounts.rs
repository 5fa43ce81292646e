//! Who the server runs as, and whose folders it may use.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use karat::postgres::{EmbeddedSettings, PostgresError, start};

use crate::embedded_support::{NOBODY, Scratch, is_root, root_or_skip, set_mode, value};

fn owner_of_process(pid: i32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[tokio::test]
async fn the_server_never_runs_as_root() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let account = owner_of_process(server.postmaster_pid().unwrap());
    if is_root() {
        assert_ne!(account, 0);
    } else {
        assert_eq!(account, rustix::process::geteuid().as_raw());
    }
    for folder in [server.cluster_directory(), server.socket_directory()] {
        assert_eq!(fs::metadata(folder).unwrap().uid(), account, "{}", folder.display());
    }
    // What root opens by name must not be in a folder where the server's account could put something else.
    assert_eq!(fs::metadata(scratch.data().join("postgres")).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn an_ordinary_user_needs_nothing_else() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.folder_of(NOBODY);
    let mut first = scratch.part("user").of_user(NOBODY).in_folder(&folder).spawn();
    let answer = first.answer();
    let Some((pid, "true")) = answer.split_once(' ') else { panic!("{answer}") };
    assert_eq!(owner_of_process(pid.parse().unwrap()), NOBODY);
    let mut second = scratch.part("user").of_user(NOBODY).in_folder(&folder).spawn();
    assert_eq!(second.answer(), format!("{pid} false"));
    second.tell("stop");
    assert_eq!(second.answer(), "false");
    first.tell("stop");
    assert_eq!(first.answer(), "true");
}

#[tokio::test]
async fn root_in_a_users_folder_acts_as_that_user_and_locks_nobody_out() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.folder_of(NOBODY);
    let user = || scratch.part("user").of_user(NOBODY).in_folder(&folder);
    let mut child = user().spawn();
    assert!(child.answer().ends_with("true"));
    child.tell("stop");
    child.answer();

    fs::remove_file(folder.join("postgres/postgres.log")).unwrap();
    let server = start(EmbeddedSettings { data_directory: folder.clone(), ..scratch.settings() }).await.unwrap();
    assert_eq!(owner_of_process(server.postmaster_pid().unwrap()), NOBODY);
    let mut child = user().spawn();
    assert!(child.answer().ends_with("false"), "both use it");
    assert!(!server.stop().await.unwrap());
    child.tell("stop");
    assert_eq!(child.answer(), "true");
    assert!(user().spawn().answer().ends_with("true"), "and the user can start it again");
}

#[test]
fn a_user_in_roots_folder_is_refused() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let mut root = scratch.part("user").spawn();
    root.answer();
    let answer = scratch.part("user").of_user(NOBODY).play();
    assert!(answer.contains("belongs to the account `root`") && answer.contains("KARAT_DATA"), "{answer}");
    root.tell("stop");
    assert_eq!(root.answer(), "true");
}

#[tokio::test]
async fn a_cluster_copied_by_root_is_handed_over() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let data = server.cluster_directory().to_owned();
    server.stop().await.unwrap();
    hand_to_root(&data);
    let server = start(scratch.settings()).await.unwrap();
    assert_eq!(value(&server, "select current_database()::text").await, "community");
    assert_ne!(fs::metadata(data.join("base")).unwrap().uid(), 0);
}

fn hand_to_root(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            hand_to_root(&entry.unwrap().path());
        }
    }
    chown(path, Some(0), Some(0)).unwrap();
}

#[tokio::test]
async fn a_folder_that_the_servers_account_cannot_reach_is_refused_by_name() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let closed = scratch.path.join("closed");
    fs::create_dir(&closed).unwrap();
    set_mode(&closed, 0o700);
    // By another name, too: a link hides the folder it leads through.
    std::os::unix::fs::symlink(&closed, scratch.path.join("link")).unwrap();
    for name in ["closed", "link"] {
        let data_directory = scratch.path.join(name).join("somewhere/below");
        let error = start(EmbeddedSettings { data_directory, ..scratch.settings() }).await.unwrap_err();
        assert!(
            matches!(&error, PostgresError::NotWalkable { component, mode: 0o700, .. } if *component == closed),
            "{error}"
        );
        let sentence = error.to_string();
        for word in [closed.to_str().unwrap(), "(mode 0700)", "KARAT_DATA", "as root"] {
            assert!(sentence.contains(word), "{word} in {sentence}");
        }
    }
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0, "nothing was made there");
}

#[test]
fn folders_made_by_root_can_be_passed_whatever_the_umask() {
    let scratch = Scratch::new();
    let folder = scratch.path.join("some/where/deep");
    let strict = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let mut child = scratch.part("user").in_folder(&folder).through(&strict).spawn();
    let answer = child.answer();
    assert!(answer.ends_with("true"), "{answer}");
    child.tell("stop");
    assert_eq!(child.answer(), "true");
}

#[test]
fn a_user_id_without_a_name_is_told_to_bring_a_server() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.folder_of(54_321);
    let answer = scratch.part("user").of_user(54_321).in_folder(&folder).play();
    assert!(answer.contains("user id 54321") && answer.contains("DATABASE_URL"), "{answer}");
    assert!(!folder.join("postgres/data.unfinished").exists());
}
