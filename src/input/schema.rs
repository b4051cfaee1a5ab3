//! The JSON schema of input files, made from the types, for editors and other programs.
use super::document::Document;
use serde_json::Value;

/// The JSON schema (draft 2020-12) of an input file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Document);
    schema.insert("title".into(), "Caloron input".into());
    schema.to_value()
}

/// The schema as indented text that ends with a line break, as `docs/schema.json` holds it.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
