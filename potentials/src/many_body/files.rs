//! What the readers of potential files share: words with their line, numbers, entries for triples of elements, and
//! the map from the species of a run to the elements of a file.
use crate::BuildContext;
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A potential file and which of its elements the species are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterFile {
    /// The file, relative to the input file.
    pub file: PathBuf,
    /// Element of the file for a species, such as `{ Cu1 = "Cu" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl ParameterFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or states other units than eV and Å.
    pub(crate) fn read(&self, context: &mut BuildContext<'_>) -> Result<String, SpecError> {
        read(context, "file", &self.file)
    }
    /// The error for a line of the file (counted from 1).
    pub(crate) fn error(&self, line: usize, message: impl std::fmt::Display) -> SpecError {
        at_line("file", &self.file, line, message)
    }
}

/// The spec of a potential that one parameter file describes: its name, its documentation, its potential and how it
/// is built from the file.
macro_rules! file_spec {
    ($(#[$doc:meta])* $name:ident => $potential:ty, $build:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        pub struct $name(pub $crate::many_body::ParameterFile);

        impl $name {
            /// The interaction for a system.
            ///
            /// # Errors
            /// When the file is malformed, or a species is not in it.
            pub fn build(
                &self,
                context: &mut $crate::BuildContext<'_>,
            ) -> Result<$potential, caloron_engine::SpecError> {
                ($build)(&self.0, context)
            }
        }
    };
}
pub(crate) use file_spec;

/// Reads a potential file and checks the units that its first line may state.
pub(crate) fn read(context: &mut BuildContext<'_>, key: &str, file: &Path) -> Result<String, SpecError> {
    let text = context.read(key, file)?;
    let mut words = text.lines().next().unwrap_or("").split_whitespace();
    let stated = words.find(|w| *w == "UNITS:").and_then(|_| words.next());
    match (stated, context.units) {
        (None, _) | (Some("metal"), UnitSystem::Physical) | (Some("lj"), UnitSystem::Lj) => Ok(text),
        (Some(units), _) => Err(SpecError::new(
            key,
            format!("`{}` states units `{units}`, which do not fit the units of the input", file.display()),
        )
        .hint(
            "physical inputs take files in `metal` units (eV, Å), reduced inputs take files in `lj` units",
        )),
    }
}

/// The error for a line of a file (counted from 1).
pub(crate) fn at_line(key: &str, file: &Path, line: usize, message: impl std::fmt::Display) -> SpecError {
    SpecError::new(key, format!("`{}`, line {line}: {message}", file.display()))
}

/// A number as potential files write it; Fortran's `D` exponents are read too.
pub(crate) fn number(word: &str) -> Option<f64> {
    let parsed = word.parse::<f64>().or_else(|_| word.replace(['d', 'D'], "e").parse());
    parsed.ok().filter(|x| x.is_finite())
}

/// Words of a text one after another, with their lines.
pub(crate) struct Words<'a> {
    key: &'a str,
    file: &'a Path,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    words: std::str::SplitWhitespace<'a>,
    line: usize,
}

