//! Neuroevolution potentials against NEP_CPU (calorine 4.1, double precision), and what their reader says about wrong files.
mod support;

use caloron_engine::neighbors::Search;
use caloron_engine::testing::{Check, Options, check_potential, reference};
use caloron_engine::{Evaluator, Potential, Properties, State, System, UnitSystem};
use std::path::{Path, PathBuf};
use support::{deviation, evaluate, frames, read_frames, try_potential};

const MODELS: [(&str, &[&str]); 6] = [
    ("C_2024_NEP4", &["C"]),
    ("PbTe_NEP4", &["Pb", "Te"]),
    ("SiFCH_NEP4", &["H", "C", "Si", "F"]),
    ("Si_2022_NEP4_3body", &["Si"]),
    ("Si_2022_NEP4_5body", &["Si"]),
    ("UNEP-v1_16metals_NEP4_ZBL", &[]),
];

fn file(name: &str) -> Option<PathBuf> {
    reference(&format!("nep/{name}.txt"))
}

fn potential(path: &Path, system: &System) -> Box<dyn Potential> {
    try_potential(system, UnitSystem::Physical, &format!("[nep]\nfile = {:?}", path.display().to_string()))
        .unwrap_or_else(|e| panic!("{}: {e}", e.key))
}

/// Message of the error with which a text is refused for silicon.
fn refusal(text: &str) -> String {
    let path = std::env::temp_dir().join(format!(
        "caloron-nep-{}-{:?}.txt",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, text).unwrap();
    let si = support::Frame {
        info: Default::default(),
        symbols: vec!["Si".to_owned()],
        columns: [("pos".to_owned(), vec![vec![0.0; 3]])].into(),
    };
    let input = format!("[nep]\nfile = {:?}", path.display().to_string());
    let result = try_potential(&si.build(&["Si"]).0, UnitSystem::Physical, &input);
    std::fs::remove_file(&path).unwrap();
    result.err().map(|e| e.message).unwrap_or_default()
}

/// The species of a frame, when a case does not list them.
fn species<'a>(listed: &[&'a str], symbols: &'a [String]) -> Vec<&'a str> {
    let mut all = listed.to_vec();
    for s in symbols {
        if !all.contains(&s.as_str()) {
            all.push(s);
        }
    }
    all
}

#[test]
fn energies_forces_and_virials_are_those_of_the_original() {
    for (name, listed) in MODELS {
        let (Some(path), Some(frames)) = (file(name), frames(&format!("nep/{name}.extxyz"))) else { return };
        for frame in &frames {
            let (system, state) = frame.build(&species(listed, &frame.symbols));
            let out = evaluate(potential(&path, &system), &system, &state);
            let worst = deviation(frame, &out, true);
            eprintln!("{name} {}: {worst:.1e}", frame.name());
            assert!(worst < 1e-9, "{name}, {}: deviates by {worst:e}", frame.name());
        }
        assert!(frames.len() > 2);
    }
}

/// A small frame of a model.
fn small(name: &str, frame: &str) -> Option<(PathBuf, System, State)> {
    let path = file(name)?;
    let frames = frames(&format!("nep/{name}.extxyz"))?;
    let frame = frames.iter().find(|f| f.name() == frame).expect("the frame");
    let (system, state) = frame.build(&species(&[], &frame.symbols));
    Some((path, system, state))
}

#[test]
fn they_pass_the_conformance_suite() {
    for (name, frame) in [
        ("PbTe_NEP4", "skewed"),
        ("Si_2022_NEP4_5body", "hot_8"),
        ("UNEP-v1_16metals_NEP4_ZBL", "alloy_fcc_32"),
        ("SiFCH_NEP4", "mixed_24"),
    ] {
        let frame = if name.starts_with("Si_") { "hot_64" } else { frame };
        let Some((path, system, state)) = small(name, frame) else { return };
        let mut potential = potential(&path, &system);
        let checks = Check::ALL.to_vec();
        let options = Options { checks, atoms: 3, ..Options::default() };
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        let failures: Vec<String> = report.failures().map(|o| format!("{o:?}")).collect();
        assert!(failures.is_empty(), "{name}: {failures:#?}");
    }
}

