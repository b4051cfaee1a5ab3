//! Embedded-atom potentials: the three formats.
use crate::golden::{STRICT, build, check, compare, potentials, system};
use std::io::Read;
use std::path::{Path, PathBuf};

#[test]
fn funcfl_copper() {
    check("eam_cu_u3", &["Cu"], "eam = { file = \"Cu_u3.eam\" }");
}

#[test]
fn funcfl_by_species_is_the_same() {
    check("eam_cu_u3", &["Cu"], "eam = { files = { Cu = \"Cu_u3.eam\" } }");
}

#[test]
fn setfl_copper() {
    check("eam_alloy_cu_mishin1", &["Cu"], "eam = { file = \"Cu_mishin1.eam.alloy\" }");
}

#[test]
fn setfl_copper_nickel() {
    check("eam_alloy_cuni", &["Cu", "Ni"], "eam = { file = \"CuNi.eam.alloy\" }");
}

#[test]
fn setfl_aluminium_copper() {
    check("eam_alloy_alcu", &["Al", "Cu"], "eam = { file = \"AlCu.eam.alloy\" }");
}

#[test]
fn finnis_sinclair_iron() {
    check("eam_fs_fe", &["Fe"], "eam = { file = \"Fe_mm.eam.fs\" }");
}

/// A folder of this process for files made by a test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("caloron-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn finnis_sinclair_aluminium_iron() {
    let Some(source) = potentials() else { return };
    let mut text = String::new();
    let packed = std::fs::File::open(source.join("AlFe_mm.eam.fs.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let folder = folder("alfe");
    std::fs::write(folder.join("AlFe_mm.eam.fs"), text).unwrap();
    let toml = "eam = { file = \"AlFe_mm.eam.fs\" }";
    assert!(compare("eam_fs_alfe", &["Al", "Fe"], toml, &folder, STRICT) > 5);
    // the order of the species in the system does not matter
    assert!(compare("eam_fs_alfe", &["Fe", "Al"], toml, &folder, STRICT) > 5);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn message(toml: &str, directory: &Path, species: &[&str]) -> String {
    let symbols: Vec<String> = species.iter().map(|s| (*s).to_owned()).collect();
    match build(toml, directory, &system(species, &symbols)) {
        Ok(_) => panic!("{toml} must not build"),
        Err(e) => format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default()),
    }
}

#[test]
fn wrong_specs_are_explained() {
    let Some(directory) = potentials() else { return };
    let text = message("eam = { file = \"CuNi.eam.alloy\" }", &directory, &["Cu", "Fe"]);
    assert!(text.contains("eam.file") && text.contains("`Fe`") && text.contains("Ni, Cu"), "{text}");
    let text = message("eam = { file = \"Cu_u3.eam\" }", &directory, &["Cu", "Ni"]);
    assert!(text.contains("one element") && text.contains("files = { ... }"), "{text}");
    let text = message("eam = { files = { Cu = \"Cu_u3.eam\" } }", &directory, &["Cu", "Ni"]);
    assert!(text.contains("no funcfl file for species `Ni`"), "{text}");
    let text = message("eam = {}", &directory, &["Cu"]);
    assert!(text.contains("either `file` or `files`"), "{text}");
    let text = message("eam = { file = \"nowhere.eam\" }", &directory, &["Cu"]);
    assert!(text.contains("eam.file") && text.contains("nowhere.eam"), "{text}");
    let text = message("eam = { file = \"Si.sw\" }", &directory, &["Si"]);
    assert!(text.contains("format"), "{text}");
    let text = message("eam = { file = \"Fe_mm.eam.fs\", format = \"setfl\" }", &directory, &["Al"]);
    assert!(text.contains("Fe") && text.contains("Al"), "{text}");
}

#[test]
fn damaged_tables_are_errors() {
    let Some(source) = potentials() else { return };
    let folder = folder("eam");
    for (name, species) in [("CuNi.eam.alloy", "Cu"), ("Cu_u3.eam", "Cu"), ("Fe_mm.eam.fs", "Fe")] {
        let text = std::fs::read_to_string(source.join(name)).unwrap();
        let toml = format!("eam = {{ file = \"{name}\" }}");
        for part in [0, 1, 40, 250, 400, 5000, text.len() / 2, text.trim_end().len() - 30] {
            std::fs::write(folder.join(name), &text[..part]).unwrap();
            let said = message(&toml, &folder, &[species]);
            assert!(said.contains("line"), "{name} cut at {part}: {said}");
        }
        // huge counts reserve nothing
        let huge = text.replacen(" 500 ", " 9999999 ", 2).replacen("10000 ", "9999999 ", 2);
        std::fs::write(folder.join(name), huge).unwrap();
        assert!(message(&toml, &folder, &[species]).contains("line"));
        let wrong = text.replacen("E-", "E-x", 3).replacen("e-", "e-x", 3);
        std::fs::write(folder.join(name), wrong).unwrap();
        assert!(message(&toml, &folder, &[species]).contains("expected a number"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
