//! The text of an input file and where its keys stand.
use std::{fmt, ops::Range, sync::Arc};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// An input text with the name it is reported under.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: Arc<str>,
}

/// A step on the way to a value: the key of a table or the place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A way through tables and lists, written `stage[1].nvt.timestep`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// Reads the dotted form; whatever does not follow it is taken as part of a key.
    pub(crate) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let mut rest = part;
            let key = rest.find('[').map_or(rest, |at| &rest[..at]);
            rest = &rest[key.len()..];
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            while let Some((index, tail)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
                match index.parse() {
                    Ok(n) => steps.push(Step::Index(n)),
                    Err(_) => steps.push(Step::Key(index.to_owned())),
                }
                rest = tail;
            }
        }
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if k == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(n) => write!(f, "[{n}]")?,
            }
        }
        Ok(())
    }
}

/// Line and column (both from 1, columns in characters) with the text of the line.
pub(crate) struct Place<'a> {
    pub line: usize,
    pub column: usize,
    pub text: &'a str,
}

impl Source {
    /// A text with the name of its file.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
    /// Name of the file, as given.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Where a byte offset stands.
    pub(crate) fn place(&self, offset: usize) -> Place<'_> {
        let text = &*self.text;
        let mut at = offset.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        Place {
            line: text[..start].matches('\n').count() + 1,
            column: text[start..at].chars().count() + 1,
            text: text[start..end].trim_end_matches('\r'),
        }
    }
    /// The value at a path, else the innermost table above it that exists; whether it was found in full.
    pub(crate) fn locate(&self, path: &KeyPath) -> Option<(Range<usize>, bool)> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = Some(root.get_ref());
        let mut list = None;
        let mut span = None;
        for step in &path.0 {
            let next: Option<(&Spanned<DeValue<'_>>, Range<usize>)> = match step {
                Step::Key(key) => table
                    .and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == key.as_str()))
                    .map(|(k, v)| (v, k.span())),
                Step::Index(n) => list.and_then(|l: &toml::de::DeArray<'_>| l.get(*n)).map(|v| (v, v.span())),
            };
            let Some((value, at)) = next else { return span.map(|s| (s, false)) };
            // a table under a header is shown by its header, a value by itself
            span = Some(if value.get_ref().is_table() || value.get_ref().is_array() {
                at
            } else {
                value.span()
            });
            table = value.get_ref().as_table();
            list = value.get_ref().as_array();
        }
        span.map(|s| (s, true))
    }
    /// The path of the innermost key or value that holds `span`.
    pub(crate) fn path_at(&self, span: &Range<usize>) -> Option<KeyPath> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut best = None;
        visit_table(root.get_ref(), &mut Vec::new(), &mut |steps, at| {
            if at.start <= span.start && span.end <= at.end {
                let length = at.end - at.start;
                if best.as_ref().is_none_or(|(l, s): &(usize, Vec<Step>)| {
                    length < *l || (length == *l && steps.len() > s.len())
                }) {
                    best = Some((length, steps.to_vec()));
                }
            }
        });
        best.map(|(_, steps)| KeyPath(steps))
    }
    /// The path of the value that takes exactly `span`.
    pub(crate) fn path_of(&self, span: &Range<usize>) -> Option<KeyPath> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut found = None;
        visit_table(root.get_ref(), &mut Vec::new(), &mut |steps, at| {
            if at == *span {
                found = Some(steps.to_vec());
            }
        });
        found.map(KeyPath)
    }
    /// True when a key stands at the top level.
    pub(crate) fn has_top_level(&self, key: &str) -> bool {
        let root = DeTable::parse(&self.text);
        root.is_ok_and(|r| r.get_ref().iter().any(|(k, _)| k.get_ref().as_ref() == key))
    }
    /// The text at a top-level key, when it is a string.
    pub(crate) fn top_level_string(&self, key: &str) -> Option<String> {
        let root = DeTable::parse(&self.text).ok()?;
        let entry = root.get_ref().iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        entry.1.get_ref().as_str().map(str::to_owned)
    }
}

type Visit<'v> = &'v mut dyn FnMut(&[Step], Range<usize>);

fn visit_table(table: &DeTable<'_>, steps: &mut Vec<Step>, visit: Visit<'_>) {
    for (key, value) in table {
        steps.push(Step::Key(key.get_ref().to_string()));
        visit(steps, key.span());
        visit_value(value, steps, visit);
        steps.pop();
    }
}

fn visit_value(value: &Spanned<DeValue<'_>>, steps: &mut Vec<Step>, visit: Visit<'_>) {
    visit(steps, value.span());
    if let Some(table) = value.get_ref().as_table() {
        visit_table(table, steps, visit);
    } else if let Some(list) = value.get_ref().as_array() {
        for (n, item) in list.iter().enumerate() {
            steps.push(Step::Index(n));
            visit_value(item, steps, visit);
            steps.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "title = \"x\"\n[[stage]]\nname = \"a\"\n[[stage]]\nname = \"b\"\n[stage.nvt]\nsteps = [1, 2]\n";

    fn word(source: &Source, path: &str) -> (String, bool) {
        let (span, whole) = source.locate(&KeyPath::parse(path)).unwrap();
        (source.text()[span].to_owned(), whole)
    }

    #[test]
    fn keys_are_found_and_fall_back_to_the_table_above() {
        let s = Source::new("t", TEXT);
        assert_eq!(word(&s, "stage[1].name"), ("\"b\"".into(), true));
        assert_eq!(word(&s, "stage[1].nvt.steps[1]"), ("2".into(), true));
        let (text, whole) = word(&s, "stage[1].nvt.timestep");
        assert!(text.contains("nvt") && !whole, "{text}");
        assert!(s.locate(&KeyPath::parse("nothing")).is_none());
    }

    #[test]
    fn paths_are_found_from_offsets() {
        let s = Source::new("t", TEXT);
        let at = TEXT.find("2]").unwrap();
        assert_eq!(s.path_at(&(at..at + 1)).unwrap().to_string(), "stage[1].nvt.steps[1]");
        let place = s.place(at);
        assert_eq!((place.line, place.column, place.text), (7, 13, "steps = [1, 2]"));
    }
}
