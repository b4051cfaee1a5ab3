//! Buckingham, Born-Mayer-Huggins, Morse and ZBL against LAMMPS; relations between forms.
mod support;
use caloron_engine::UnitSystem::{Lj, Physical};
use caloron_engine::units::COULOMB;
use caloron_engine::{Cell, Species, State, System, Vec3};
use support::{deviation, evaluate, frames, golden, potential, try_potential};

const TOLERANCE: f64 = 1e-10;

#[test]
fn lammps_buckingham() {
    let spec = |truncation: &str| {
        format!(
            "[buckingham]\ncutoff = \"9 Å\"\ntruncation = \"{truncation}\"\npairs = [\
             {{ species = [\"Mg\", \"Mg\"], a = \"1000 eV\", rho = \"0.2 Å\", c = \"0 eV Å^6\" }},\
             {{ species = [\"Mg\", \"O\"], a = \"1428.5 eV\", rho = \"0.29453 Å\", c = \"0 eV Å^6\" }},\
             {{ species = [\"O\", \"O\"], a = \"22764.3 eV\", rho = \"0.149 Å\", c = \"27.88 eV Å^6\" }}]"
        )
    };
    golden("buckingham_mgo", &["Mg", "O"], Physical, &spec("truncated"), TOLERANCE, true);
    golden("buckingham_mgo_shifted", &["Mg", "O"], Physical, &spec("energy_shifted"), TOLERANCE, true);
    // the same with the species of the system in the other order
    golden("buckingham_mgo", &["O", "Mg"], Physical, &spec("truncated"), TOLERANCE, true);
}

#[test]
fn lammps_born() {
    // LAMMPS has the opposite sign of D
    let spec = "[born]\ncutoff = \"9 Å\"\ntruncation = \"truncated\"\npairs = [\
        { species = [\"Na\", \"Na\"], a = \"0.2637 eV\", rho = \"0.317 Å\", sigma = \"2.340 Å\", \
          c = \"1.048553 eV Å^6\", d = \"0.499321 eV Å^8\" },\
        { species = [\"Na\", \"Cl\"], a = \"0.2110 eV\", rho = \"0.317 Å\", sigma = \"2.755 Å\", \
          c = \"6.990353 eV Å^6\", d = \"8.675838 eV Å^8\" },\
        { species = [\"Cl\", \"Cl\"], a = \"0.1582 eV\", rho = \"0.317 Å\", sigma = \"3.170 Å\", \
          c = \"72.40221 eV Å^6\", d = \"145.4285 eV Å^8\" }]";
    golden("born_nacl", &["Na", "Cl"], Physical, spec, TOLERANCE, true);
}

#[test]
fn lammps_morse() {
    let spec = |truncation: &str| {
        format!(
            "[morse]\ncutoff = \"8 Å\"\ntruncation = \"{truncation}\"\npairs = [\
             {{ species = [\"Cu\", \"Cu\"], depth = \"0.3429 eV\", alpha = \"1.3588 1/Å\", r0 = \"2.866 Å\" }}]"
        )
    };
    golden("morse_cu", &["Cu"], Physical, &spec("truncated"), TOLERANCE, true);
    golden("morse_cu_shifted", &["Cu"], Physical, &spec("energy_shifted"), TOLERANCE, true);
}

/// LAMMPS takes 14.399645 eV Å for e²/(4πε₀); everything is proportional to it.
#[test]
fn lammps_zbl() {
    let Some(frames) = frames("classical/zbl_nial.extxyz") else { return };
    let spec = "[zbl]\ninner = \"3 Å\"\ncutoff = \"4 Å\"";
    for frame in &frames {
        let (system, state) = frame.build(&["Ni", "Al"]);
        let mut out = evaluate(potential(&system, Physical, spec), &system, &state);
        let ratio = 14.399645 / COULOMB;
        out.energy *= ratio;
        out.virial *= ratio;
        out.forces.iter_mut().for_each(|f| *f *= ratio);
        out.atom_energies.iter_mut().for_each(|e| *e *= ratio);
        let worst = deviation(frame, &out, true);
        assert!(worst < TOLERANCE, "{}: {worst:e}", frame.name());
    }
    assert_eq!(frames.len(), 15);
}