#[test]
fn version_3_has_one_network_for_all_elements() {
    // with one element there is no difference
    let Some((path, system, state)) = small("Si_2022_NEP4_3body", "hot_64") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let third = std::env::temp_dir().join(format!("caloron-nep3-{}.txt", std::process::id()));
    std::fs::write(&third, text.replacen("nep4", "nep3", 1)).unwrap();
    let (a, b) = (
        evaluate(potential(&path, &system), &system, &state),
        evaluate(potential(&third, &system), &system, &state),
    );
    std::fs::remove_file(&third).unwrap();
    assert_eq!((a.energy, &a.forces), (b.energy, &b.forces));
}

#[test]
fn the_imported_form_gives_the_same_bits() {
    let Some((path, system, state)) = small("PbTe_NEP4", "skewed") else { return };
    let model = caloron_potentials::ml::checkpoint::load(&path).unwrap();
    let own = std::env::temp_dir().join(format!("caloron-nep-{}.safetensors", std::process::id()));
    model.save(&own).unwrap();
    let (a, b) = (
        evaluate(potential(&path, &system), &system, &state),
        evaluate(potential(&own, &system), &system, &state),
    );
    std::fs::remove_file(&own).unwrap();
    assert_eq!((a.energy, &a.forces, a.virial), (b.energy, &b.forces, b.virial));
}

/// Small models with random numbers in `data/nep`, made by its `make.py`: version 3 with two elements, the ZBL of each kind.
#[test]
fn small_models_agree_with_nep_cpu() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nep"));
    let frames = read_frames(&folder.join("nep.extxyz"));
    assert_eq!(frames.len(), 12);
    for frame in &frames {
        let (system, state) = frame.build(&["Si", "O"]);
        let model = &frame.info["model"];
        let out = evaluate(potential(&folder.join(format!("{model}.txt")), &system), &system, &state);
        let worst = deviation(frame, &out, true);
        eprintln!("{model} {}: {worst:.1e}", frame.name());
        assert!(worst < 1e-9, "{model}, {}: deviates by {worst:e}", frame.name());
    }
    let (system, state) = frames[4].build(&["Si", "O"]);
    for model in ["nep3", "nep3_zbl", "nep4_flexible", "nep4_typewise"] {
        let mut potential = potential(&folder.join(format!("{model}.txt")), &system);
        let options = Options { atoms: 3, ..Options::default() };
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{model}\n{report}");
    }
}

#[test]
fn wrong_files_are_errors() {
    let Some(path) = file("Si_2022_NEP4_5body") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(refusal(&text), "");
    let lines: Vec<&str> = text.lines().collect();
    for n in [1, 2, 3, 5, 6, 7, 100, lines.len() / 2, lines.len() - 1] {
        assert!(refusal(&lines[..n].join("\n")).contains("damaged"), "cut after {n} lines");
    }
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        refusal(&text.replacen(from, to, 1))
    };
    for (from, to, said) in [
        ("nep4 1 Si", "nep4_dipole 1 Si", "dipole"),
        ("nep4 1 Si", "nep4_polarizability 1 Si", "polarizabilities"),
        ("nep4 1 Si", "nep4_charge1 1 Si", "charges"),
        ("nep4 1 Si", "nep4_temperature 1 Si", "temperature"),
        ("nep4 1 Si", "nep5 1 Si", "versions 3 and 4"),
        ("nep4 1 Si", "nep9_zbl 1 Si", "versions 3 and 4"),
        ("nep4 1 Si", "nep4 2 Si", "line 1"),
        ("nep4 1 Si", "nep4 1 Xx", "`Xx` is not an element"),
        ("nep4 1 Si", "nep4 2 Si Si", "named twice"),
        ("nep4 1 Si", "nep4 1 C", "no parameters for element `Si`"),
        ("nep4 1 Si", "nep4_zbl 1 Si", "line 2: expected `zbl`, found `cutoff`"),
        ("cutoff 5 5", "cutoff 5 six", "`six` is not a number"),
        ("cutoff 5 5", "cutoff 5 6", "angular cutoff that is not larger"),
        ("cutoff 5 5", "cutoff -5 5", "cutoff"),
        ("cutoff 5 5 53 53", "cutoff 5", "needs 4 or 4 numbers"),
        ("n_max 10 10", "n_max 10 999999999999", "above 100"),
        ("n_max 10 10", "n_max 10 -1", "not a number"),
        ("n_max 10 10", "n_max 10 11", "numbers after the header"),
        ("basis_size 10 10", "basis_size 10 99", "above 31"),
        ("l_max 4 2 1", "l_max 9 2 1", "from 1 to 8"),
        ("l_max 4 2 1", "l_max 4 3 1", "invariants"),
        ("l_max 4 2 1", "l_max 4 2 1 1", "invariants"),
        ("ANN 50 0", "ANN 0 0", "number of neurons"),
        ("ANN 50 0", "ANN 5000000000 0", "above 1000"),
    ] {
        let message = with(from, to);
        assert!(message.contains(said), "{to}: {message}");
    }
    assert!(refusal(&format!("{text}1.0\n")).contains("numbers after the header"));
    assert!(
        refusal(&text.replacen("ANN 50 0\n", "ANN 50 0\nNaN\n", 1)).contains("line 7: `NaN` is not finite")
    );
}

