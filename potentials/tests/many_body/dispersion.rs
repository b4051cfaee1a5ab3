//! The D3 correction against s-dftd3 (`tests/data/d3/make.py`), finite differences and its own limits.
use crate::golden::{Frame, Tolerance, build, compare_frame, evaluate, read_frames, system, value};
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{Cell, State, Vec3};
use std::path::Path;

fn reference() -> Vec<Frame> {
    read_frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/d3/reference.extxyz"))
}

/// The species of a frame and the input for it.
fn input(frame: &Frame) -> (Vec<&str>, String) {
    let mut species: Vec<&str> = frame.symbols.iter().map(String::as_str).collect();
    species.sort_unstable();
    species.dedup();
    let words: Vec<&str> = frame.name.split(' ').collect();
    let cutoffs: Vec<&str> = value(&frame.header, "cutoffs").unwrap().split(' ').collect();
    let three = ["b3lyp", "b2plyp"].contains(&words[2]);
    let triples = if three {
        format!(", three_body = true, three_body_cutoff = \"{} Å\"", cutoffs[1])
    } else {
        String::new()
    };
    let toml = format!(
        "d3 = {{ damping = \"{}\", functional = \"{}\", cutoff = \"{} Å\", coordination_cutoff = \"{} Å\"{triples} }}",
        words[1], words[2], cutoffs[0], cutoffs[2]
    );
    (species, toml)
}

#[test]
fn energies_forces_and_virials_of_another_program() {
    let frames = reference();
    assert_eq!(frames.len(), 15);
    for frame in &frames {
        let (species, toml) = input(frame);
        compare_frame(
            frame,
            &species,
            &[(&toml, 1.0)],
            Path::new("."),
            Tolerance { energy: 1e-9, forces: 1e-9 },
        );
    }
}

#[test]
fn it_conforms() {
    for frame in reference().iter().filter(|f| !f.name.starts_with("water") && !f.name.ends_with("bj pbe")) {
        let (species, toml) = input(frame);
        let system = system(&species, &frame.symbols);
        let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
        // short cutoffs, since repeating a cell of three atoms is meant to be quick
        let toml = toml
            .replace("\"16.0 Å\"", "\"7.13 Å\"")
            .replace("\"10.0 Å\"", "\"5.29 Å\"")
            .replace("\"12.0 Å\"", "\"6.21 Å\"");
        let mut potential = build(&toml, Path::new("."), &system).unwrap();
        // the energy jumps a little where a pair or triple crosses the cutoff
        let options = Options {
            checks: Check::ALL.to_vec(),
            atoms: 3,
            displacement: 1e-4,
            strain: 1e-5,
            ..Options::default()
        };
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{}\n{report}", frame.name);
    }
}

/// Far apart, two atoms have −C₆/r⁶ with the C₆ of free atoms, and three have E₃ of an equilateral triangle.
#[test]
fn free_atoms_have_their_coefficients() {
    let (hartree, bohr) = (27.211_386_245_988, 0.529_177_210_903f64);
    // helium has one reference system, so that its coordination number does not matter
    let c6 = 1.5583f64;
    let energy = |atoms: &[Vec3], three: bool| {
        let symbols = vec!["He".to_owned(); atoms.len()];
        let toml = format!(
            "d3 = {{ damping = \"bj\", s8 = 0.0, a1 = 0.0, a2 = \"0.01 bohr\", three_body = {three}, cutoff = \"30 Å\" }}"
        );
        let system = system(&["He"], &symbols);
        evaluate(build(&toml, Path::new("."), &system).unwrap(), &system, atoms, &Cell::open()).energy
    };
    let r = 15.0;
    let corners = [Vec3::zeros(), Vec3::new(r, 0.0, 0.0), Vec3::new(0.5 * r, 0.75f64.sqrt() * r, 0.0)];
    let pair = energy(&corners[..2], false);
    assert!((pair / (-hartree * c6 / (r / bohr).powi(6)) - 1.0).abs() < 1e-9, "{pair}");
    let triple = energy(&corners, true) - energy(&corners, false);
    let expected = hartree * c6.powf(1.5) * 11.0 / 8.0 / (r / bohr).powi(9);
    assert!((triple / expected - 1.0).abs() < 1e-6, "{triple} {expected}");
}

#[test]
fn wrong_specs_are_explained() {
    let said = |toml: &str, species: &str| {
        let toml = format!("d3 = {{ {toml} }}");
        match build(&toml, Path::new("."), &system(&[species], &[species.to_owned()])) {
            Ok(_) => String::new(),
            Err(e) => format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default()),
        }
    };
    assert_eq!(said("damping = \"bj\", functional = \"PBE\"", "C"), "");
    for (toml, expected) in [
        (
            "damping = \"bj\", functional = \"pbee\"",
            "d3.functional | there are no parameters for `pbee` | did you mean `pbe`",
        ),
        (
            "damping = \"bj\", functional = \"m06\"",
            "has no parameters for `damping = \"bj\"` | it has some for \"zero\"",
        ),
        ("damping = \"bj\", functional = \"pbe\", s8 = 1.0", "d3.s8 | the parameters come from `functional`"),
        ("damping = \"bj\", s8 = 1.0, a1 = 0.4", "d3.a2 | is missing"),
        ("damping = \"zero\", s8 = 1.0, a1 = 0.4", "d3.a1 | is no parameter of `damping = \"zero\"`"),
        (
            "damping = \"zero\", functional = \"pbe\", three_body_cutoff = \"5 Å\"",
            "without `three_body = true`",
        ),
        ("damping = \"zero\", functional = \"pbe\", cutoff = \"-5 Å\"", "d3.cutoff"),
        (
            "damping = \"zero\", functional = \"pbe\", elements = { X = \"C\" }",
            "d3.elements.X | no atom is of species `X`",
        ),
        (
            "damping = \"zero\", functional = \"pbe\", elements = { C = \"Cm\" }",
            "d3.elements.C | D3 has no coefficients for `Cm`",
        ),
    ] {
        let text = said(toml, "C");
        assert!(text.contains(expected), "{toml}: {text}");
    }
    let text = said("damping = \"zero\", functional = \"pbe\"", "bead");
    assert!(text.contains("no coefficients for `bead`") && text.contains("elements = { bead"), "{text}");
}
