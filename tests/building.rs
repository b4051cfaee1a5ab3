//! Structures that are built: written, run with a force field, and with a learned potential for a part.
mod support;

use caloron::engine::Properties;
use caloron::input::{InputFile, Source};
use std::path::{Path, PathBuf};
use support::{Folder, caloron, run, stderr, stdout};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Energy, sum of the charges and number of atoms of an input in the folder of the examples.
fn plan(text: &str) -> (f64, f64, usize) {
    let file = InputFile::parse(Source::new("test.toml", text), examples()).unwrap_or_else(|e| panic!("{e}"));
    let mut plan = file.build().unwrap_or_else(|e| panic!("{e}"));
    let want = Properties::ENERGY;
    let energy = plan.evaluator.ensure(&plan.system, &plan.state, want, want).unwrap().energy;
    (energy, plan.system.charges().iter().sum(), plan.system.len())
}

const STAGE: &str = "[[stage]]\nname = \"go\"\nsteps = 1\n[stage.nve]\ntimestep = \"1 fs\"\n";

fn solvated(more: &str, force_field: &str) -> String {
    format!(
        "seed = 3\n[system]\nstructure = \"acetate.xyz\"\nforce_field = {{ gromacs = \"salt_water.top\", electrostatics = \
         \"pme\", cutoff = \"8 Å\"{force_field} }}\ngroups = {{ acetate = {{ range = [0, 6] }} }}\n{more}\n[system.solvate]\nwater = \
         \"spce\"\nname = \"SOL\"\npadding = \"7 Å\"\nions = {{ cation = \"NA\", anion = \"CL\", concentration = \"0.4 mol/L\" \
         }}\n"
    )
}

#[test]
fn a_solvated_ion_is_written_and_neutral() {
    let folder = Folder::new("build");
    let build = |name: &str, seed: &str| {
        let text = std::fs::read_to_string(examples().join("salt_water.toml")).unwrap();
        let text = text.replace("seed = 11", &format!("seed = {seed}"));
        let text = text.replace("\"acetate.xyz\"", &format!("{:?}", examples().join("acetate.xyz")));
        let text = text.replace("\"salt_water.top\"", &format!("{:?}", examples().join("salt_water.top")));
        let input = folder.write("salt.toml", &text);
        let out = folder.path(name);
        let output = caloron().arg("build").arg(&input).arg("-o").arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        (caloron::io::read_all(&out).unwrap().remove(0), stdout(&output))
    };
    let (frame, said) = build("a.extxyz", "11");
    let count = |s: &str| frame.symbols.iter().filter(|x| *x == s).count();
    let (sodium, chloride) = (count("Na"), count("Cl"));
    assert_eq!(sodium, chloride + 1);
    assert!(chloride >= 1);
    let waters = (frame.len() - 7 - sodium - chloride) / 3;
    assert!(said.contains(&format!("SOL      {waters}")), "{said}");
    let charge: f64 = frame.charges.as_ref().unwrap().iter().sum();
    assert!(charge.abs() < 1e-9, "{charge}");
    // the same seed makes the same atoms, another one other ions
    assert_eq!(build("b.extxyz", "11").0.positions, frame.positions);
    assert_ne!(build("c.extxyz", "12").0.positions, frame.positions);
    // names of the topology come with formats that hold them
    let (gro, _) = build("d.gro", "11");
    assert_eq!(gro.arrays.get("residuenames").unwrap().as_texts().unwrap()[7], "SOL");
}

#[test]
fn energies_of_built_systems_are_finite_and_groups_add_up() {
    let (whole, charge, n) = plan(&format!("{}{STAGE}", solvated("", "")));
    assert!(charge.abs() < 1e-9 && n > 300, "{charge} {n}");
    assert!(whole.is_finite());
    let groups = ", force_groups = { bonded = 2, non_bonded = 1, reciprocal = 0 }";
    let stage = format!("{STAGE}respa = {{ inner = [2, 2] }}\n");
    let (parts, ..) = plan(&format!("{}{stage}", solvated("", groups)));
    assert!((whole - parts).abs() < 1e-9 * whole.abs(), "{whole} {parts}");
    // packing around the ion, with a topology that lists the ion alone
    let packed = "pack = { molecules = [{ water = \"spce\", count = 30, name = \"SOL\" }] }\ncell = { lengths = [\"20 Å\", \"20 Å\", \
                  \"20 Å\"] }";
    let text = solvated(packed, "").split("[system.solvate]").next().unwrap().to_owned();
    let (energy, _, n) = plan(&format!("{text}{STAGE}"));
    assert!(energy.is_finite() && n == 97);
}

