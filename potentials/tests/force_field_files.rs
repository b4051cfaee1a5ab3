//! Readers of force-field files on small files: what they read, and that nothing in a damaged file makes them panic.
use caloron_engine::SpecError;
use caloron_engine::topology::SiteKind;
use caloron_potentials::force_field::lammps::{self, LammpsStyles};
use caloron_potentials::force_field::{KCAL_PER_MOL, KJ_PER_MOL, MolecularModel, amber, gromacs, openmm};
use std::path::{Path, PathBuf};

const OPENMM: &str = include_str!("data/force_fields/water.system.xml");
const GROMACS: &str = include_str!("data/force_fields/ethane.top");
const GROMACS_TYPES: &str = include_str!("data/force_fields/types.itp");
const LAMMPS: &str = include_str!("data/force_fields/chain.data");
const AMBER: &str = include_str!("data/force_fields/water.prmtop");
const CHAMBER: &str = include_str!("data/force_fields/chamber.prmtop");

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("caloron-ff-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("types.itp"), GROMACS_TYPES).unwrap();
        Self(path)
    }
    fn read(&self, format: &str, text: &str) -> Result<MolecularModel, SpecError> {
        let path = self.0.join(format!("file.{format}"));
        std::fs::write(&path, text).unwrap();
        read(format, &path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(format: &str, path: &Path) -> Result<MolecularModel, SpecError> {
    match format {
        "openmm" => openmm::read(path),
        "gromacs" => {
            gromacs::read(path, gromacs::Settings { defines: &["ETHANES=2".into()], ..Default::default() })
        }
        "lammps" => lammps::read(path, &LammpsStyles::default()),
        _ => amber::read(path, &[]),
    }
}

fn ok(format: &str, text: &str) -> MolecularModel {
    Folder::new(&format!("{format}-ok")).read(format, text).unwrap_or_else(|e| panic!("{}", e.message))
}

#[test]
fn openmm_systems_are_read() {
    let m = ok("openmm", OPENMM);
    assert_eq!((m.len(), m.topology.constraints.len(), m.exceptions.len()), (4, 3, 6));
    assert_eq!(m.symbols[0].as_deref(), Some("O"));
    assert!((m.topology.constraints[0].length - 0.9572).abs() < 1e-12);
    assert!(matches!(m.topology.virtual_sites[0].kind, SiteKind::ThreeAverage { parents: [0, 1, 2], .. }));
    assert_eq!(m.settings.cutoff, Some(9.0));
    let [c12, c6] = m.lennard_jones.get(m.types[0] as usize, m.types[0] as usize);
    assert!((c6 * c6 / (4.0 * c12) / KJ_PER_MOL - 0.680946).abs() < 1e-9);
}

#[test]
fn gromacs_topologies_are_read() {
    let m = ok("gromacs", GROMACS);
    // two ethanes of united atoms with a dummy between them, and one three-site water
    assert_eq!(m.len(), 2 * 3 + 3);
    assert_eq!(m.bonded.bonds.len(), 2);
    assert_eq!((m.topology.constraints.len(), m.topology.virtual_sites.len()), (3, 2));
    assert_eq!(m.topology.residues[m.topology.residue_of[8] as usize].name, "SOL");
    // the exclusion of the bond in each ethane, and the three of water
    assert_eq!(m.exceptions.len(), 2 + 3);
    assert_eq!(m.masses[2], 0.0);
    let (c, o) = (m.types[0] as usize, m.types[6] as usize);
    // nonbond_params before mixing
    let [c12, c6] = m.lennard_jones.get(c, o);
    assert!(((c12 / c6).powf(1.0 / 6.0) - 3.3).abs() < 1e-12);
}

#[test]
fn lammps_data_files_are_read() {
    let m = ok("lammps", LAMMPS);
    assert_eq!(
        (m.len(), m.bonded.bonds.len(), m.bonded.angles.len(), m.bonded.dihedrals.len()),
        (4, 3, 2, 1)
    );
    // 1-2, 1-3 and 1-4 pairs are excluded by default
    assert_eq!(m.exceptions.len(), 6);
    assert!((m.positions.as_ref().unwrap()[3].x - (4.5 + 20.0)).abs() < 1e-12);
    assert_eq!(m.charges[0], -0.1);
    let [c12, c6] = m.lennard_jones.get(0, 0);
    assert!((c6 * c6 / (4.0 * c12) / KCAL_PER_MOL - 0.1).abs() < 1e-12);
}

#[test]
fn amber_topologies_are_read() {
    let m = ok("amber", AMBER);
    assert_eq!((m.len(), m.bonded.bonds.len(), m.bonded.angles.len()), (4, 3, 0));
    assert_eq!(m.topology.residues[0].name, "WAT");
    assert!((m.charges[3] + 1.04).abs() < 1e-7);
    let SiteKind::ThreeAverage { parents, weights } = &m.topology.virtual_sites[0].kind else { panic!() };
    assert_eq!(*parents, [0, 1, 2]);
    assert!((weights[0] + 2.0 * weights[1] - 1.0).abs() < 1e-12);
    // 0.15 Å along the bisector of an angle of 104.52 degrees
    assert!((weights[1] - 0.5 * 0.15 / (0.9572 * (0.5f64 * 104.52).to_radians().cos())).abs() < 1e-5);
}

#[test]
fn what_is_not_supported_is_named_with_its_line() {
    let folder = Folder::new("refused");
    let refused = |format: &str, text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        folder.read(format, &text.replacen(from, to, 1)).unwrap_err()
    };
    let cases = [
        (
            "openmm",
            OPENMM,
            "type=\"HarmonicBondForce\"",
            "type=\"AmoebaBondForce\"",
            "AmoebaBondForce is not supported",
        ),
        ("openmm", OPENMM, "d=\".09572\"", "d=\"abc\"", "`d` of <Constraint> is no number"),
        ("openmm", OPENMM, "p1=\"0\"", "p1=\"17\"", "there are 4 atoms"),
        (
            "gromacs",
            GROMACS,
            "[ settles ]",
            "[ distance_restraints ]",
            "[ distance_restraints ] is not supported",
        ),
        ("gromacs", GROMACS, "#include \"types.itp\"", "#include \"no.itp\"", "`no.itp` is not found"),
        ("gromacs", GROMACS, "1  2  1", "1  9  1", "has no atom 9"),
        ("gromacs", GROMACS, "#endif", "", "no #endif"),
        (
            "gromacs",
            GROMACS,
            "1  0.0  15.035",
            "1  0.0  15.035  OWT  0.0",
            "perturbed state (B) of this atom",
        ),
        ("gromacs", GROMACS, "1  0.0  15.035", "1  0.0  15.035  C3  0.1", "perturbed state (B) of this atom"),
        ("gromacs", GROMACS, "1  2  1\n", "1  2  1  0.15 100 0.16 100\n", "4 numbers where 2 are expected"),
        ("gromacs", GROMACS, "0.1  0.16330", "0.1  0.16330  0.2", "found `0.2` after them"),
        ("gromacs", GROMACS, "3  1  2  1  0.5", "3  1  2  1  0.5  7", "found `7` after them"),
        ("gromacs", GROMACS, "[ system ]", "[ implicit_genborn_params ]", "implicit solvents of GROMACS"),
        (
            "openmm",
            OPENMM,
            "usesPeriodic=\"0\" version=\"2\"",
            "usesPeriodic=\"0\" version=\"9\"",
            "version 9 of HarmonicBondForce is not known; 1 to 2 are",
        ),
        (
            "openmm",
            OPENMM,
            "<Particle eps",
            "<Particle lambda=\"1\" eps",
            "`lambda` of <Particle> is not known",
        ),
        ("openmm", OPENMM, "<GlobalParameters/>", "<Groups/>", "<Groups> of <NonbondedForce> is not known"),
        (
            "openmm",
            OPENMM,
            "<Constraints>",
            "<Restraints/>\n<Constraints>",
            "<Restraints> of <System> is not",
        ),
        ("amber", CHAMBER, "%FLAG IROTAT", "%FLAG IROTATION", "the section IROTATION is not known"),
        ("lammps", LAMMPS, "# harmonic", "# fene", "`fene` of Bond Coeffs is not supported"),
        ("lammps", LAMMPS, "units = real", "no units", "does not state the units"),
        ("lammps", LAMMPS, "1 1 1 2\n", "1 1 1 77\n", "there is no atom 77"),
        ("amber", AMBER, "%FLAG CHARGE", "%FLAG CHARGES", "the section CHARGE is missing"),
        ("amber", AMBER, "1.60000000E+01", "1.6000x000E+01", "expected a number"),
        ("amber", CHAMBER, "NES_14_ACOEF", "NES_15_ACOEF", "without the section LENNARD_JONES_14_ACOEF"),
        ("amber", CHAMBER, "_JONES_14_BCOEF", "_JONES_15_BCOEF", "LENNARD_JONES_14_BCOEF is missing"),
        ("amber", CHAMBER, "BRADLEY_EQUIL_VALUE", "BRADLEY_VALUE", "BRADLEY_EQUIL_VALUE is missing"),
        (
            "amber",
            CHAMBER,
            "%FLAG CHARMM_NUM_IMPR_TYPES",
            "%FLAG NUM_IMPR_TYPES",
            "there is no type 1 for CHARMM_IMPROPERS",
        ),
        (
            "amber",
            CHAMBER,
            "CHARMM_CMAP_PARAMETER_01",
            "CHARMM_CMAP_PARAMETER_02",
            "CMAP_PARAMETER_01 is missing",
        ),
    ];
    for (format, text, from, to, message) in cases {
        let e = refused(format, text, from, to);
        assert!(e.message.contains(message), "{format} {from}: {}", e.message);
        let absent = message.contains("missing") || message.contains("without the section");
        assert!(e.message.contains("line ") || absent, "{}", e.message);
    }
}

/// Numbers that repeat the state, and sections that the input leaves out, may stay.
#[test]
fn what_changes_nothing_may_stay() {
    let folder = Folder::new("harmless");
    let own = folder.read("gromacs", GROMACS).unwrap();
    let same = GROMACS
        .replace("1  0.0  15.035", "1  0.0  15.035  C3  0.0  15.035")
        .replace("1  2  1\n", "1  2  1  0.154 251040.0  0.154 251040.0\n");
    let read = folder.read("gromacs", &same).unwrap();
    assert_eq!((&read.bonded.bonds, &read.masses), (&own.bonded.bonds, &own.masses));
    let wrong = GROMACS_TYPES.replace("0.375    0.8148", "0.375    0.8148  0.1");
    std::fs::write(folder.0.join("types.itp"), wrong).unwrap();
    let e = folder.read("gromacs", GROMACS).unwrap_err();
    assert!(e.message.contains("types.itp") && e.message.contains("found `0.1`"), "{}", e.message);
    std::fs::write(folder.0.join("types.itp"), GROMACS_TYPES).unwrap();
    let path = folder.0.join("file.gromacs");
    std::fs::write(&path, GROMACS.replace("[ system ]", "[ implicit_genborn_params ]\nC3 0.1\n[ system ]"))
        .unwrap();
    let (defines, ignored) = (["ETHANES=2".to_owned()], ["implicit_genborn_params".to_owned()]);
    let settings = gromacs::Settings { defines: &defines, ignored: &ignored, ..Default::default() };
    let read = gromacs::read(&path, settings).unwrap();
    assert!(read.warnings.iter().any(|w| w.contains("[ implicit_genborn_params ]")), "{:?}", read.warnings);
    let path = folder.0.join("file.amber");
    std::fs::write(&path, CHAMBER.replace("%FLAG IROTAT", "%FLAG IROTATION")).unwrap();
    let read = amber::read(&path, &["IROTATION".into()]).unwrap();
    assert!(read.warnings.iter().any(|w| w.contains("IROTATION")), "{:?}", read.warnings);
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let folder = Folder::new("damaged");
    for (format, text) in
        [("openmm", OPENMM), ("gromacs", GROMACS), ("lammps", LAMMPS), ("amber", AMBER), ("amber", CHAMBER)]
    {
        let lines: Vec<&str> = text.lines().collect();
        for k in 0..lines.len() {
            let mut without = lines.clone();
            without.remove(k);
            let _ = folder.read(format, &without.join("\n"));
            let _ = folder.read(format, &lines[..k].join("\n"));
            for word in lines[k].split_whitespace() {
                for other in ["-1", "999999999999", "\u{e9}\u{e9}\u{e9}"] {
                    let mut changed: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
                    changed[k] = changed[k].replacen(word, other, 1);
                    let _ = folder.read(format, &changed.join("\n"));
                }
            }
        }
    }
}