fn cluster(symbols: [&str; 2]) -> (System, State) {
    let species = symbols.map(|s| Species { symbol: s.into(), number: None, mass: 1.0 });
    let system = System::new(species.to_vec(), vec![0, 1, 0, 1, 1]);
    let at = [[0.0, 0.0, 0.0], [1.1, 0.2, 0.0], [0.3, 1.2, 0.1], [-0.4, 0.1, 1.3], [1.0, 1.4, 1.2]];
    (system, State::at_rest(at.map(|r| 0.85 * Vec3::from(r)).to_vec(), Cell::open()))
}

/// Largest difference of energies and forces of two specs on a small cluster, relative to the largest.
fn difference(a: &str, b: &str) -> f64 {
    let (system, state) = cluster(["A", "B"]);
    let [a, b] = [a, b].map(|s| evaluate(potential(&system, Lj, s), &system, &state));
    let scale = a.forces.iter().map(|f| f.norm()).fold(a.energy.abs(), f64::max);
    let forces = a.forces.iter().zip(&b.forces).map(|(f, g)| (f - g).norm()).fold(0.0, f64::max);
    forces.max((a.energy - b.energy).abs()) / scale
}

#[test]
fn forms_agree_where_one_contains_the_other() {
    let lj = "[lennard_jones]\ncutoff = 2.5\ntruncation = \"force_shifted\"\nmixing = \"lorentz_berthelot\"\n\
              species = [{ name = \"A\", epsilon = 1.0, sigma = 1.0 }, { name = \"B\", epsilon = 0.5, sigma = 0.9 }]";
    let pairs = |extra: &str| {
        let row = |a: &str, b: &str, e: f64, s: f64| {
            format!("{{ species = [\"{a}\", \"{b}\"], epsilon = {e:?}, sigma = {s:?}{extra} }}")
        };
        [row("A", "A", 1.0, 1.0), row("B", "A", 0.5f64.sqrt(), 0.95), row("B", "B", 0.5, 0.9)].join(",")
    };
    let explicit = format!("[lennard_jones]\ncutoff = 2.5\npairs = [{}]", pairs(""));
    assert!(difference(lj, &explicit) < 1e-14);
    let mie = format!("[mie]\ncutoff = 2.5\npairs = [{}]", pairs(", n = 12.0, m = 6.0"));
    assert!(difference(lj, &mie) < 1e-12);
    // WCA is Lennard-Jones cut at its minimum
    let minimum = 2f64.powf(1.0 / 6.0);
    let cut = |s: f64| format!("cutoff = {:?}", minimum * s);
    let wca = format!("[wca]\npairs = [{}]", pairs(""));
    let lj_cut = format!(
        "[lennard_jones]\ncutoff = 2.5\ntruncation = \"energy_shifted\"\npairs = [\
         {{ species = [\"A\", \"A\"], epsilon = 1.0, sigma = 1.0, {} }},\
         {{ species = [\"A\", \"B\"], epsilon = {:?}, sigma = 0.95, {} }},\
         {{ species = [\"B\", \"B\"], epsilon = 0.5, sigma = 0.9, {} }}]",
        cut(1.0),
        0.5f64.sqrt(),
        cut(0.95),
        cut(0.9)
    );
    assert!(difference(&wca, &lj_cut) < 1e-12);
    // an unscreened Yukawa potential and the soft sphere of exponent 1
    let yukawa = "[yukawa]\ncutoff = 2.5\nkappa = 0.0\npairs = [{ species = [\"A\", \"A\"], a = 2.0 },\
                  { species = [\"A\", \"B\"], a = 2.0 }, { species = [\"B\", \"B\"], a = 2.0 }]";
    let soft = "[soft_sphere]\ncutoff = 2.5\nn = 1.0\npairs = [\
                { species = [\"A\", \"A\"], epsilon = 2.0, sigma = 1.0 },\
                { species = [\"A\", \"B\"], epsilon = 1.0, sigma = 2.0 },\
                { species = [\"B\", \"B\"], epsilon = 0.5, sigma = 4.0 }]";
    assert!(difference(yukawa, soft) < 1e-12);
}