#[test]
fn a_learned_potential_replaces_the_inner_interactions_of_a_molecule() {
    let learned = "[[potential]]\ngroups = [\"acetate\"]\n[potential.chgnet]\n";
    let (classical, ..) = plan(&format!("{}{STAGE}", solvated("", ", replaced = \"acetate\"")));
    let (embedded, ..) = plan(&format!("{}{learned}{STAGE}", solvated("", ", replaced = \"acetate\"")));
    // the ion alone, far from its images
    let alone =
        "[system]\nstructure = \"acetate.xyz\"\ncell = { lengths = [\"40 Å\", \"40 Å\", \"40 Å\"] }\n";
    let (isolated, ..) = plan(&format!("{alone}[[potential]]\n[potential.chgnet]\n{STAGE}"));
    assert!((embedded - classical - isolated).abs() < 1e-4, "{embedded} {classical} {isolated}");
}

/// The methyl group of acetate is learned, with a hydrogen atom in the place of its carboxyl group.
#[test]
fn a_learned_potential_for_a_part_of_a_molecule_closes_the_cut_bond() {
    let input = |groups: &str, field: &str, more: &str| {
        format!(
            "[system]\nstructure = \"acetate.xyz\"\nforce_field = {{ gromacs = \"salt_water.top\", electrostatics = \"cut\", cutoff = \"15 \
             Å\"{field} }}\ncell = {{ lengths = [\"40 Å\", \"40 Å\", \"40 Å\"] }}\ngroups = {{ methyl = {groups} }}\n{more}{STAGE}"
        )
    };
    let methyl = "{ indices = [0, 4, 5, 6] }";
    let learned = "[[potential]]\ngroups = [\"methyl\"]\nlink_ratio = 0.72\n[potential.chgnet]\n";
    let (embedded, ..) = plan(&input(methyl, ", replaced = \"methyl\"", learned));
    let (whole, ..) = plan(&input(methyl, "", ""));
    // methane on its own, from the structure
    let frame = caloron::io::read_all(examples().join("acetate.xyz")).unwrap().remove(0);
    let (c, x) = (frame.positions[0], frame.positions[1]);
    let mut text = "5\n\n".to_owned();
    for (symbol, r) in [
        ("C", c),
        ("H", frame.positions[4]),
        ("H", frame.positions[5]),
        ("H", frame.positions[6]),
        ("H", c + 0.72 * (x - c)),
    ] {
        text += &format!("{symbol} {:.15} {:.15} {:.15}\n", r.x, r.y, r.z);
    }
    let folder = Folder::new("build-link");
    let methane = folder.write("methane.xyz", &text);
    let (alone, ..) = plan(&format!(
        "[system]\nstructure = {methane:?}\ncell = {{ lengths = [\"40 Å\", \"40 Å\", \"40 Å\"] }}\n[[potential]]\n[potential.chgnet]\n{STAGE}"
    ));
    // what the force field has between atoms of the group: bonds and angles, as its pairs are all excluded
    let (kj, rad) = (0.010_364_269_656_262_175, std::f64::consts::PI / 180.0);
    let h = [4, 5, 6].map(|k| frame.positions[k] - c);
    let bonds: f64 = h.iter().map(|r| 0.5 * 284_512.0 * (0.1 * r.norm() - 0.109).powi(2)).sum();
    let angle = |a: usize, b: usize| (h[a].dot(&h[b]) / (h[a].norm() * h[b].norm())).acos();
    let angles: f64 = [(0, 1), (0, 2), (1, 2)]
        .iter()
        .map(|(a, b)| 0.5 * 276.144 * (angle(*a, *b) - 107.8 * rad).powi(2))
        .sum();
    let expected = whole - kj * (bonds + angles) + alone;
    // the learned model is in single precision
    assert!((embedded - expected).abs() < 1e-4, "{embedded} {expected}");
}

