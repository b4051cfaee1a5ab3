//! Input files that must work and input files that must be refused, each with the message it must give.
//!
//! A file in `tests/inputs/bad` starts with comment lines: `#^ at LINE:COLUMN` (or `#^ at none`) says where the error
//! stands, every other `#^ TEXT` must occur in the rendered message.
use caloron::input::{InputFile, PotentialFile, Source};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|e| e.expect("a readable folder").path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// The rendered error and its position; `Ok` when nothing is wrong. Files named `potential_*` hold interactions
/// alone.
fn outcome(path: &Path) -> Result<(), (String, Option<(usize, usize)>)> {
    let alone = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("potential_"));
    let error = if alone {
        PotentialFile::read(path).map(|_| ())
    } else {
        InputFile::read(path).and_then(|f| f.build()).map(|_| ())
    };
    error.map_err(|e| (e.to_string(), e.position()))
}

/// What is wrong with the error of a file in `bad`, if anything.
fn complaint(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).expect("a text");
    let expected: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("#^ ")).collect();
    let (message, position) = match outcome(path) {
        Ok(()) => return Some("it is accepted".into()),
        Err(e) => e,
    };
    let message = message.replace(&format!("{}/", root().join("tests/inputs/bad").display()), "");
    let at = position.map_or("at none".to_owned(), |(line, column)| format!("at {line}:{column}"));
    let place = expected.iter().find(|e| e.starts_with("at "));
    let missing: Vec<&&str> =
        expected.iter().filter(|e| !e.starts_with("at ") && !message.contains(**e)).collect();
    if place.is_some_and(|p| *p == at) && expected.len() > 2 && missing.is_empty() {
        return None;
    }
    Some(format!("expected {expected:?}\ngot {at}\n{message}"))
}

#[test]
fn bad_inputs_give_their_message() {
    let files = files("tests/inputs/bad", "toml");
    assert!(files.len() >= 60, "only {} bad inputs", files.len());
    let wrong: Vec<String> =
        files.iter().filter_map(|f| Some(format!("== {}\n{}", f.display(), complaint(f)?))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n\n"));
}

#[test]
fn every_error_ends_in_a_hint() {
    for file in files("tests/inputs/bad", "toml") {
        if let Err((message, _)) = outcome(&file) {
            let last = message.lines().last().unwrap_or("");
            assert!(last.starts_with("hint: ") && last.len() > 12, "{}: {message}", file.display());
        }
    }
}

#[test]
fn good_inputs_and_examples_build() {
    let good = files("tests/inputs/good", "toml");
    assert!(good.len() >= 8, "only {} good inputs", good.len());
    for file in good.iter().chain(&files("examples", "toml")).chain(&files("benches/peers", "toml")) {
        if let Err((message, _)) = outcome(file) {
            panic!("{}:\n{message}", file.display());
        }
    }
}

/// The blocks of a page that are whole inputs: those that open with ```` ```toml input ````.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (n, line) in page.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```toml input" => open = Some((n + 1, String::new())),
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

#[test]
fn inputs_in_the_documents_build() {
    let mut pages = files("docs", "md");
    pages.extend(files(".", "md"));
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a text");
        for (line, block) in blocks(&text) {
            let name = format!("{} after line {line}", page.display());
            let built =
                InputFile::parse(Source::new(name, block), root().join("examples")).and_then(|f| f.build());
            if let Err(e) = built {
                panic!("{e}");
            }
        }
    }
}
