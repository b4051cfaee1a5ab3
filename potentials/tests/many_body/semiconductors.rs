//! Stillinger-Weber and the Tersoff family.
use crate::golden::{build, check, potentials, system};
use std::path::Path;

#[test]
fn stillinger_weber_silicon() {
    check("sw_si", &["Si"], "stillinger_weber = { file = \"Si.sw\" }");
}

#[test]
fn stillinger_weber_cadmium_telluride() {
    check("sw_cdte", &["Cd", "Te"], "stillinger_weber = { file = \"CdTe.sw\" }");
}

#[test]
fn tersoff_silicon_carbide() {
    check("tersoff_sic", &["Si", "C"], "tersoff = { file = \"SiC.tersoff\" }");
}

#[test]
fn modified_tersoff_silicon() {
    check("tersoff_mod_si", &["Si"], "tersoff_mod = { file = \"Si.tersoff.mod\" }");
}

#[test]
fn tersoff_with_screened_coulomb_core() {
    check("tersoff_zbl_sic", &["Si", "C"], "tersoff_zbl = { file = \"SiC.tersoff.zbl\" }");
}

#[test]
fn vashishta_silicon_carbide() {
    check("vashishta_sic", &["Si", "C"], "vashishta = { file = \"SiC.vashishta\" }");
}

#[test]
fn edip_silicon() {
    check("edip_si", &["Si"], "edip = { file = \"Si.edip\" }");
}

#[test]
fn edip_silicon_carbide() {
    check("edip_sic", &["Si", "C"], "edip = { file = \"SiC.edip\" }");
}

fn message(toml: &str, directory: &Path, species: &[&str]) -> String {
    let symbols: Vec<String> = species.iter().map(|s| (*s).to_owned()).collect();
    match build(toml, directory, &system(species, &symbols)) {
        Ok(_) => panic!("{toml} must not build"),
        Err(e) => format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default()),
    }
}

#[test]
fn wrong_elements_name_what_the_file_has() {
    let Some(directory) = potentials() else { return };
    let text = message("stillinger_weber = { file = \"CdTe.sw\" }", &directory, &["Cd", "Zn"]);
    assert!(
        text.contains("stillinger_weber.file") && text.contains("`Zn`") && text.contains("Cd, Te"),
        "{text}"
    );
    let text =
        message("tersoff = { file = \"SiC.tersoff\", elements = { Sii = \"Si\" } }", &directory, &["Si"]);
    assert!(text.contains("tersoff.elements.Sii") && text.contains("did you mean `Si`?"), "{text}");
    let text =
        message("tersoff = { file = \"SiC.tersoff\", elements = { Si = \"Ge\" } }", &directory, &["Si"]);
    assert!(text.contains("tersoff.elements.Si") && text.contains("`Ge`"), "{text}");
}

#[test]
fn damaged_files_are_errors_with_a_line() {
    let Some(source) = potentials() else { return };
    let folder = std::env::temp_dir().join(format!("caloron-triples-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(source.join("SiC.tersoff")).unwrap();
    let try_text = |text: &str| {
        std::fs::write(folder.join("x.tersoff"), text).unwrap();
        message("tersoff = { file = \"x.tersoff\" }", &folder, &["Si", "C"])
    };
    // cut anywhere, it is an error and no panic
    let entries = text.find("\nC   C    C").unwrap();
    for cut in (entries..text.trim_end().len() - 3).step_by(37) {
        let text = try_text(&text[..cut]);
        assert!(text.contains("x.tersoff"), "{text}");
    }
    let said = try_text(&text.replace("1830.8", "18x30.8"));
    assert!(said.contains("line 23") && said.contains("`18x30.8`"), "{said}");
    let said = try_text(&text.replace("346.7", "346.7 9.0"));
    assert!(said.contains("line 19") && said.contains("found 18 words"), "{said}");
    let doubled = format!("{text}\n{}", &text[entries..]);
    assert!(try_text(&doubled).contains("second entry for C C C"));
    assert!(try_text("").contains("no entry"));
    std::fs::remove_dir_all(&folder).unwrap();
}
