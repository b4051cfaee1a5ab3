//! Force fields from the command line: energies of the program against OpenMM's, runs that restart to the bit.
mod support;

use caloron::engine::testing::reference;
use std::path::Path;
use support::{Folder, caloron, run, stderr, stdout};

const KJ_PER_MOL: f64 = 0.010_364_269_656_262_175;

fn path(name: &str) -> Option<String> {
    reference(&format!("openmm/{name}")).map(|p| p.canonicalize().unwrap().display().to_string())
}

/// The total energy of `caloron eval` in kJ/mol.
fn total(folder: &Folder, structure: &str, force_field: &str) -> f64 {
    let input = folder.write("ff.toml", &format!("force_field = {{ {force_field} }}\n"));
    let out = folder.path("out.extxyz");
    let output = caloron()
        .args(["eval", structure, "--force", "--potential"])
        .arg(&input)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let frame = caloron::io::read_all(&out).unwrap().remove(0);
    let terms: f64 = frame
        .info
        .iter()
        .filter(|(k, _)| k.starts_with("energy_"))
        .map(|(_, v)| match v {
            caloron::io::Value::Real(x) => *x,
            other => panic!("{other:?}"),
        })
        .sum();
    let energy = frame.energy.unwrap();
    assert!(
        (terms - energy).abs() < 1e-9 * (1.0 + energy.abs()),
        "the terms {terms} are not the energy {energy}"
    );
    energy / KJ_PER_MOL
}

#[test]
fn energies_of_files_of_every_program_are_those_of_openmm() {
    let folder = Folder::new("ff-eval");
    let constant = "coulomb_constant = \"14.399645478425668 eV Å\"";
    let cases: [(_, _, _, _, f64); 3] = [
        ("ala_dipeptide_vacuum.state.xml", "openmm", "ala_dipeptide_vacuum.system.xml", "", 0.479590145086),
        ("amber_ala_vacuum.inpcrd", "amber", "amber_ala_vacuum.prmtop", constant, -88.088588581),
        ("water_spce.state.xml.gz", "openmm", "water_spce.system.xml.gz", "", -15851.998524684),
    ];
    for (structure, format, file, more, expected) in cases {
        let (Some(structure), Some(file)) = (path(structure), path(file)) else { return };
        let comma = if more.is_empty() { "" } else { ", " };
        let energy = total(&folder, &structure, &format!("{format} = \"{file}\"{comma}{more}"));
        let scale = expected.abs().max(100.0);
        assert!((energy - expected).abs() < 1e-6 * scale, "{file}: {energy} instead of {expected}");
    }
    // the file has virtual sites where nothing puts them; here they are put in their places before energies are computed
    let (Some(structure), Some(system), Some(topology)) =
        (path("gromacs_benzene.state.xml"), path("gromacs_benzene.system.xml"), path("gromacs_benzene.top"))
    else {
        return;
    };
    let own = format!("gromacs = \"{topology}\", electrostatics = \"no_cutoff\", {constant}");
    let (a, b) = (
        total(&folder, &structure, &format!("openmm = \"{system}\", {constant}")),
        total(&folder, &structure, &own),
    );
    assert!((a - b).abs() < 1e-9 * a.abs(), "{a} from the system, {b} from the topology");
}

/// Flexible water with particle-mesh Ewald: constant energy, and a resumed run with the same bits.
#[test]
fn molecular_dynamics_runs_and_restarts() {
    let (Some(structure), Some(system)) =
        (path("water_tip3p_flexible.state.xml.gz"), path("water_tip3p_flexible.system.xml.gz"))
    else {
        return;
    };
    let folder = Folder::new("ff-run");
    let text = |steps: u64| {
        format!(
            "title = \"Flexible water\"\nseed = 5\n[system]\nstructure = \"{structure}\"\nforce_field = {{ openmm = \
             \"{system}\", switch = \"7.5 Å\" }}\nvelocities = {{ temperature = \"300 K\" }}\n[[stage]]\nname = \
             \"go\"\nsteps = {steps}\n[stage.nve]\ntimestep = \"0.02 fs\"\n[output]\nthermo = {{ file = \"t.csv\", every = 4 \
             }}\ncheckpoint = {{ every_steps = 10 }}\n"
        )
    };
    let input = folder.write("water.toml", &text(40));
    let (one, two) = (folder.path("one"), folder.path("two"));
    run(&input, &one, 1);
    run(&input, &two, 2);
    support::assert_same_files(&one, &two, &["t.csv"], "threads");
    assert!(conserved(&one.join("t.csv")) < 2e-4, "{}", conserved(&one.join("t.csv")));
}

/// The largest relative deviation of the conserved quantity from its start.
fn conserved(table: &Path) -> f64 {
    let text = std::fs::read_to_string(table).unwrap();
    let mut lines = text.lines();
    let column = lines.next().unwrap().split(',').position(|c| c.starts_with("conserved")).unwrap();
    let values: Vec<f64> = lines.map(|l| l.split(',').nth(column).unwrap().parse().unwrap()).collect();
    values.iter().map(|v| (v / values[0] - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = Folder::new("ff-wrong");
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/potentials/tests/data/force_fields/ethane.top");
    let xyz = folder.write("two.xyz", "2\n\nC 0 0 0\nC 1.5 0 0\n");
    let attempt = |force_field: &str| {
        let input = folder.write("ff.toml", &format!("force_field = {{ {force_field} }}\n"));
        let output = caloron().arg("eval").arg(&xyz).arg("--potential").arg(&input).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        stderr(&output)
    };
    let counts = attempt(&format!("gromacs = \"{top}\", define = [\"ETHANES=2\"]"));
    assert!(counts.contains("9 atoms, the structure 2"), "{counts}");
    let undefined = attempt(&format!("gromacs = \"{top}\""));
    assert!(undefined.contains("line ") && undefined.contains("ETHANES"), "{undefined}");
    assert!(attempt("").contains("one file"));
    assert!(attempt("openmm = \"no.xml\"").contains("no.xml"));
}
