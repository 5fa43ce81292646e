//! What the compiler refuses, and with which words: each file in `tests/compile_fail` is compiled against the library
//! that this test binary was linked with, and the messages are compared with the `.stderr` file beside it.
//!
//! After an intended change, `KARAT_BLESS=1` rewrites the expectations; read the difference.
//!
//! The compiler is called directly: a tool that builds the library and all it depends on once more would cost minutes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Other compilers say some things around our messages differently: with them only the first lines are compared.
const COMPILER: &str = "rustc 1.95.";

macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                refused(stringify!($name));
            }
        )*
    };
}

cases! {
    asset_missing
    circle
    circle_of_one
    column_type
    key_malformed
    kind_missing
    mapping_impossible
    mapping_not_said
    mapping_reversed
    natural_key_unknown
    partition_column_missing
    partition_column_nullable
    partition_column_unknown
    partition_column_unsuitable
    undeclared_upstream
    upstream_not_a_tuple
    upstream_not_an_asset
    upstream_twice
}

#[test]
fn accepted() {
    let Compilation { is_accepted, messages } = compile("accepted");
    assert!(is_accepted, "a correct file is refused:\n{messages}");
}

#[test]
fn every_file_is_a_case() {
    let listed: BTreeSet<String> = CASES.iter().map(|name| (*name).to_owned()).chain(["accepted".to_owned()]).collect();
    let found: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed, found);
}

#[test]
fn what_lies_outside_the_file_is_left_out() {
    let messages = "\
error[E0277]: `A` is wrong
    --> case.rs:12:9
     |
  12 | use a;
     |     ^ here
     |
note: required by this
    --> src/asset/declare.rs:1007:1
     |
1007 | pub trait Asset {}
     | ^^^^^^^^^^^^^^^
...
1009 | }
     | - in this macro invocation
     = note: do otherwise

error: aborting due to 1 previous error
";
    let expected = "\
error[E0277]: `A` is wrong
  --> case.rs
   |
LL | use a;
   |     ^ here
   |
note: required by this
   = note: do otherwise
";
    assert_eq!(normalized(messages, "case.rs"), expected);
}

fn refused(name: &str) {
    let Compilation { is_accepted, messages } = compile(name);
    assert!(!is_accepted, "tests/compile_fail/{name}.rs compiles, but should be refused");
    let actual = normalized(&messages, &format!("tests/compile_fail/{name}.rs"));
    let file = folder().join(format!("{name}.stderr"));
    if std::env::var_os("KARAT_BLESS").is_some() {
        fs::write(&file, &actual).unwrap();
        return;
    }
    let expected = without_paths(&fs::read_to_string(&file).unwrap_or_default());
    if compiler_version().starts_with(COMPILER) {
        assert!(
            actual == expected,
            "the messages for tests/compile_fail/{name}.rs changed; KARAT_BLESS=1 accepts them\n\
             --- expected ---\n{expected}\n--- actual ---\n{actual}"
        );
    } else {
        let missing: Vec<&str> =
            expected.lines().filter(|line| line.starts_with("error")).filter(|line| !actual.contains(line)).collect();
        assert!(missing.is_empty(), "not said for tests/compile_fail/{name}.rs: {missing:#?}\n{actual}");
    }
}

struct Compilation {
    is_accepted: bool,
    messages: String,
}

/// Compiles one file. Of several builds of the library that lie beside this test, the newest is taken that fits the
/// dependencies that lie there too.
fn compile(name: &str) -> Compilation {
    let dependencies = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let mut last = None;
    for library in libraries(&dependencies) {
        let compilation = compile_with(name, &library, &dependencies);
        let is_unusable = ["E0460", "E0461", "E0462", "E0463", "E0514", "E0519", "E0786"]
            .iter()
            .any(|code| compilation.messages.contains(&format!("error[{code}]")));
        if !is_unusable {
            return compilation;
        }
        last = Some(compilation);
    }
    last.unwrap_or_else(|| panic!("there is no libkarat-*.rlib in {}", dependencies.display()))
}

fn compile_with(name: &str, library: &Path, dependencies: &Path) -> Compilation {
    let output_folder = tempfile::tempdir().unwrap();
    let mut with_library = OsString::from("karat=");
    with_library.push(library);
    let mut search = OsString::from("dependency=");
    search.push(dependencies);
    let output = Command::new(compiler())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "case", "--emit", "metadata"])
        .args(["--color", "never", "--diagnostic-width", "140"])
        .arg("--extern")
        .arg(with_library)
        .arg("-L")
        .arg(search)
        .arg("--out-dir")
        .arg(output_folder.path())
        .arg(format!("tests/compile_fail/{name}.rs"))
        .output()
        .unwrap();
    Compilation { is_accepted: output.status.success(), messages: String::from_utf8_lossy(&output.stderr).into_owned() }
}

fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut libraries: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_library = name.starts_with("libkarat-") && name.ends_with(".rlib");
            is_library.then_some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    libraries.sort();
    libraries.into_iter().rev().map(|(_, path)| path).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail")
}

fn compiler() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn compiler_version() -> String {
    let output = Command::new(compiler()).arg("--version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What ends every list of messages, and what is only said when the sources of the standard library are not there.
const NOISE: [&str; 5] = [
    "error: aborting due to",
    "For more information about",
    "= note: in this macro invocation",
    "= note: the failure occurred here",
    "` failed here",
];

/// The messages without what may change while they stay the same: line numbers, indentation that depends on them, and
/// pictures of code that lies outside the file itself.
/// `text` with `karat::module::Name` as `Name`: which of them rustc writes depends on what else is in scope of the build.
fn without_paths(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("karat::") {
        result.push_str(&rest[..at]);
        rest = &rest[at + "karat::".len()..];
        let is_module =
            |word: &str| !word.is_empty() && word.chars().all(|letter| letter == '_' || letter.is_ascii_lowercase());
        while let Some((_, after)) = rest.split_once("::").filter(|(module, _)| is_module(module)) {
            rest = after;
        }
    }
    result + rest
}

fn normalized(messages: &str, file: &str) -> String {
    let messages = &without_paths(messages);
    let mut lines = Vec::new();
    let mut is_outside = false;
    for line in messages.lines() {
        let text = line.trim_start();
        let code = text.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start();
        if let Some(place) = text.strip_prefix("--> ").or_else(|| text.strip_prefix("::: ")) {
            is_outside = !place.starts_with(&format!("{file}:"));
            if !is_outside {
                lines.push(format!("  {}{file}", &text[..text.len() - place.len()]));
            }
        } else if code.starts_with('|') || text.starts_with("...") {
            let gutter = if text.starts_with(|letter: char| letter.is_ascii_digit()) { "LL" } else { "  " };
            if !is_outside {
                lines.push(format!("{gutter} {code}"));
            }
        } else if !NOISE.iter().any(|noise| line.contains(noise)) {
            is_outside = false;
            let indentation = match line.len() - text.len() {
                0 => "",
                _ if text.starts_with("= ") => "   ",
                _ => "     ",
            };
            lines.push(format!("{indentation}{text}"));
        }
    }
    format!("{}\n", lines.join("\n").trim_end())
}
