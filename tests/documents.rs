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

/// Every example in TOML on the pages is accepted, as it stands or as a part of `[system]`.
#[test]
fn examples_of_the_pages_are_accepted() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut folders = vec![docs.clone()];
    let (mut count, mut wrong) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|e| e != "md") {
                continue;
            }
            let page = std::fs::read_to_string(&path).expect("a text");
            for part in page.split("```toml\n").skip(1) {
                let block = part.split("```").next().unwrap_or_default();
                count += 1;
                let attempt = |text: String| {
                    let source = input::Source::new(path.display().to_string(), text);
                    input::InputFile::parse(source, &docs).map(drop).map_err(|e| e.to_string())
                };
                let outcome = attempt(block.to_owned()).or_else(|first| {
                    attempt(format!("[system]\n{block}")).map_err(|second| format!("{first}\nor {second}"))
                });
                if let Err(message) = outcome {
                    wrong.push(format!("{}:\n{block}\n{message}", path.display()));
                }
            }
        }
    }
    assert!(count >= 20, "only {count} examples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
