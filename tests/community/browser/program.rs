//! The program with its pages, on a database of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A running `up`; it does not outlive the test.
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
    said: Arc<Mutex<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked to, it stops its private server with it; a test that failed waits no longer than it has to.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said.lock().map(|said| said.clone()).unwrap_or_default());
        }
    }
}

impl Program {
    /// `community up` with these arguments and variables.
    pub(crate) fn up(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_community"))
            .args(["up", "--address", "127.0.0.1:0", "--shutdown-limit", "1s"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut errors = child.stderr.take().unwrap();
        let keep = said.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                keep.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        let Some(address) = address else {
            let _ = child.wait();
            panic!("it does not start: {}", said.lock().unwrap());
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{address}"), said }
    }
}
