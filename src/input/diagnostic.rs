//! Errors of input files: where, what was expected, and what to do.
use super::source::{KeyPath, Source};
use caloron_engine::{SpecError, error::nearest};
use std::{fmt, ops::Range};

/// What is wrong with an input file. Its `Display` is the whole message: the place, the line with a mark, the
/// key, what was expected and a hint.
#[derive(Clone, Debug)]
pub struct InputError(Box<Diagnostic>);

#[derive(Clone, Debug)]
struct Diagnostic {
    source: Source,
    span: Option<Range<usize>>,
    key: Option<String>,
    message: String,
    expected: Option<String>,
    hint: String,
}

impl std::error::Error for InputError {}

impl InputError {
    /// An error of the file as a whole (it cannot be read).
    pub fn file(name: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Box::new(Diagnostic {
            source: Source::new(name, ""),
            span: None,
            key: None,
            message: message.into(),
            expected: None,
            hint: hint.into(),
        }))
    }
    /// From an error of the TOML reader: syntax, unknown keys, wrong types.
    pub(crate) fn from_toml(source: &Source, error: &toml::de::Error) -> Self {
        let span = error.span();
        let text = span.clone().and_then(|s| source.text().get(s)).unwrap_or("");
        let mut reworded = Reworded::new(error.message(), text);
        let path = match (&reworded.missing, &span) {
            // a missing key is reported at its table; the place of the top level is the whole text
            (Some(missing), Some(span)) => {
                let table = source.path_of(span).map(|p| p.to_string());
                Some(table.map_or(missing.clone(), |table| format!("{table}.{missing}")))
            }
            (_, span) => span.as_ref().and_then(|s| source.path_at(s)).map(|p| p.to_string()),
        };
        // a table where a list of tables belongs: [stage] for [[stage]]
        let list = path.as_deref().filter(|p| ["stage", "potential"].contains(p));
        if let Some(key) =
            list.filter(|_| error.message().starts_with("invalid type: map, expected a sequence"))
        {
            reworded.message = format!("`{key}` is one table here, and should be a list of them");
            reworded.expected = None;
            reworded.hint = format!("write [[{key}]], in double brackets, at the head of each {key}");
        }
        let is_top_level = reworded.missing.is_some() && path == reworded.missing;
        let mut message = reworded.message;
        if message == "duplicate key"
            && let Some(key) = span.clone().and_then(|s| source.text().get(s))
        {
            message = format!("the key `{key}` stands here twice");
        }
        Self(Box::new(Diagnostic {
            source: source.clone(),
            span: span.filter(|_| !is_top_level),
            key: path,
            message,
            expected: reworded.expected,
            hint: reworded.hint,
        }))
    }
    /// From an error of a builder, at the key it names.
    pub(crate) fn from_spec(source: &Source, error: SpecError) -> Self {
        let located = source.locate(&KeyPath::parse(&error.key));
        let hint = error.hint.unwrap_or_else(|| {
            let is_sign =
                ["positive", "above 0", "above zero", "negative"].iter().any(|w| error.message.contains(w));
            let hint = if is_sign {
                "check the sign and the unit of this value"
            } else {
                "docs/input.md lists every key with its meaning and range"
            };
            hint.to_owned()
        });
        Self(Box::new(Diagnostic {
            source: source.clone(),
            span: located.map(|l| l.0),
            key: Some(error.key).filter(|k| !k.is_empty()),
            message: error.message,
            expected: None,
            hint,
        }))
    }
    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// Dotted path of the key, when there is one.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }
    /// Line and column, both from 1, when the error has a place.
    pub fn position(&self) -> Option<(usize, usize)> {
        let place = self.0.source.place(self.0.span.as_ref()?.start);
        Some((place.line, place.column))
    }
    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.0.hint
    }
}

