//! The reference of input files (docs/input.md), made from the schema and so from the comments of the types.
use super::schema::schema;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Input reference

This page is generated from the types that read the input; `caloron schema` prints the same as a JSON schema.

An input file is TOML. Every physical value is a text with a number and a unit, such as `\"2 fs\"`, `\"300 K\"` or
`\"1.5 kJ/mol/nm^2\"`; with `units = \"lj\"` at the top, physical values are plain numbers in reduced units. Units may be
multiplied (`eV Å`), divided (`kJ/mol`) and raised to powers (`Å^6`). Unknown keys, wrong types and values of the
wrong dimension are errors that name the line. File names are relative to the folder of the input file, names of
outputs to the output folder. Where a key names one of several methods, the method is a table with that name:
`thermostat = { bussi = { relaxation = \"0.1 ps\" } }`.
";

/// The reference as a page of Markdown.
pub fn reference() -> String {
    let schema = schema();
    let mut book = Book {
        definitions: schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default(),
        places: BTreeMap::new(),
        found: VecDeque::new(),
    };
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Top level\n");
    book.table(&mut page, "", &schema);
    // what a section names comes right after it
    let mut sections = std::mem::take(&mut book.found);
    while let Some((place, name)) = sections.pop_front() {
        let definition = book.definitions[&name].clone();
        write!(page, "\n## `{place}`\n\n{}\n", text_of(&definition)).unwrap_or_default();
        book.section(&mut page, &place, &definition);
        for section in std::mem::take(&mut book.found).into_iter().rev() {
            sections.push_front(section);
        }
    }
    page
}

struct Book {
    definitions: Map<String, Value>,
    /// The section of every definition that was met.
    places: BTreeMap<String, String>,
    /// Sections still to be written, in the order of their mention.
    found: VecDeque<(String, String)>,
}

/// The description of a schema on one line.
fn text_of(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or("");
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn anchor(place: &str) -> String {
    place.chars().filter(|c| c.is_alphanumeric() || "_-".contains(*c)).collect::<String>().to_lowercase()
}

impl Book {
    fn section(&mut self, page: &mut String, place: &str, definition: &Value) {
        if let Some(choices) = definition.get("oneOf").and_then(Value::as_array) {
            page.push_str("\n| one of | value | meaning |\n|---|---|---|\n");
            let mut shared: Map<String, Value> = Map::new();
            for choice in choices.clone() {
                self.choice(page, place, &choice, &mut shared);
            }
            if !shared.is_empty() {
                page.push_str("\nBeside it may stand:\n");
                let table = Value::Object(Map::from_iter([("properties".to_owned(), Value::Object(shared))]));
                self.table(page, place, &table);
            }
        } else if let Some(names) = definition.get("enum").and_then(Value::as_array) {
            let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            write!(page, "\nOne of {}.\n", names.join(", ")).unwrap_or_default();
        } else if definition.get("properties").is_some() {
            self.table(page, place, definition);
        } else {
            let value = self.value(place, definition);
            write!(page, "\n{value}\n").unwrap_or_default();
        }
    }
    /// The rows of one alternative of an enum; keys that may stand beside its name go to `shared`.
    fn choice(&mut self, page: &mut String, place: &str, choice: &Value, shared: &mut Map<String, Value>) {
        let meaning = text_of(choice);
        let names = choice.get("enum").and_then(Value::as_array);
        for name in choice.get("const").into_iter().chain(names.into_iter().flatten()) {
            writeln!(page, "| `{name}` | | {meaning} |").unwrap_or_default();
        }
        let required = choice.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, schema) in choice.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.iter().any(|r| r == name) {
                let value = self.value(&join(place, name), schema);
                let own = if meaning.is_empty() { text_of(schema) } else { meaning.clone() };
                writeln!(page, "| `{name}` | {value} | {own} |").unwrap_or_default();
            } else {
                shared.insert(name.clone(), schema.clone());
            }
        }
    }
    fn table(&mut self, page: &mut String, place: &str, schema: &Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        page.push_str("\n| key | value | meaning |\n|---|---|---|\n");
        for (key, property) in properties {
            let needed = if required.iter().any(|r| r == key) { "**required**, " } else { "" };
            let value = self.value(&join(place, key), property);
            writeln!(page, "| `{key}` | {needed}{value} | {} |", text_of(property)).unwrap_or_default();
        }
    }
    /// The kind of a value in a few words, with links to the sections of tables.
    fn value(&mut self, place: &str, schema: &Value) -> String {
        if let Some(name) =
            schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
        {
            return self.link(place, name);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(parts) = schema.get(key).and_then(Value::as_array).cloned() {
                let parts = parts.iter().filter(|p| p.get("type").is_none_or(|t| t != "null"));
                let mut words: Vec<String> = Vec::new();
                for part in parts {
                    let word = self.value(place, part);
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                return words.join(" or ");
            }
        }
        if let Some(constant) = schema.get("const") {
            return format!("`{constant}`");
        }
        if let Some(names) = schema.get("enum").and_then(Value::as_array) {
            return names
                .iter()
                .filter(|n| !n.is_null())
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        if let (Some(title), Some(example)) = (schema.get("title").and_then(Value::as_str), example(schema)) {
            return format!("{title}, as `{example}`");
        }
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str).filter(|k| *k != "null");
                kinds.collect::<Vec<_>>().join(" or ")
            }
            _ => String::new(),
        };
        match kind.as_str() {
            "string" => "text".into(),
            "boolean" => "`true` or `false`".into(),
            "array" => self.list(place, schema),
            "object" => match schema.get("additionalProperties") {
                Some(value) if value.is_object() => {
                    format!("table of NAME = {}", self.value(&join(place, "NAME"), value))
                }
                _ if schema.get("properties").is_some() => {
                    // a table without a name of its own
                    let name = format!("at {place}");
                    self.definitions.insert(name.clone(), schema.clone());
                    self.link(place, &name)
                }
                _ => "table".into(),
            },
            other => other.to_owned(),
        }
    }
    fn list(&mut self, place: &str, schema: &Value) -> String {
        let item = match schema.get("items") {
            Some(item) => self.value(place, item),
            None => "values".into(),
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        match (bound("minItems"), bound("maxItems")) {
            (Some(a), Some(b)) if a == b => format!("list of {a}: {item}"),
            _ => format!("list of {item}"),
        }
    }
    /// A link to the section of a definition; its first use gives it its name.
    fn link(&mut self, place: &str, name: &str) -> String {
        let Some(definition) = self.definitions.get(name).cloned() else { return name.to_owned() };
        let is_plain =
            |d: &Value| d.get("properties").is_none() && d.get("oneOf").is_none() && d.get("enum").is_none();
        if is_plain(&definition) && definition.get("title").is_some() {
            return self.value(place, &definition);
        }
        if !self.places.contains_key(name) {
            self.places.insert(name.to_owned(), place.to_owned());
            self.found.push_back((place.to_owned(), name.to_owned()));
        }
        let target = &self.places[name];
        let noun = if definition.get("properties").is_some() { "table" } else { "one of" };
        format!("{noun} [{target}](#{})", anchor(target))
    }
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn example(schema: &Value) -> Option<String> {
    schema.get("examples")?.as_array()?.first().map(Value::to_string)
}