impl<'a> Words<'a> {
    /// Reads a text from its start.
    pub(crate) fn new(key: &'a str, file: &'a Path, text: &'a str) -> Self {
        Self { key, file, lines: text.lines().enumerate(), words: "".split_whitespace(), line: 0 }
    }
    /// The error at the present line.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> SpecError {
        at_line(self.key, self.file, self.line, message)
    }
    /// Takes the rest of the present line away and returns the whole next line.
    pub(crate) fn line(&mut self, what: &str) -> Result<&'a str, SpecError> {
        match self.lines.next() {
            Some((n, line)) => {
                self.line = n + 1;
                self.words = "".split_whitespace();
                Ok(line)
            }
            None => Err(self.end(what)),
        }
    }
    /// Makes sure that nothing is left on the present line.
    pub(crate) fn finish_line(&mut self) -> Result<(), SpecError> {
        match self.words.next() {
            Some(word) => Err(self.error(format!("expected the end of the line, found `{word}`"))),
            None => Ok(()),
        }
    }
    /// The words of the next line.
    pub(crate) fn line_words(&mut self, what: &str) -> Result<Vec<&'a str>, SpecError> {
        Ok(self.line(what)?.split_whitespace().collect())
    }
    /// The line of the last word.
    pub(crate) fn present_line(&self) -> usize {
        self.line
    }
    fn end(&self, what: &str) -> SpecError {
        self.error(format!("the file ends where {what} should follow")).hint("the file may be truncated")
    }
    /// The next word, from this line or a later one.
    pub(crate) fn word(&mut self, what: &str) -> Result<&'a str, SpecError> {
        loop {
            if let Some(word) = self.words.next() {
                return Ok(word);
            }
            match self.lines.next() {
                Some((n, line)) => {
                    self.line = n + 1;
                    self.words = line.split_whitespace();
                }
                None => return Err(self.end(what)),
            }
        }
    }
    /// The next word as a number.
    pub(crate) fn number(&mut self, what: &str) -> Result<f64, SpecError> {
        let word = self.word(what)?;
        number(word).ok_or_else(|| self.error(format!("expected a number for {what}, found `{word}`")))
    }
    /// `n` numbers. Nothing is reserved for a count that the file does not hold.
    pub(crate) fn numbers(&mut self, n: usize, what: &str) -> Result<Vec<f64>, SpecError> {
        let mut numbers = Vec::new();
        for _ in 0..n {
            numbers.push(self.number(what)?);
        }
        Ok(numbers)
    }
    /// Number `k` of a line's words.
    pub(crate) fn field(&self, words: &[&str], k: usize, what: &str) -> Result<f64, SpecError> {
        let word = words.get(k).ok_or_else(|| self.error(format!("{what} is missing")))?;
        number(word).ok_or_else(|| self.error(format!("expected a number for {what}, found `{word}`")))
    }
    /// Count `k` of a line's words, between `low` and 10 million.
    pub(crate) fn count(&self, words: &[&str], k: usize, low: usize, what: &str) -> Result<usize, SpecError> {
        let word = words.get(k).ok_or_else(|| self.error(format!("{what} is missing")))?;
        word.parse().ok().filter(|n| (low..=10_000_000).contains(n)).ok_or_else(|| {
            self.error(format!("expected {what} (an integer from {low} to 10000000), found `{word}`"))
        })
    }
}

/// For each species of the system, the index of its element among `available`.
///
/// # Errors
/// When a species has no element in the file, or `elements` names a species or an element that does not exist.
pub(crate) fn map_species(
    system: &System,
    elements: Option<&BTreeMap<String, String>>,
    available: &[String],
    file: &Path,
) -> Result<Vec<usize>, SpecError> {
    if let Some(map) = elements {
        let names = || system.species().iter().map(|s| s.symbol.as_str());
        if let Some(wrong) = map.keys().find(|k| names().all(|n| n != k.as_str())) {
            let error =
                SpecError::new(format!("elements.{wrong}"), format!("no atom is of species `{wrong}`"));
            return Err(match nearest(wrong, names()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("the species are {}", names().collect::<Vec<_>>().join(", "))),
            });
        }
    }
    let index = |species: &caloron_engine::Species| {
        let alias = elements.and_then(|m| m.get(&species.symbol));
        let name = alias.unwrap_or(&species.symbol);
        available.iter().position(|e| e == name).ok_or_else(|| {
            let key = alias.map_or_else(|| "file".to_owned(), |_| format!("elements.{}", species.symbol));
            SpecError::new(key, format!("`{}` has no parameters for element `{name}`", file.display())).hint(
                format!(
                    "the file has {}; name the element of a species with `elements = {{ {} = \"...\" }}`",
                    available.join(", "),
                    species.symbol
                ),
            )
        })
    };
    system.species().iter().map(index).collect()
}

/// Line, elements and numbers of an entry.
type Entry<'t, const N: usize> = (usize, [&'t str; 3], [f64; N]);