#[test]
fn committees_give_means_and_spreads() {
    let (Some(a), Some(b)) = (file("Si_2022_NEP4_3body"), file("Si_2022_NEP4_5body")) else { return };
    let Some((_, system, state)) = small("Si_2022_NEP4_5body", "hot_64") else { return };
    let member = |p: &Path| format!("{{ nep = {{ file = {:?} }} }}", p.display().to_string());
    let text = |limit: &str| format!("[committee]\nmembers = [{}, {}]\n{limit}", member(&a), member(&b));
    let committee = |limit: &str| try_potential(&system, UnitSystem::Physical, &text(limit)).unwrap();
    let (one, two) = (
        evaluate(potential(&a, &system), &system, &state),
        evaluate(potential(&b, &system), &system, &state),
    );
    let mut evaluator = Evaluator::new(vec![committee("")], 0.3, Search::Auto);
    let out = evaluator.ensure(&system, &state, Properties::all(), Properties::all()).unwrap();
    assert!((out.energy - 0.5 * (one.energy + two.energy)).abs() < 1e-12 * out.energy.abs());
    assert!((out.virial - 0.5 * (one.virial + two.virial)).norm() < 1e-10);
    let spread = &out.extras.iter().find(|e| e.spec.name == "force_spread").unwrap().values;
    let mut largest = 0.0_f64;
    for i in 0..system.len() {
        assert!((out.forces[i] - 0.5 * (one.forces[i] + two.forces[i])).norm() < 1e-12);
        // of two numbers, half of their distance
        let expected = 0.5 * (one.forces[i] - two.forces[i]).norm();
        assert!((spread[i] - expected).abs() < 1e-12, "{i}: {} {expected}", spread[i]);
        largest = largest.max(expected);
    }
    let energy = &out.extras.iter().find(|e| e.spec.name == "energy_spread").unwrap().values;
    assert!((energy[0] - 0.5 * (one.energy - two.energy).abs() / 64.0).abs() < 1e-12);
    let run = |limit: f64| {
        let limited = committee(&format!("max_force_spread = \"{limit} eV/Å\""));
        let mut evaluator = Evaluator::new(vec![limited], 0.3, Search::Auto);
        evaluator
            .ensure(&system, &state, Properties::ENERGY, Properties::ENERGY)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(run(1.01 * largest), Ok(()));
    assert!(run(0.99 * largest).unwrap_err().contains("members disagree"));
    for (text, said) in [
        ("[committee]\nmembers = []".to_owned(), "two members"),
        (text("max_force_spread = \"-1 eV/Å\""), "must be positive"),
    ] {
        let error = try_potential(&system, UnitSystem::Physical, &text).err().unwrap();
        assert!(error.message.contains(said), "{}", error.message);
    }
    // the log says which files they are
    let said = committee("").describe().join("\n");
    assert!(said.contains("member 1: ") && said.contains(&a.display().to_string()), "{said}");
    let mut potential = committee("");
    let options = Options { atoms: 2, ..Options::default() };
    let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
}
