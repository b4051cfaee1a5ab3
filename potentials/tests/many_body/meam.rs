//! The modified embedded-atom method.
use crate::golden::{STRICT, build, check, compare_frame, frames, potentials, read_frames, system};
use caloron_engine::State;
use caloron_engine::testing::{Check, Options, check_potential};
use std::path::Path;

const SILICON_CARBIDE: &str =
    "meam = { library = \"library.meam\", names = [\"Si\", \"C\"], parameters = \"SiC.meam\" }";

#[test]
fn silicon_carbide() {
    check("meam_sic", &["Si", "C"], SILICON_CARBIDE);
}

#[test]
fn the_order_of_the_species_does_not_matter() {
    check("meam_sic", &["C", "Si"], SILICON_CARBIDE);
}

/// Every reference structure, form of G and option, with second neighbours, against LAMMPS (22 Jul 2025, update 4).
#[test]
fn second_neighbors_and_options() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meam");
    let frames = read_frames(&folder.join("lammps.extxyz"));
    assert_eq!(frames.len(), 14);
    for frame in &frames {
        let mut species: Vec<&str> = frame.symbols.iter().map(String::as_str).collect();
        species.sort_unstable();
        species.dedup();
        // the file's numbers count in the order of its name
        let name = frame.name.split('_').next().unwrap();
        // S is no prefix of its own in the name of selenium
        let first =
            (0..2).filter(|k| name.starts_with(species[*k])).max_by_key(|k| species[*k].len()).unwrap();
        let (a, b) = (species[first], species[1 - first]);
        let toml = format!(
            "meam = {{ library = \"library.meam\", names = [\"{a}\", \"{b}\"], parameters = \"{}.meam\" }}",
            frame.name
        );
        compare_frame(frame, &species, &[(&toml, 1.0)], &folder, STRICT);
        let system = system(&species, &frame.symbols);
        let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
        let mut potential = build(&toml, &folder, &system).unwrap();
        let checks = Check::ALL.into_iter().filter(|c| system.len() < 20 || *c != Check::Supercell).collect();
        let options = Options { checks, atoms: 4, displacement: 1e-4, strain: 2e-5, ..Options::default() };
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{}\n{report}", frame.name);
    }
}