#[test]
fn a_built_system_runs_with_several_time_steps_and_keeps_its_energy() {
    let folder = Folder::new("build-respa");
    let absolute = |text: &str| {
        text.replace("\"acetate.xyz\"", &format!("{:?}", examples().join("acetate.xyz")))
            .replace("\"salt_water.top\"", &format!("{:?}", examples().join("salt_water.top")))
    };
    let groups = ", force_groups = { bonded = 1, non_bonded = 1, reciprocal = 0 }, switch = \"7 Å\"";
    let text = format!(
        "{}[[stage]]\nname = \"minimise\"\n[stage.minimize]\nfmax = \"0.3 eV/Å\"\nsteps = 100\n[[stage]]\nname = \
         \"warm\"\nsteps = 60\n[stage.nvt]\ntemperature = \"300 K\"\ntimestep = \"1 fs\"\nthermostat = {{ langevin = {{ friction = \"10 \
         1/ps\" }} }}\nrespa = {{ inner = [1] }}\n[[stage]]\nname = \"run\"\nsteps = 50\n[stage.nve]\ntimestep = \"2 fs\"\nrespa = {{ \
         inner = [2] }}\n[output]\nthermo = {{ file = \"t.csv\", every = 5 }}\n",
        absolute(&solvated("", groups))
    );
    let input = folder.write("respa.toml", &text);
    let out = folder.path("out");
    run(&input, &out, 1);
    let table = std::fs::read_to_string(out.join("t.csv")).unwrap();
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|c| c.starts_with(name)).unwrap();
    let rows: Vec<Vec<f64>> =
        lines.map(|l| l.split(',').map(|x| x.parse().unwrap_or(f64::NAN)).collect()).collect();
    let last = &rows[rows.len() - 10..];
    let of = |name: &str| last.iter().map(|r| r[at(name)]).collect::<Vec<f64>>();
    let spread = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt()
    };
    // the total energy wobbles a hundred times less than the kinetic energy it exchanges, and no more than a part of it drifts
    let (total, kinetic) = (of("total_energy"), of("kinetic_energy"));
    assert!(spread(&total) < 0.03 * spread(&kinetic).max(0.05 * kinetic[0]), "{total:?} {kinetic:?}");
    assert!((total[9] - total[0]).abs() < 0.002 * kinetic[0], "{total:?}");
}

/// An AMBER system in water of its own kind, with ions of GROMACS topologies, runs and keeps its energy.
#[test]
fn systems_of_other_formats_are_solvated_with_molecules_of_other_files() {
    let folder = Folder::new("build-amber");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("potentials/tests/data/force_fields");
    let water = folder.write("water.xyz", "4\n\nO 0 0 0\nH 0.9572 0 0\nH -0.24 0.9266 0\nX 0 0 0\n");
    let ion = |name: &str, element: &str, rest: &str| {
        let top = format!(
            "[ defaults ]\n1 2 yes 0.5 0.8333\n[ atomtypes ]\n{element} {rest}\n[ moleculetype ]\n{name} 1\n[ atoms ]\n1 {element} 1 \
             {name} {name} 1\n[ system ]\nion\n[ molecules ]\n{name} 1\n"
        );
        folder.write(&format!("{name}.top"), &top)
    };
    let (sodium, chloride) =
        (ion("NA", "Na", "11 22.99 1.0 A 0.24 0.36"), ion("CL", "Cl", "17 35.45 -1.0 A 0.44 0.42"));
    let text = |name: &str, molecules: &str| {
        format!(
            "seed = 4\n[system]\nstructure = {water:?}\n[system.force_field]\namber = {:?}\nelectrostatics = \"pme\"\ncutoff = \"6 \
             Å\"\nswitch = \"5 Å\"\n[system.force_field.molecules]\nNA = {{ gromacs = {sodium:?} }}\nCL = {{ gromacs = {chloride:?} \
             }}\n{molecules}\n[system.constraints]\nwater = \"rigid\"\n[system.solvate]\nwater = \"tip4p\"\nname = \"{name}\"\npadding = \"8 Å\"\nions = {{ cation = \"NA\", anion = \
             \"CL\", concentration = \"0.6 mol/L\" }}\n",
            data.join("water.prmtop")
        )
    };
    let (energy, charge, n) = plan(&format!("{}{STAGE}", text("WAT", "")));
    assert!(energy.is_finite() && charge.abs() < 1e-6 && n > 300, "{energy} {charge} {n}");
    // the same molecule by an atom of it, and from a file of its own
    let own = format!("SOL = {{ amber = {:?} }}", data.join("water.prmtop"));
    for molecules in ["SOL = { like_atom = 1 }", own.as_str()] {
        let (again, ..) = plan(&format!("{}{STAGE}", text("SOL", molecules)));
        assert!((again - energy).abs() < 1e-9 * energy.abs(), "{molecules}: {again} {energy}");
    }
    let stages = "[[stage]]\nname = \"minimise\"\n[stage.minimize]\nfmax = \"1 eV/Å\"\nsteps = 60\n[[stage]]\nname = \"go\"\nsteps = \
                  20\n[stage.nvt]\ntemperature = \"300 K\"\ntimestep = \"1 fs\"\nthermostat = { langevin = { friction = \"10 1/ps\" } }\n";
    let input = folder.write("run.toml", &format!("{}{stages}", text("WAT", "")));
    run(&input, &folder.path("out"), 1);
    let unknown = folder.write("unknown.toml", &format!("{}{stages}", text("TIP", "")));
    let output = caloron().arg("build").arg(&unknown).arg("-o").arg(folder.path("x.gro")).output().unwrap();
    assert!(stderr(&output).contains("does not know the molecule `TIP`"), "{}", stderr(&output));
}
