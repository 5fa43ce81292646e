//! What the tests of the embedded server share: a folder that cleans up after itself, and processes of other users.
//!
//! A child process is this test binary again, running only [`child_process`], which then plays the part that an environment
//! variable names.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use karat::postgres::{EmbeddedServer, EmbeddedSettings, start};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

/// An account that exists everywhere and is not root.
pub(crate) const NOBODY: u32 = 65534;

const PART: &str = "KARAT_TEST_PART";
const DATA: &str = "KARAT_TEST_DATA";
const PREFIX: &str = "karat-embedded-";

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a test that needs root can run; says so when it cannot.
pub(crate) fn root_or_skip() -> bool {
    if !is_root() {
        eprintln!("skipped: needs root");
    }
    is_root()
}

/// Whether a child may have its own mounts; says so when it may not.
pub(crate) fn mounts_or_skip() -> bool {
    let allowed = is_root()
        && Command::new("unshare")
            .args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !allowed {
        eprintln!("skipped: mounting is not permitted");
    }
    allowed
}

/// A folder that every account can reach, removed in the end together with any server left in it.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let base = fs::canonicalize(std::env::temp_dir()).unwrap();
        sweep(&base);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        set_mode(&path, 0o755);
        Self { path, messages: Arc::default() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A subfolder that an ordinary user may write to.
    pub(crate) fn folder_of(&self, uid: u32) -> PathBuf {
        let path = self.path.join(format!("of-{uid}"));
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        path
    }

    /// Settings for a server in this folder. It does not wait for the disk, which says nothing about correctness after a killed process.
    pub(crate) fn settings(&self) -> EmbeddedSettings {
        let messages = self.messages.clone();
        let on_message = Arc::new(move |message: &str| messages.lock().unwrap().push(message.to_owned()));
        EmbeddedSettings { on_message, ..settings_in(&self.data()) }
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// Whether any process works in this folder, as servers and `initdb` do.
    pub(crate) fn is_in_use(&self) -> bool {
        !processes_in(&self.path).is_empty()
    }

    /// A child that plays `part` on the server of this folder.
    pub(crate) fn part(&self, part: &str) -> Part {
        Part {
            name: part.to_owned(),
            data: self.data(),
            uid: None,
            wrapper: Vec::new(),
            variables: Vec::new(),
            scratch: self.path.clone(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

/// Removes what tests left behind that were killed: their process is gone.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            clear(&entry.path());
        }
    }
}

fn clear(path: &Path) {
    for pid in processes_in(path) {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = fs::remove_dir_all(path);
}

fn processes_in(path: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let named = format!("{}/", path.display());
    let working = processes.filter(|process| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|directory| directory.starts_with(path))
            || command_line(&process.path()).iter().any(|argument| argument.starts_with(&named))
    });
    working.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?)).collect()
}

