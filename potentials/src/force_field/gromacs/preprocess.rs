//! The text of a topology with its includes, definitions and conditions resolved.
use super::super::text::TextFile;
use caloron_engine::SpecError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Deepest nesting of includes.
const DEEPEST: usize = 16;
/// Most lines of all files together.
const LONGEST: usize = 50_000_000;

/// A line of a file that holds something.
pub(super) struct Line {
    /// Index of the file.
    pub file: u32,
    /// From 1.
    pub number: u32,
    pub text: String,
}

/// All lines, and the files they come from.
pub(super) struct Lines {
    pub files: Vec<TextFile>,
    pub lines: Vec<Line>,
}

struct Preprocessor<'a> {
    folders: &'a [PathBuf],
    defined: HashMap<String, String>,
    out: Lines,
    depth: usize,
}

/// Reads a topology; `defines` are names (`FLEXIBLE`) or names with values (`RANGE=1.0`).
pub(super) fn read(path: &Path, folders: &[PathBuf], defines: &[String]) -> Result<Lines, SpecError> {
    let define = |d: &String| match d.split_once('=') {
        Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
        None => (d.trim().to_owned(), String::new()),
    };
    let mut p = Preprocessor {
        folders,
        defined: defines.iter().map(define).collect(),
        out: Lines { files: vec![], lines: vec![] },
        depth: 0,
    };
    p.file(path)?;
    Ok(p.out)
}

impl Preprocessor<'_> {
    fn file(&mut self, path: &Path) -> Result<(), SpecError> {
        let file = TextFile::read("gromacs", path)?;
        let index = self.out.files.len() as u32;
        self.out.files.push(file.clone());
        // for each open #if: whether its lines count, whether a branch was taken, its line
        let mut conditions: Vec<(bool, bool, usize)> = Vec::new();
        let mut pending = String::new();
        let mut first = 0;
        for (k, raw) in file.text.lines().enumerate() {
            let number = k + 1;
            let content = raw.split(';').next().unwrap_or_default().trim_end();
            if pending.is_empty() {
                first = number;
            }
            if let Some(part) = content.strip_suffix('\\') {
                pending.push_str(part);
                pending.push(' ');
                continue;
            }
            pending.push_str(content);
            let line = std::mem::take(&mut pending);
            let line = line.trim();
            let active = conditions.iter().all(|c| c.0);
            if let Some(directive) = line.strip_prefix('#') {
                let mut words = directive.split_whitespace();
                let word = words.next().unwrap_or_default();
                let name = words.next();
                let need = || {
                    let name = name.map(str::to_owned);
                    name.ok_or_else(|| file.error(first, format!("#{word} needs a name")))
                };
                match word {
                    "ifdef" | "ifndef" => {
                        let holds = self.defined.contains_key(&need()?) == (word == "ifdef");
                        conditions.push((holds, holds, first));
                    }
                    "else" => match conditions.last_mut() {
                        Some((counts, taken, _)) => (*counts, *taken) = (!*taken, true),
                        None => return Err(file.error(first, "#else without #ifdef")),
                    },
                    "endif" => {
                        if conditions.pop().is_none() {
                            return Err(file.error(first, "#endif without #ifdef"));
                        }
                    }
                    _ if !active => {}
                    "define" => {
                        let value = words.collect::<Vec<_>>().join(" ");
                        self.defined.insert(need()?, value);
                    }
                    "undef" => {
                        self.defined.remove(&need()?);
                    }
                    "include" => {
                        let target =
                            directive["include".len()..].trim().trim_matches(['"', '<', '>']).to_owned();
                        let found = self.find(path, &target).ok_or_else(|| {
                            file.error(first, format!("the included file `{target}` is not found")).hint(
                                "name the folder it is in with `include = [\"...\"]` in the table of the force field",
                            )
                        })?;
                        self.depth += 1;
                        if self.depth > DEEPEST {
                            return Err(
                                file.error(first, "files are included too deeply (or include themselves)")
                            );
                        }
                        self.file(&found)?;
                        self.depth -= 1;
                    }
                    other => return Err(file.error(first, format!("the directive #{other} is not known"))),
                }
                continue;
            }
            if !active || line.is_empty() {
                continue;
            }
            if self.out.lines.len() == LONGEST {
                return Err(file.error(first, "the topology has more than 50 million lines"));
            }
            let text = self.substituted(line);
            self.out.lines.push(Line { file: index, number: first as u32, text });
        }
        match conditions.last() {
            Some((_, _, line)) => Err(file.error(*line, "this condition has no #endif")),
            None => Ok(()),
        }
    }
    /// Replaces defined words; values may hold defined words themselves.
    fn substituted(&self, line: &str) -> String {
        let hit = |w: &str| self.defined.contains_key(w);
        if self.defined.is_empty() || !line.split_whitespace().any(hit) {
            return line.to_owned();
        }
        let mut text = line.to_owned();
        for _ in 0..8 {
            let words = text.split_whitespace().map(|w| self.defined.get(w).map_or(w, String::as_str));
            let next = words.collect::<Vec<_>>().join(" ");
            if next == text || next.len() > 1 << 16 {
                break;
            }
            text = next;
        }
        text
    }
    fn find(&self, from: &Path, target: &str) -> Option<PathBuf> {
        let beside = from.parent().unwrap_or(Path::new("")).join(target);
        let mut candidates = std::iter::once(beside).chain(self.folders.iter().map(|f| f.join(target)));
        candidates.find(|p| p.is_file())
    }
}