/// Elements with every kind of reference structure and G, and the options of the parameter file, on disordered silicon carbide.
#[test]
fn all_forms_conform() {
    let Some(source) = potentials() else { return };
    let folder = std::env::temp_dir().join(format!("caloron-meam-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(source.join("library.meam"), folder.join("library.meam")).unwrap();
    let frames = frames("classical/meam_sic.extxyz").unwrap();
    let lines = [
        "",
        "ialloy = 1\nlattce(1,2) = 'b1'\nerose_form = 2\nattrac(1,2) = 0.05",
        "ialloy = 2\nlattce(1,2) = b2\nbkgd_dyn = 1\nemb_lin_neg = 1\nzbl(1,2) = 0",
        "augt1 = 0\nlattce(1,2) = 'l12'\ndelta(1,2) = -0.1\nrepuls(1,2) = 0.1\nerose_form = 1",
    ];
    for (pair, option) in
        [("Si\", \"C", 0), ("Cu\", \"Fe", 1), ("Mg\", \"H", 2), ("AlS", 3), ("Ni\", \"Cr", 3)]
    {
        let names: Vec<&str> = pair.split("\", \"").collect();
        let parameters = if names.len() == 1 { "ialloy = 1" } else { lines[option] };
        std::fs::write(folder.join("x.meam"), format!("rc = 4.2\ndelr = 0.3\n{parameters}\n")).unwrap();
        let second = names[names.len() - 1];
        let toml = format!(
            "meam = {{ library = \"library.meam\", names = [\"{pair}\"], parameters = \"x.meam\", \
             elements = {{ Si = \"{}\", C = \"{second}\" }} }}",
            names[0]
        );
        for frame in frames.iter().filter(|f| ["triclinic", "unit_cell_strained"].contains(&f.name.as_str()))
        {
            let system = system(&["Si", "C"], &frame.symbols);
            let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
            let mut potential = build(&toml, Path::new(&folder), &system).unwrap();
            let options = Options {
                checks: Check::ALL
                    .into_iter()
                    .filter(|c| system.len() <= 40 || *c != Check::Supercell)
                    .collect(),
                atoms: 4,
                displacement: 1e-4,
                strain: 2e-5,
                ..Options::default()
            };
            let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
            assert!(report.passed(), "{pair} {parameters} {}\n{report}", frame.name);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn wrong_files_are_explained() {
    let Some(source) = potentials() else { return };
    let folder = std::env::temp_dir().join(format!("caloron-meam-bad-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let library = std::fs::read_to_string(source.join("library.meam")).unwrap();
    std::fs::write(folder.join("library.meam"), &library).unwrap();
    let atoms = system(&["Si", "C"], &["Si".to_owned(), "C".to_owned()]);
    let said = |parameters: &str, names: &str| {
        std::fs::write(folder.join("x.meam"), parameters).unwrap();
        let toml =
            format!("meam = {{ library = \"library.meam\", names = [{names}], parameters = \"x.meam\" }}");
        match build(&toml, &folder, &atoms) {
            Ok(_) => String::new(),
            Err(e) => format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default()),
        }
    };
    let both = "\"Si\", \"C\"";
    assert_eq!(said("rc = 4.0\n", both), "");
    for (parameters, expected) in [
        ("rc = 4.0\ntheta(1,2) = 0\n", "line 2: the angle 0 is not between"),
        ("Cmim(1,2,1) = 2\n", "did you mean `cmin`?"),
        ("Cmin(1,2) = 2\n", "takes 3 numbers of elements, found 2"),
        ("re(2,1) = 2\n", "lower number first: re(1,2) = 2"),
        ("re(2,1) = 2\nre(1,2) = 2.1\n", "differs from re(1,2) = 2.1, which counts"),
        ("rc = 4\nlattce(1,1) = ch4\n", "a structure of two elements"),
        ("lattce(1,2) = c11\nnn2(1,2) = 1\n", "first neighbours alone"),
        ("Cmin(1,2,1) = 2.9\n", "Si and C screened by Si"),
        ("gsmooth_factor = 0\n", "must be positive"),
        ("Ec(1,3) = 4.0\n", "from 1 to 2"),
        ("Ec(1,2) = four\n", "expected a number, found `four`"),
        ("nn2(1,1) = 2\n", "nn2 = 2 is not supported"),
        ("ialloy = 7\n", "integers from 0 to 2"),
        ("lattce(1,2) = 'a15'\n", "`a15` is not supported"),
        ("Cmax(1,2,1) = 1.0\n", "must be below Cmax = 1"),
        ("rc = -1\n", "delr <= rc"),
        ("rc 4\n", "expected `name = value`"),
        ("Ec(1,2 = 4\n", "`)` is missing"),
    ] {
        let text = said(parameters, both);
        assert!(text.contains(expected) && text.contains("x.meam"), "{parameters}: {text}");
    }
    let text = said("", "\"Si\", \"Zz\"");
    assert!(text.contains("meam.names[1]") && text.contains("`Zz`") && text.contains("Cu"), "{text}");
    let text = said("", "\"Si\"");
    assert!(text.contains("`C`"), "{text}");
    for part in (0..library.len()).step_by(997) {
        std::fs::write(folder.join("library.meam"), &library[..part]).unwrap();
        let _ = said("", both);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Alloys with five and with seven elements against LAMMPS; its potential files are not ours to distribute.
#[test]
#[ignore = "needs LAMMPS' folder of potentials in LAMMPS_POTENTIALS"]
fn alloys_of_many_elements() {
    let folder = std::env::var("LAMMPS_POTENTIALS").expect("LAMMPS_POTENTIALS names the folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meam/alloys.extxyz");
    let frames = read_frames(&data);
    assert_eq!(frames.len(), 4);
    for frame in frames {
        let (species, names, library) = match frame.name.starts_with("Al") {
            true => ("Al Si Mg Cu Fe", "AlS SiS MgS CuS FeS", "library.meam"),
            false => ("Mo Co Ni V Fe Al Cr", "Mo Co Ni V Fe Al Cr", "library_2nn.meam"),
        };
        let species: Vec<&str> = species.split(' ').collect();
        let names: Vec<&str> = names.split(' ').collect();
        let elements: Vec<String> = species.iter().zip(&names).map(|(s, n)| format!("{s} = {n:?}")).collect();
        let toml = format!(
            "meam = {{ library = \"{library}\", names = {names:?}, parameters = \"{}\", elements = {{ {} }} }}",
            frame.name,
            elements.join(", ")
        );
        compare_frame(&frame, &species, &[(&toml, 1.0)], Path::new(&folder), STRICT);
    }
}