fn command_line(process: &Path) -> Vec<String> {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The program that the server runs.
pub(crate) fn program_of(server: &EmbeddedServer) -> PathBuf {
    command_line(&Path::new("/proc").join(server.postmaster_pid().unwrap().to_string()))[0].clone().into()
}

pub(crate) fn settings_in(data: &Path) -> EmbeddedSettings {
    EmbeddedSettings {
        data_directory: data.to_owned(),
        server_settings: vec![("fsync".to_owned(), "off".to_owned())],
        start_limit: Duration::from_secs(30),
        ..EmbeddedSettings::from_environment("community")
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) async fn connect(server: &EmbeddedServer) -> PgConnection {
    PgConnection::connect_with(&server.connect_options()).await.unwrap()
}

/// The one value that a statement returns, as text.
pub(crate) async fn value(server: &EmbeddedServer, statement: &'static str) -> String {
    sqlx::query_scalar(statement).fetch_one(&mut connect(server).await).await.unwrap()
}

/// Whether the process does work: it exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// The state letter of a process, if there is one.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Waits for something that another process is about to do; fails after half a minute.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..15_000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("still not: {what}");
}

/// A child process to be.
pub(crate) struct Part {
    name: String,
    data: PathBuf,
    uid: Option<u32>,
    wrapper: Vec<String>,
    variables: Vec<(String, String)>,
    scratch: PathBuf,
}

impl Part {
    pub(crate) fn of_user(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    pub(crate) fn in_folder(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the child through a program that runs the rest of its command line.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Runs the child where `mounts`, a shell script, has changed what is mounted where, for nobody else.
    pub(crate) fn with_mounts(self, mounts: &str) -> Self {
        self.through(&["unshare", "--mount", "sh", "-ec", &format!("{mounts}\nexec \"$@\""), "sh"])
    }

    pub(crate) fn spawn(self) -> Child {
        let program = match self.uid {
            None => std::env::current_exe().unwrap(),
            Some(_) => reachable_program(&self.scratch),
        };
        let arguments = ["embedded_support::child_process", "--exact", "--nocapture", "--test-threads=1"];
        let words: Vec<&str> =
            self.wrapper.iter().map(String::as_str).chain([program.to_str().unwrap()]).chain(arguments).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env(PART, &self.name).env(DATA, &self.data).envs(self.variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).current_dir("/");
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Child { process, output }
    }

    /// Runs the part to its end, which must be a good one; what it said last.
    pub(crate) fn play(self) -> String {
        let mut child = self.spawn();
        child.answer()
    }
}

/// This program where every account can run it: a build folder may be below a home that is closed to others.
fn reachable_program(scratch: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let reachable = scratch.join("program");
    if !reachable.exists() {
        fs::hard_link(&program, &reachable).or_else(|_| fs::copy(&program, &reachable).map(drop)).unwrap();
    }
    reachable
}

/// A running child. Killed when it goes out of scope.
pub(crate) struct Child {
    process: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// The next thing the child says.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, answer)) = line.split_once("SAYS ") {
                return answer.trim_end().replace("\\n", "\n");
            }
            line.clear();
        }
        panic!("the child ended without an answer");
    }

    pub(crate) fn tell(&mut self, word: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.id().try_into().unwrap()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(text: &str) {
    println!("\nSAYS {}", text.replace('\n', "\\n"));
}

fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// The entry of child processes. In an ordinary test run there is no part to play.
#[test]
fn child_process() {
    let Some(part) = std::env::var_os(PART) else { return };
    let settings = settings_in(Path::new(&std::env::var_os(DATA).unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match part.to_str().unwrap() {
        // Uses the server until told otherwise. `stop` leaves it properly; anything else, and the end of the parent, does not.
        "user" => match runtime.block_on(start(settings)) {
            Err(error) => say(&format!("{error}")),
            Ok(server) => {
                say(&format!("{} {}", server.postmaster_pid().unwrap(), server.was_started()));
                if hear() != "stop" {
                    std::process::exit(0);
                }
                say(&runtime.block_on(server.stop()).unwrap().to_string());
            }
        },
        // Kills the server it launched, does not reap it, and starts another one beside the zombie.
        "zombie" => {
            let killed = runtime.block_on(start(settings.clone())).unwrap();
            let pid = killed.postmaster_pid().unwrap();
            kill(pid, Signal::KILL);
            eventually("the server is a zombie", || state(pid) == Some('Z'));
            let server = runtime.block_on(start(settings)).unwrap();
            let other = server.postmaster_pid().unwrap();
            let letter = state(pid);
            drop(killed);
            say(&format!("{} {letter:?} {}", other != pid, runtime.block_on(server.stop()).unwrap()));
        }
        // Says one setting of a server of its own.
        "value" => {
            let statement = hear();
            let server = runtime.block_on(start(settings)).unwrap();
            let statement = Box::leak(statement.into_boxed_str());
            say(&runtime.block_on(value(&server, statement)));
        }
        // On a small disk: fills it, fails to start, makes room, and starts.
        "full disk" => {
            let server = runtime.block_on(start(settings.clone())).unwrap();
            runtime.block_on(server.stop()).unwrap();
            let filler = settings.data_directory.join("filler");
            let mut file = fs::File::create(&filler).unwrap();
            while file.write_all(&[1; 4096]).is_ok() {}
            let error = runtime.block_on(start(settings.clone())).unwrap_err().to_string();
            drop(file);
            fs::remove_file(&filler).unwrap();
            let server = runtime.block_on(start(settings)).unwrap();
            say(&format!("{}: {error}", runtime.block_on(value(&server, "show server_encoding"))));
        }
        other => panic!("no such part: {other}"),
    }
}
