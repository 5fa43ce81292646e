//! Disks and machines that are not as one would wish.

use std::fs;

use karat::postgres::{EmbeddedSettings, PostgresError, start};

use crate::embedded_support::{NOBODY, Scratch, mounts_or_skip, root_or_skip};

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let scratch = Scratch::new();
    let data = scratch.data().join("postgres/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("diary.txt"), "dear diary").unwrap();
    let error = start(scratch.settings()).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotACluster { .. }), "{error}");
    assert_eq!(fs::read_to_string(data.join("diary.txt")).unwrap(), "dear diary");
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_reported() {
    let scratch = Scratch::new();
    fs::write(scratch.data(), "").unwrap();
    let data_directory = scratch.data().join("below");
    let error = start(EmbeddedSettings { data_directory, ..scratch.settings() }).await.unwrap_err().to_string();
    assert!(error.contains(scratch.data().to_str().unwrap()) && error.contains("KARAT_DATA"), "{error}");
}

#[test]
fn a_folder_that_may_not_be_written_is_reported() {
    if !root_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let answer = scratch.part("user").of_user(NOBODY).play();
    assert!(answer.contains("Permission denied") && answer.contains("KARAT_DATA"), "{answer}");
}

#[test]
fn a_read_only_disk_is_reported() {
    if !mounts_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    let mounts = format!("mount -t tmpfs -o ro tmpfs {}", scratch.data().display());
    let answer = scratch.part("user").with_mounts(&mounts).play();
    assert!(answer.contains("Read-only file system") && answer.contains("KARAT_DATA"), "{answer}");
}

#[test]
fn a_disk_too_small_for_a_cluster_is_reported_and_cleared() {
    if !mounts_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    let mounts = format!("mount -t tmpfs -o size=8m,mode=755 tmpfs {}", scratch.data().display());
    let answer = scratch.part("user").with_mounts(&mounts).play();
    assert!(answer.contains("No space left on device") && answer.contains("KARAT_DATA"), "{answer}");
}

#[test]
fn a_full_disk_is_reported_and_costs_nothing_once_there_is_room() {
    if !mounts_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    let mounts = format!("mount -t tmpfs -o size=96m,mode=755 tmpfs {}", scratch.data().display());
    let answer = scratch.part("full disk").with_mounts(&mounts).play();
    assert!(answer.starts_with("UTF8: ") && answer.contains("make room"), "{answer}");
}

#[test]
fn little_shared_memory_is_not_relied_on() {
    if !mounts_or_skip() {
        return;
    }
    let scratch = Scratch::new();
    let mut child = scratch.part("value").with_mounts("mount -t tmpfs -o size=64m tmpfs /dev/shm").spawn();
    child.tell("show dynamic_shared_memory_type");
    assert_eq!(child.answer(), "mmap");
}
