//! Angular-dependent potentials.
use crate::golden::{STRICT, build, compare, compare_frame, potentials, read_frames, system};
use caloron_engine::State;
use caloron_engine::testing::{Check, Options, check_potential};
use std::path::{Path, PathBuf};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/adp")
}

/// Compares the frames of LAMMPS (22 Jul 2025, update 4) whose potential is in a folder; returns how many there were.
fn compare_with_lammps(folder: &Path, ours: bool) -> usize {
    let frames = read_frames(&data().join("lammps.extxyz"));
    let mut count = 0;
    for frame in frames.iter().filter(|f| f.name.ends_with("_test") == ours) {
        let species: &[&str] = if frame.name == "Ni" { &["Ni"] } else { &["Cu", "Al"] };
        let toml = format!("adp = {{ file = \"{}.adp\" }}", frame.name);
        compare_frame(frame, species, &[(&toml, 1.0)], folder, STRICT);
        count += 1;
    }
    count
}

#[test]
fn dipoles_and_quadrupoles_of_an_alloy() {
    assert_eq!(compare_with_lammps(&data(), true), 2);
}

#[test]
#[ignore = "needs LAMMPS' folder of potentials in LAMMPS_POTENTIALS"]
fn published_potentials() {
    let folder = std::env::var("LAMMPS_POTENTIALS").expect("LAMMPS_POTENTIALS names the folder");
    assert_eq!(compare_with_lammps(Path::new(&folder), false), 2);
}

#[test]
fn it_conforms() {
    for frame in read_frames(&data().join("lammps.extxyz")).iter().filter(|f| f.name.ends_with("_test")) {
        let system = system(&["Al", "Cu"], &frame.symbols);
        let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
        let mut potential = build("adp = { file = \"AlCu_test.adp\" }", &data(), &system).unwrap();
        let checks = Check::ALL.into_iter().filter(|c| system.len() < 20 || *c != Check::Supercell).collect();
        let options = Options { checks, atoms: 4, displacement: 1e-4, strain: 2e-5, ..Options::default() };
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{report}");
    }
}

/// Without dipoles and quadrupoles it is the embedded-atom method.
#[test]
fn without_angles_it_is_eam() {
    let Some(source) = potentials() else { return };
    let folder = std::env::temp_dir().join(format!("caloron-adp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(source.join("CuNi.eam.alloy")).unwrap();
    let points: usize = text.lines().nth(4).unwrap().split_whitespace().nth(2).unwrap().parse().unwrap();
    let zeros = "0.0\n".repeat(2 * 3 * points);
    std::fs::write(folder.join("CuNi.adp"), format!("{}\n{zeros}", text.trim_end())).unwrap();
    assert!(compare("eam_alloy_cuni", &["Cu", "Ni"], "adp = { file = \"CuNi.adp\" }", &folder, STRICT) > 5);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn wrong_files_are_explained() {
    let folder = std::env::temp_dir().join(format!("caloron-adp-bad-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(data().join("AlCu_test.adp")).unwrap();
    let said = |text: &str, key: &str| {
        std::fs::write(folder.join("x.adp"), text).unwrap();
        let toml = format!(
            "{key} = {{ file = \"x.adp\"{} }}",
            if key == "eam" { ", format = \"setfl\"" } else { "" }
        );
        match build(&toml, &folder, &system(&["Al"], &["Al".to_owned()])) {
            Ok(_) => String::new(),
            Err(e) => format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default()),
        }
    };
    assert_eq!(said(&text, "adp"), "");
    let message = said(&text, "eam");
    assert!(message.contains("end of the file") && message.contains("read by `adp`"), "{message}");
    let message = said(&text[..text.len() * 9 / 10], "adp");
    assert!(message.contains("quadrupole function of") && message.contains("truncated"), "{message}");
    let message = said(&format!("{text} 1.0"), "adp");
    assert!(message.contains("expected the end of the file"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
}
