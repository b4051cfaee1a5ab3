//! Pages that are made from the types: `UPDATE=1 cargo test --test documents` writes them anew.
use caloron::input;
use std::path::PathBuf;

fn is_current(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the page can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/{name} is stale: run `UPDATE=1 cargo test --test documents`");
}

#[test]
fn the_schema_is_current() {
    is_current("schema.json", &input::schema_text());
}

#[test]
fn the_reference_is_current() {
    is_current("input.md", &input::reference());
}

#[test]
fn every_key_has_a_meaning() {
    let page = input::reference();
    let bare: Vec<&str> =
        page.lines().filter(|l| l.starts_with("| `") && l.trim_end().ends_with("| |")).collect();
    assert!(bare.is_empty(), "keys without a description:\n{}", bare.join("\n"));
}