#[test]
fn a_fine_table_of_lennard_jones_is_lennard_jones() {
    let directory = std::env::temp_dir().join(format!("caloron-table-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut text = String::from("# Lennard-Jones\nLJ\nN 3601\n\n");
    for k in 0..=3600 {
        let r = 0.7 + 0.0005 * f64::from(k);
        let s6 = r.powi(-6);
        text += &format!(
            "{} {r:.17e} {:.17e} {:.17e}\n",
            k + 1,
            4.0 * (s6 * s6 - s6),
            (48.0 * s6 * s6 - 24.0 * s6) / r
        );
    }
    let file = directory.join("lj.table");
    std::fs::write(&file, text).unwrap();
    let row = |a: &str, b: &str| {
        format!(
            "{{ species = [\"{a}\", \"{b}\"], file = {:?}, section = \"LJ\", length_unit = 1.0, energy_unit = 1.0 }}",
            file.to_str().unwrap()
        )
    };
    let table = format!("[table]\npairs = [{}, {}, {}]", row("A", "A"), row("A", "B"), row("B", "B"));
    let lj = "[lennard_jones]\ncutoff = 2.5\ntruncation = \"truncated\"\nmixing = \"geometric\"\n\
              species = [{ name = \"A\", epsilon = 1.0, sigma = 1.0 }, { name = \"B\", epsilon = 1.0, sigma = 1.0 }]";
    assert!(difference(lj, &table) < 1e-7);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The message and the hint of a spec that must not build.
fn refused(text: &str) -> (String, String, String) {
    let (system, _) = cluster(["Ar", "Kr"]);
    let Err(e) = try_potential(&system, Lj, text) else { panic!("built: {text}") };
    (e.key, e.message, e.hint.unwrap_or_default())
}

#[test]
fn mistakes_are_named() {
    let (key, message, hint) = refused(
        "[lennard_jones]\ncutoff = 2.5\nspecies = [{ name = \"Ar\", epsilon = 1.0, sigma = 1.0 }, \
         { name = \"K\", epsilon = 1.0, sigma = 1.0 }]\nmixing = \"geometric\"",
    );
    assert_eq!(key, "lennard_jones.pairs");
    assert!(
        message.contains("Ar-Kr") && hint.contains("`Kr` is not listed; did you mean it by `K`?"),
        "{hint}"
    );
    let (key, message, _) = refused(
        "[lennard_jones]\ncutoff = 2.5\npairs = [{ species = [\"Ar\", \"Kr\"], epsilon = 1.0, sigma = -1.0 }]",
    );
    assert_eq!((key.as_str(), message.contains("above zero")), ("lennard_jones.pairs[0].sigma", true));
    let (_, message, _) = refused(
        "[lennard_jones]\ncutoff = 2.5\npairs = [{ species = [\"Ar\", \"Kr\"], epsilon = 1.0, sigma = 1.0 },\
         { species = [\"Kr\", \"Ar\"], epsilon = 1.0, sigma = 1.0 }]",
    );
    assert!(message.contains("listed twice"));
    let (key, _, hint) = refused(
        "[lennard_jones]\ncutoff = 2.5\ntail_correction = true\nmixing = \"geometric\"\nspecies = [\
         { name = \"Ar\", epsilon = 1.0, sigma = 1.0 }, { name = \"Kr\", epsilon = 1.0, sigma = 1.0 }]",
    );
    assert_eq!(key, "lennard_jones.tail_correction");
    assert!(hint.contains("truncated"));
    let (key, ..) = refused(
        "[lennard_jones]\ncutoff = 2.5\ntruncation = { switch = { inner = 3.0 } }\nmixing = \"geometric\"\nspecies = [\
         { name = \"Ar\", epsilon = 1.0, sigma = 1.0 }, { name = \"Kr\", epsilon = 1.0, sigma = 1.0 }]",
    );
    assert_eq!(key, "lennard_jones.truncation");
}

#[test]
fn warnings_tell_what_a_truncation_does() {
    let (system, _) = cluster(["A", "B"]);
    let lj = |truncation: &str| {
        let text = format!(
            "[lennard_jones]\ncutoff = 2.5\ntruncation = \"{truncation}\"\nmixing = \"geometric\"\nspecies = [\
             {{ name = \"A\", epsilon = 1.0, sigma = 1.0 }}, {{ name = \"B\", epsilon = 1.0, sigma = 1.0 }}]"
        );
        potential(&system, Lj, &text).warnings()
    };
    assert!(lj("truncated")[0].contains("energy jumps"));
    assert!(lj("energy_shifted")[0].contains("force jumps"));
    assert!(lj("force_shifted").is_empty());
    let row = |a: &str, b: &str| format!("{{ species = [\"{a}\", \"{b}\"], a = 1e4, rho = 0.2, c = 20.0 }}");
    let text = format!(
        "[buckingham]\ncutoff = 8.0\npairs = [{}, {}, {}]",
        row("A", "A"),
        row("A", "B"),
        row("B", "B")
    );
    let warnings = potential(&system, Lj, &text).warnings();
    assert!(warnings.len() == 3 && warnings[0].contains("collapse"), "{warnings:?}");
}