/// Longest part of a line that is shown.
const WIDTH: usize = 110;

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &*self.0;
        writeln!(f, "error: {}", d.message)?;
        match &d.span {
            None => writeln!(f, " --> {}", d.source.name())?,
            Some(span) => {
                let place = d.source.place(span.start);
                writeln!(f, " --> {}:{}:{}", d.source.name(), place.line, place.column)?;
                let marked = d.source.text().get(span.clone()).unwrap_or("");
                let length = marked.lines().next().unwrap_or("").chars().count().max(1);
                // a window of a long line, control characters as blanks so that the mark stands right
                let first = if place.column > WIDTH { place.column - WIDTH / 2 } else { 1 };
                let shown: String = (place.text.chars().skip(first - 1).take(WIDTH))
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                let number = place.line.to_string();
                let gutter = " ".repeat(number.len());
                let blank = " ".repeat(place.column - first);
                let mark = "^".repeat(length.min((WIDTH + first).saturating_sub(place.column).max(1)));
                writeln!(f, "{gutter} |\n{number} | {shown}\n{gutter} | {blank}{mark}")?;
            }
        }
        if let Some(key) = &d.key {
            writeln!(f, "key: {key}")?;
        }
        if let Some(expected) = &d.expected {
            writeln!(f, "expected: {expected}")?;
        }
        write!(f, "hint: {}", d.hint)
    }
}

/// A message of serde or of the TOML reader, in the words of a user.
struct Reworded {
    message: String,
    expected: Option<String>,
    hint: String,
    missing: Option<String>,
}

impl Reworded {
    /// `text` is what stands at the place of the error.
    fn new(message: &str, text: &str) -> Self {
        if let Some(choice) = Self::choice(message, text) {
            return choice;
        }
        let names = quoted(message);
        let first = names.first().map_or("", String::as_str);
        let plain = |message: String, expected: Option<String>, hint: &str| Self {
            message,
            expected,
            hint: hint.to_owned(),
            missing: None,
        };
        if let Some(kind) =
            ["field", "variant"].iter().find(|k| message.starts_with(&format!("unknown {k} `")))
        {
            let what = if *kind == "field" { "key" } else { "name" };
            let valid = &names[1..];
            let hint = match nearest(first, valid.iter().map(String::as_str)) {
                Some(n) => format!("did you mean `{n}`?"),
                None if valid.is_empty() => "this table takes no keys: remove it".into(),
                None => format!(
                    "use one of the {what}s above, or remove it; docs/input.md describes them with their defaults"
                ),
            };
            return Self {
                message: format!("unknown {what} `{first}`"),
                expected: Some(one_of(valid)),
                hint,
                missing: None,
            };
        }
        if message.starts_with("missing field `") {
            return Self {
                message: format!("the key `{first}` is missing"),
                expected: None,
                hint: format!("add `{first} = ...` to this table"),
                missing: Some(first.to_owned()),
            };
        }
        if message.starts_with("string values must be quoted") {
            let hint = "write a value after `=`; texts stand in quotes";
            return plain("the value is missing, or it is a text without quotes".into(), None, hint);
        }
        if message.starts_with("invalid basic string") {
            let hint = "end the text with a quote on the same line; a quote inside is written \\\"";
            return plain("a text in quotes does not end".into(), None, hint);
        }
        if message.starts_with("duplicate field `") || message.starts_with("duplicate key") {
            return plain(
                message.to_owned(),
                None,
                "every key may stand only once in a table: keep one of them",
            );
        }
        for start in ["invalid type: ", "invalid value: ", "invalid length "] {
            if let Some((found, expected)) =
                message.strip_prefix(start).and_then(|m| m.rsplit_once(", expected "))
            {
                let expected = plain_type(expected);
                let found = plain_found(found, start == "invalid length ");
                let hint = format!("write {expected} here");
                return plain(format!("wrong value: {found}"), Some(expected), &hint);
            }
        }
        if message.contains("unit") && !names.is_empty() {
            let hint = if message.contains("not a unit of number density") {
                "a mass density, such as \"1.4 g/cm^3\", goes into `mass_density`"
            } else if message.contains("reduced units") {
                "remove the quotes and the unit, or remove `units = \"lj\"` at the top"
            } else if message.contains("has no unit") {
                "physical values are texts with a unit; `units = \"lj\"` at the top selects reduced units"
            } else {
                "physical values are a number and a unit in quotes, such as \"2 fs\", \"300 K\" or \"1 bar\""
            };
            return plain(message.to_owned(), None, hint);
        }
        let hint = if message.contains("not finite") {
            "write a finite number"
        } else if message.contains("expected a number and a unit") {
            "physical values are a number and a unit in quotes, such as \"2 fs\", \"300 K\" or \"1 bar\""
        } else if message.contains("hint: ") {
            let (m, h) = message.split_once("hint: ").unwrap_or((message, ""));
            return plain(m.trim_end_matches([' ', ';', '\n']).to_owned(), None, h);
        } else {
            "TOML wants `key = value`; texts stand in quotes, lists in [ ], tables in { } or under a [header]"
        };
        plain(message.to_owned(), None, hint)
    }
}

