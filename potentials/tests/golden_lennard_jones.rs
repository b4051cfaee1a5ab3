//! Lennard-Jones against LAMMPS and the reference calculations of NIST.
mod support;
use caloron_engine::UnitSystem::Lj;
use caloron_engine::{Cell, Species, State, System, Vec3};
use support::{evaluate, frames, golden, potential};

const TOLERANCE: f64 = 1e-10;

fn one(truncation: &str) -> String {
    format!(
        "[lennard_jones]\ncutoff = 2.5\ntruncation = {truncation}\n\
         pairs = [{{ species = [\"Ar\", \"Ar\"], epsilon = 1.0, sigma = 1.0 }}]"
    )
}

fn kob_andersen(truncation: &str) -> String {
    format!(
        "[lennard_jones]\ncutoff = 2.5\ntruncation = {truncation}\npairs = [\
         {{ species = [\"Ar\", \"Ar\"], epsilon = 1.0, sigma = 1.0 }},\
         {{ species = [\"Ar\", \"Kr\"], epsilon = 1.5, sigma = 0.8, cutoff = 2.0 }},\
         {{ species = [\"Kr\", \"Kr\"], epsilon = 0.5, sigma = 0.88, cutoff = 2.2 }}]"
    )
}

#[test]
fn lammps_one_species() {
    for (case, truncation) in [
        ("lj_cut", "\"truncated\""),
        ("lj_cut_shifted", "\"energy_shifted\""),
        ("lj_smooth_linear", "\"force_shifted\""),
    ] {
        golden(case, &["Ar"], Lj, &one(truncation), TOLERANCE, true);
    }
    // reference energies of atoms leave the tail out
    let tail = format!("{}\ntail_correction = true", one("\"truncated\""));
    golden("lj_cut_tail", &["Ar"], Lj, &tail, TOLERANCE, false);
}

/// LAMMPS lj/smooth joins the energy to the unshifted one at the inner radius; here it is zero at the cutoff. The
/// difference is a constant for each pair within the cutoff.
#[test]
fn lammps_force_spline() {
    let Some(frames) = frames("classical/lj_smooth.extxyz") else { return };
    let spline = one("{ force_spline = { inner = 2.0 } }");
    let dimer = |spec: &str| {
        let argon = Species { symbol: "Ar".into(), number: Some(18), mass: 1.0 };
        let system = System::new(vec![argon], vec![0; 2]);
        let state = State::at_rest(vec![Vec3::zeros(), Vec3::new(0.0, 1.5, 0.0)], Cell::open());
        evaluate(potential(&system, Lj, spec), &system, &state).energy
    };
    let constant = dimer(&spline) - dimer(&one("\"truncated\""));
    let per_pair = dimer(&one("\"energy_shifted\"")) - dimer(&one("\"truncated\""));
    for frame in &frames {
        let (system, state) = frame.build(&["Ar"]);
        let run = |spec: &str| evaluate(potential(&system, Lj, spec), &system, &state);
        let (cut, shifted) = (run(&one("\"truncated\"")), run(&one("\"energy_shifted\"")));
        let mut out = run(&spline);
        out.energy -= (shifted.energy - cut.energy) / per_pair * constant;
        for (i, e) in out.atom_energies.iter_mut().enumerate() {
            *e -= (shifted.atom_energies[i] - cut.atom_energies[i]) / per_pair * constant;
        }
        let worst = support::deviation(frame, &out, true);
        assert!(worst < TOLERANCE, "{}: {worst:e}", frame.name());
    }
}

#[test]
fn lammps_kob_andersen() {
    for (case, truncation) in [
        ("lj_kob_andersen", "\"truncated\""),
        ("lj_kob_andersen_shifted", "\"energy_shifted\""),
        ("lj_kob_andersen_force_shifted", "\"force_shifted\""),
    ] {
        golden(case, &["Ar", "Kr"], Lj, &kob_andersen(truncation), TOLERANCE, true);
    }
}

/// `round` to the digits that NIST prints.
fn printed(value: f64, digits: usize) -> String {
    format!("{value:.*e}", digits - 1)
}

/// The value of `key` in the section `[name]` of the reference file.
fn published(text: &str, name: &str, key: &str) -> f64 {
    let section = text.split(&format!("[{name}]")).nth(1).expect("a section");
    let section = section.split("\n[").next().expect("its lines");
    let line = section.lines().find(|l| l.starts_with(&format!("{key} ="))).expect("a key");
    line.split('=').nth(1).expect("a value").trim().parse().expect("a number")
}

