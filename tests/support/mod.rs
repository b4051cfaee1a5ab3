//! What the tests of the program share: running it, and a place for its files.
#![allow(dead_code)]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for a test, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("caloron-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program.
pub fn caloron() -> Command {
    Command::new(env!("CARGO_BIN_EXE_caloron"))
}

/// Standard error of a finished program.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a finished program.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs an input to its end and expects success.
pub fn run(input: &Path, out: &Path, threads: u32) {
    let output = caloron()
        .args(["run", "--quiet", "--threads", &threads.to_string(), "--out"])
        .arg(out)
        .arg(input)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Files of two runs that must agree to the last bit.
pub fn assert_same_files(a: &Path, b: &Path, names: &[&str], what: &str) {
    for name in names {
        let (x, y) = (std::fs::read(a.join(name)).unwrap(), std::fs::read(b.join(name)).unwrap());
        assert!(!x.is_empty(), "{what}: {name} is empty");
        if x != y {
            let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
            let (x, y) = (text(&x), text(&y));
            let line = x.lines().zip(y.lines()).position(|(a, b)| a != b);
            let k = line.unwrap_or(x.lines().count().min(y.lines().count()));
            panic!(
                "{what}: {name} differs at line {} ({} and {} lines):\n{}\n{}",
                k + 1,
                x.lines().count(),
                y.lines().count(),
                x.lines().nth(k).unwrap_or("end"),
                y.lines().nth(k).unwrap_or("end")
            );
        }
    }
}