/// Parameters for ordered triples of elements, as Stillinger-Weber, Tersoff, Vashishta and EDIP files list them.
pub(crate) struct Triples<const N: usize> {
    species: usize,
    entries: Vec<[f64; N]>,
}

impl<const N: usize> Triples<N> {
    /// Reads entries of three elements and N numbers, which may go over several lines; `#` starts a comment. Entries
    /// for elements that no species has are skipped; every triple of species must have exactly one.
    ///
    /// # Errors
    /// When an entry is malformed, doubled or missing.
    pub(crate) fn read(spec: &ParameterFile, context: &mut BuildContext<'_>) -> Result<Self, SpecError> {
        let text = spec.read(context)?;
        let found = Self::entries(spec, &text)?;
        let mut names: Vec<String> = Vec::new();
        for (_, elements, _) in &found {
            for e in elements.iter().filter(|e| !e.is_empty()) {
                if !names.iter().any(|n| n == e) {
                    names.push((*e).to_owned());
                }
            }
        }
        let map = map_species(context.system, spec.elements.as_ref(), &names, &spec.file)?;
        let n = map.len();
        let mut table: BTreeMap<[usize; 3], (usize, [f64; N])> = BTreeMap::new();
        for (line, elements, values) in found {
            let key = elements.map(|e| names.iter().position(|n| n == e).unwrap_or(usize::MAX));
            if !key.iter().all(|k| map.contains(k)) {
                continue;
            }
            if let Some((first, _)) = table.insert(key, (line, values)) {
                let triple = elements.join(" ");
                return Err(
                    spec.error(line, format!("a second entry for {triple}; the first is in line {first}"))
                );
            }
        }
        let mut entries = Vec::with_capacity(n * n * n);
        for (i, j, k) in triples(n) {
            let key = [map[i], map[j], map[k]];
            let entry = table.get(&key).ok_or_else(|| {
                let triple = key.map(|e| names[e].as_str()).join(" ");
                SpecError::new("file", format!("`{}` has no entry for {triple}", spec.file.display())).hint(
                    "every ordered triple of the elements in use needs an entry; the file may be truncated",
                )
            })?;
            entries.push(entry.1);
        }
        Ok(Self { species: n, entries })
    }
    fn entries<'t>(spec: &ParameterFile, text: &'t str) -> Result<Vec<Entry<'t, N>>, SpecError> {
        let mut found = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        let mut start = 0;
        let mut last = 0;
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("");
            if words.is_empty() {
                start = n + 1;
            }
            last = n + 1;
            words.extend(line.split_whitespace());
            if words.len() < 3 + N {
                continue;
            }
            if words.len() > 3 + N {
                let message =
                    format!("expected 3 elements and {N} numbers, found {} words in the entry", words.len());
                return Err(spec.error(start, message));
            }
            let mut values = [0.0; N];
            for (value, word) in values.iter_mut().zip(&words[3..]) {
                *value = number(word)
                    .ok_or_else(|| spec.error(n + 1, format!("expected a number, found `{word}`")))?;
            }
            found.push((start, [words[0], words[1], words[2]], values));
            words.clear();
        }
        if !words.is_empty() {
            let message =
                format!("expected 3 elements and {N} numbers, found {} words in the entry", words.len());
            return Err(spec.error(last, message).hint("the file may be truncated"));
        }
        if found.is_empty() {
            return Err(spec.error(last, "the file has no entry"));
        }
        Ok(found)
    }
    /// Number of species.
    pub(crate) fn species(&self) -> usize {
        self.species
    }
    /// The entry of a triple of species.
    pub(crate) fn get(&self, i: usize, j: usize, k: usize) -> &[f64; N] {
        &self.entries[(i * self.species + j) * self.species + k]
    }
}

/// All ordered triples below n, the last fastest.
pub(crate) fn triples(n: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..n * n * n).map(move |t| (t / (n * n), t / n % n, t % n))
}