#[test]
fn nist_reference_configurations() {
    let Some(all) = frames("nist/lj_configs.extxyz") else { return };
    let path =
        caloron_engine::testing::reference("nist/nist_reference.toml").expect("beside the configurations");
    let text = std::fs::read_to_string(path).expect("readable");
    for (k, frame) in all.iter().enumerate() {
        let (system, state) = frame.build(&["Ar"]);
        for (name, cutoff, truncation, tail) in [
            ("lrc_3", 3.0, "truncated", true),
            ("lrc_4", 4.0, "truncated", true),
            ("lfs_3", 3.0, "force_shifted", false),
        ] {
            let spec = |tail: bool| {
                format!(
                    "[lennard_jones]\ncutoff = {cutoff:?}\ntruncation = \"{truncation}\"\ntail_correction = {tail}\n\
                     species = [{{ name = \"Ar\", epsilon = 1.0, sigma = 1.0 }}]"
                )
            };
            let out = evaluate(potential(&system, Lj, &spec(false)), &system, &state);
            let with_tail = evaluate(potential(&system, Lj, &spec(tail)), &system, &state);
            let section = format!("lennard_jones.config{}.{name}", k + 1);
            for (key, mine) in [
                ("U_pair", out.energy),
                ("W_pair", out.virial.trace()),
                ("U_lrc", with_tail.energy - out.energy),
            ] {
                let nist = published(&text, &section, &format!("nist_{key}"));
                let digits = 5;
                assert_eq!(printed(mine, digits), printed(nist, digits), "{section} {key}: {mine}");
                let computed = published(&text, &section, &format!("computed_{key}"));
                assert!(
                    (mine - computed).abs() <= 1e-11 * computed.abs(),
                    "{section} {key}: {mine} {computed}"
                );
                if k == 3 && computed != 0.0 {
                    assert!((mine / computed - 1.0).abs() < 1e-12, "{section} {key}: {mine:e} {computed:e}");
                }
            }
        }
    }
    assert_eq!(all.len(), 4);
}

/// Triclinic configuration 3, whose nearest images are not those of the wrapped differences. U and U_LRC are the values
/// of FEASST; W = sum r f was checked by a plain sum over images.
#[test]
fn nist_triclinic_configuration() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nist_lj_triclinic_3.extxyz");
    let frame = &support::read_frames(&file)[0];
    let (system, state) = frame.build(&["Ar"]);
    let run = |tail: bool| {
        let spec = format!(
            "[lennard_jones]\ncutoff = 3.0\ntruncation = \"truncated\"\ntail_correction = {tail}\n\
             pairs = [{{ species = [\"Ar\", \"Ar\"], epsilon = 1.0, sigma = 1.0 }}]"
        );
        evaluate(potential(&system, Lj, &spec), &system, &state)
    };
    let (out, with_tail) = (run(false), run(true));
    for (name, mine, published) in [
        ("U", out.energy, -505.78567945268),
        ("W", out.virial.trace(), 557.53004323592),
        ("U_LRC", with_tail.energy - out.energy, -29.37186430697),
    ] {
        assert!((mine / published - 1.0).abs() < 1e-12, "{name}: {mine:.14e} {published:.14e}");
    }
}

#[test]
fn lammps_melt_at_step_zero() {
    let (repeat, density) = (20, 0.8442f64);
    let a = (4.0 / density).cbrt();
    let basis = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
    let mut positions = Vec::new();
    for x in 0..repeat {
        for y in 0..repeat {
            for z in 0..repeat {
                let at = Vec3::new(f64::from(x), f64::from(y), f64::from(z));
                positions.extend(basis.map(|b| (at + Vec3::from(b)) * a));
            }
        }
    }
    let n = positions.len();
    let argon = Species { symbol: "Ar".into(), number: Some(18), mass: 1.0 };
    let system = System::new(vec![argon], vec![0; n]);
    let edge = a * f64::from(repeat);
    let state = State::at_rest(positions, Cell::orthorhombic(edge, edge, edge).unwrap());
    let out = evaluate(potential(&system, Lj, &one("\"truncated\"")), &system, &state);
    let per_atom = out.energy / n as f64;
    assert!((per_atom + 6.7733681).abs() < 1e-7, "{per_atom}");
    // the kinetic part of the pressure at T = 1.44 with 3 N - 3 degrees of freedom
    let kinetic = (n - 1) as f64 * 1.44;
    let pressure = (kinetic + out.virial.trace() / 3.0) / state.cell().volume();
    assert!((pressure + 5.0197073).abs() < 1e-7, "{pressure}");
}