impl Reworded {
    /// Errors of a value that is one of several names, some of which have settings.
    fn choice(message: &str, text: &str) -> Option<Self> {
        let name = text.trim().trim_matches(['"', '\'']);
        let one = "a table with one name as its key";
        let (message, expected, hint) = match message {
            "invalid type: unit variant, expected newtype variant" => (
                format!("`{name}` needs settings"),
                one,
                format!("write `{{ {name} = {{ ... }} }}`; docs/input.md lists its settings"),
            ),
            "invalid type: newtype variant, expected unit variant" => (
                "this name has no settings".to_owned(),
                "a name in quotes",
                "write the name alone, in quotes".to_owned(),
            ),
            m if m.starts_with("wanted exactly 1 element, more than 1") => (
                "several names stand here, and one of them can be chosen".to_owned(),
                one,
                "keep one of them".to_owned(),
            ),
            m if m.starts_with("wanted exactly 1 element, found 0") => {
                ("no name stands here".to_owned(), one, "docs/input.md lists the names".to_owned())
            }
            _ => return None,
        };
        Some(Self { message, expected: Some(expected.to_owned()), hint, missing: None })
    }
}

/// The names between back quotes.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn one_of(names: &[String]) -> String {
    match names {
        [] => "no key at all".into(),
        [one] => format!("`{one}`"),
        many => format!("one of {}", many.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The type serde names, in plain words.
fn plain_type(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" | "floating point number" => "a number".into(),
        "a string" | "string" | "path string" => "a text in quotes".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list in [ ]".into(),
        "a map" => "a table in { }".into(),
        "string or table" => "a name in quotes, or a table with one name as its key".into(),
        "a nonzero u64" | "a nonzero usize" | "a nonzero u32" => "a whole number, 1 or more".into(),
        e if e.starts_with("struct ") => "a table in { }".into(),
        e if e.starts_with("enum ") => "a name in quotes, or a table with one name as its key".into(),
        e => match e.strip_prefix("an array of length ") {
            Some(n) => format!("a list of {n} values"),
            None => e.into(),
        },
    }
}

fn plain_found(found: &str, is_length: bool) -> String {
    if is_length {
        return format!("the list has {found} values");
    }
    match found {
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        other => other.replace("floating point", "number").replace("boolean", "truth value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_name_the_nearest() {
        let r = Reworded::new("unknown field `timestp`, expected one of `temperature`, `timestep`", "");
        assert_eq!(r.message, "unknown key `timestp`");
        assert_eq!(r.hint, "did you mean `timestep`?");
        assert_eq!(r.expected.unwrap(), "one of `temperature`, `timestep`");
    }

    #[test]
    fn types_are_named_in_plain_words() {
        let r = Reworded::new("invalid type: string \"ten\", expected u64", "");
        assert_eq!(r.message, "wrong value: string \"ten\"");
        assert_eq!(r.expected.unwrap(), "a whole number, 0 or more");
    }

    #[test]
    fn the_mark_stands_under_the_value() {
        let source = Source::new("in.toml", "a = 1\nsteps = 0\n");
        let error = InputError::from_spec(&source, SpecError::new("steps", "too few").hint("more"));
        assert_eq!(
            error.to_string(),
            "error: too few\n --> in.toml:2:9\n  |\n2 | steps = 0\n  |         ^\nkey: steps\nhint: more"
        );
    }
}
