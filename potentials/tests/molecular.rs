//! Molecular force fields: LAMMPS data files and implicit solvent against the programs they come from, parts of a force field,
//! regions that another potential describes.
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{
    Cell, Input, NeighborList, Outputs, Potential, Properties, Quantity, Species, State, System, Vec3,
};
use caloron_potentials::bonded::Bonded;
use caloron_potentials::force_field::lammps::LammpsStyles;
use caloron_potentials::force_field::{
    ElectrostaticsSpec, ForceFieldSpec, ForceGroupsSpec, KCAL_PER_MOL, KJ_PER_MOL, MolecularModel,
};
use caloron_potentials::implicit::{Obc, ObcAtom, ObcModel};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/force_fields").join(name)
}

/// The force field of `hybrid.data`, which `hybrid.golden` was computed with.
fn hybrid() -> (ForceFieldSpec, MolecularModel) {
    let styles = LammpsStyles {
        special_lj: Some([0.0, 0.0, 0.5]),
        special_coul: Some([0.0, 0.0, 0.8333]),
        mix: Some("arithmetic".into()),
        ..LammpsStyles::default()
    };
    let spec = ForceFieldSpec {
        lammps: Some(data("hybrid.data")),
        lammps_styles: Some(styles),
        electrostatics: Some(ElectrostaticsSpec::Ewald),
        cutoff: Some(Quantity::new(9.0)),
        tolerance: Some(1e-13),
        ..ForceFieldSpec::default()
    };
    let model =
        spec.read(Path::new(""), &mut vec![]).unwrap_or_else(|e| panic!("{} {:?}", e.message, e.hint));
    (spec, model)
}

fn add(potential: &mut dyn Potential, system: &System, positions: &[Vec3], cell: &Cell, out: &mut Outputs) {
    let mut list = NeighborList::new(potential.cutoff().unwrap_or(0.0), 0.0, Default::default());
    if potential.cutoff().is_some() {
        list.update(system, positions, cell);
    }
    let want = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL | Properties::EXTRAS;
    potential.compute(Input { system, positions, cell, neighbors: &list }, want, out).unwrap();
}

fn bare(atoms: usize) -> System {
    System::new(vec![Species { symbol: "X".into(), number: None, mass: 1.0 }], vec![0; atoms])
}

fn outputs(n: usize) -> Outputs {
    let mut out = Outputs::default();
    out.reset(n, Properties::ENERGY | Properties::FORCES | Properties::VIRIAL | Properties::EXTRAS);
    out
}

/// All parts of a force field together.
fn evaluate(spec: &ForceFieldSpec, model: &MolecularModel, positions: &[Vec3], cell: &Cell) -> Outputs {
    let mut out = outputs(model.len());
    for (_, mut p) in spec.potentials(model, cell).unwrap() {
        add(p.as_mut(), &bare(model.len()), positions, cell, &mut out);
    }
    out
}

fn energies(out: &Outputs) -> BTreeMap<&'static str, f64> {
    out.extras.iter().map(|e| (e.spec.name, e.values[0])).collect()
}

fn farthest(a: &[Vec3], b: &[Vec3]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

#[test]
fn hybrid_styles_of_lammps_have_its_energies_and_forces() {
    let (spec, model) = hybrid();
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    let out = evaluate(&spec, &model, &positions, &cell);
    let own = energies(&out);
    let text = std::fs::read_to_string(data("hybrid.golden")).unwrap();
    let (head, tail) = text.split_once("forces\n").unwrap();
    let golden: BTreeMap<&str, f64> = head
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once(' ').unwrap())
        .map(|(k, v)| (k, v.parse::<f64>().unwrap() * KCAL_PER_MOL))
        .collect();
    let sum = |names: &[&str]| names.iter().map(|n| own[n]).sum::<f64>();
    for (name, mine) in [
        ("ebond", sum(&["energy_bonds"])),
        ("eangle", sum(&["energy_angles", "energy_urey_bradley"])),
        ("edihed", sum(&["energy_dihedrals"])),
        ("eimp", sum(&["energy_impropers"])),
    ] {
        assert!((mine - golden[name]).abs() < 1e-10 * golden[name].abs(), "{name}: {mine} {}", golden[name]);
    }
    // LAMMPS counts scaled pairs with the others, and what lattice sums take from them with the real-space sum
    let rest = golden["evdwl"] + golden["ecoul"] + golden["elong"];
    let mine = out.energy
        - sum(&[
            "energy_bonds",
            "energy_angles",
            "energy_urey_bradley",
            "energy_dihedrals",
            "energy_impropers",
        ]);
    assert!((mine - rest).abs() < 1e-8 * golden["pe"].abs(), "{mine} {rest}");
    assert!((out.energy - golden["pe"]).abs() < 1e-8 * golden["pe"].abs(), "{} {}", out.energy, golden["pe"]);
    let forces: Vec<Vec3> = tail
        .lines()
        .map(|l| l.split(' ').map(|x| x.parse::<f64>().unwrap() * KCAL_PER_MOL).collect::<Vec<_>>())
        .map(|f| Vec3::new(f[0], f[1], f[2]))
        .collect();
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("energy {:.1e}, forces {d:.1e}", (out.energy - golden["pe"]).abs() / golden["pe"].abs());
    assert!(d < 1e-8, "{d:e}");
}

/// A CHARMM force field in AMBER's format, made by ParmEd: energies of every kind of term and forces by OpenMM
/// (`data/force_fields/chamber.py`).
#[test]
fn charmm_force_fields_in_amber_files_have_the_energies_of_openmm() {
    let text = std::fs::read_to_string(data("chamber.golden")).unwrap();
    let (head, tail) = text.split_once("positions\n").unwrap();
    let (positions, forces) = tail.split_once("forces\n").unwrap();
    let golden: BTreeMap<&str, f64> = head
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once(' ').unwrap())
        .map(|(k, v)| (k, v.parse::<f64>().unwrap() * KJ_PER_MOL))
        .collect();
    let vectors = |text: &str, unit: f64| -> Vec<Vec3> {
        let row = |l: &str| {
            let x: Vec<f64> = l.split(' ').map(|x| x.parse::<f64>().unwrap() * unit).collect();
            Vec3::new(x[0], x[1], x[2])
        };
        text.lines().map(row).collect()
    };
    let positions = vectors(positions, 1.0);
    let mut spec = ForceFieldSpec { amber: Some(data("chamber.prmtop")), ..ForceFieldSpec::default() };
    let model =
        spec.read(Path::new(""), &mut vec![]).unwrap_or_else(|e| panic!("{} {:?}", e.message, e.hint));
    // charges in units of CHARMM's constant are round numbers and add up to zero
    assert!((model.charges[0] - 0.49).abs() < 1e-15, "{}", model.charges[0]);
    assert!(model.charges.iter().sum::<f64>().abs() < 1e-13);
    assert!((model.settings.constant.unwrap() - 332.0716 * KCAL_PER_MOL).abs() < 1e-12);
    // OpenMM divides the charges of the file by those of AMBER instead and has a constant of its own
    let theirs = 138.935_457_644_381_98 * KJ_PER_MOL * 10.0;
    spec.coulomb_constant = Some(Quantity::new(theirs * 332.0716 / 18.2223f64.powi(2)));
    let out = evaluate(&spec, &model, &positions, &Cell::open());
    let own = energies(&out);
    let pairs = golden["CustomNonbondedForce"] + golden["NonbondedForce"];
    for (name, mine, theirs, limit) in [
        ("bonds", own["energy_bonds"], golden["HarmonicBondForce"], 1e-10),
        ("springs", own["energy_urey_bradley"], golden["UreyBradleyForce"], 1e-10),
        ("angles", own["energy_angles"], golden["HarmonicAngleForce"], 1e-10),
        ("dihedrals", own["energy_dihedrals"], golden["PeriodicTorsionForce"], 1e-10),
        ("impropers", own["energy_impropers"], golden["ImproperTorsionForce"], 1e-10),
        ("maps", own["energy_cmap"], golden["CMAPTorsionForce"], 1e-10),
        ("pairs", own["energy_lennard_jones"] + own["energy_coulomb"] + own["energy_pairs"], pairs, 1e-9),
    ] {
        println!("{name}: {mine} {theirs} {:.1e}", (mine - theirs).abs() / theirs.abs());
        assert!((mine - theirs).abs() < limit * theirs.abs(), "{name}: {mine} {theirs}");
    }
    let forces = vectors(forces, 0.1 * KJ_PER_MOL);
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("forces: {d:.1e}");
    assert!(d < 1e-9, "{d:e}");
}

#[test]
fn rows_of_hybrid_coefficients_need_their_style() {
    let text = std::fs::read_to_string(data("hybrid.data")).unwrap();
    let folder = std::env::temp_dir().join(format!("caloron-hybrid-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("wrong.data");
    let refuse = |from: &str, to: &str| {
        assert!(text.contains(from));
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let spec = ForceFieldSpec { lammps: Some(path.clone()), ..ForceFieldSpec::default() };
        spec.read(Path::new(""), &mut vec![]).unwrap_err().message
    };
    let message = refuse("1 harmonic 300.0 1.50", "1 300.0 1.50");
    assert!(message.contains("names its style") && message.contains("line"), "{message}");
    assert!(refuse("2 cvff 1.1", "2 umbrella 1.1").contains("umbrella"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn generalised_born_energies_and_forces_are_those_of_openmm() {
    // methanol by OpenMM 8.6.1, Reference platform, GBSAOBCForce with its surface term
    let positions = [
        [0.061228, -0.07667, 0.012543],
        [1.412967, -0.013579, -0.006468],
        [1.6894, 0.883042, 0.024044],
        [-0.26031, 1.036774, 0.009421],
        [-0.378439, -0.520041, 0.868345],
        [-0.361724, -0.515542, -0.887157],
    ]
    .map(Vec3::from);
    let golden = [
        [-90.04220310130282, 44.04157863675454, 2.5399994056259847],
        [131.65646691212683, -620.2597052476926, -23.874180109843618],
        [45.29843036311167, 551.4837567051153, 19.93455716959332],
        [-25.931114456804956, 9.054748631743085, 0.5016753407174059],
        [-30.373887635889506, 7.855396001146626, 0.08441069824951253],
        [-30.607692081241183, 7.824225272932978, 0.8135374956574064],
    ]
    .map(|f| Vec3::from(f) * (0.1 * KJ_PER_MOL));
    let numbers = [
        (0.145, 1.7, 0.72),
        (-0.683, 1.5, 0.85),
        (0.418, 1.05, 0.85),
        (0.04, 1.2, 0.85),
        (0.04, 1.2, 0.85),
        (0.04, 1.2, 0.85),
    ];
    let atoms = numbers.map(|(charge, radius, scale)| ObcAtom { charge, radius, scale }).to_vec();
    let model = ObcModel {
        atoms,
        solute: 1.0,
        solvent: 78.5,
        surface: 0.01 * 2.25936 * KJ_PER_MOL,
        constant: caloron_engine::units::COULOMB,
    };
    let mut out = outputs(6);
    add(&mut Obc::new(model).unwrap(), &bare(6), &positions, &Cell::open(), &mut out);
    let energy = -26.51370919631083 * KJ_PER_MOL;
    println!("energy {:.1e}, forces {:.1e}", (out.energy - energy).abs(), farthest(&out.forces, &golden));
    assert!((out.energy - energy).abs() < 1e-6 * energy.abs(), "{} {energy}", out.energy);
    let largest = golden.iter().map(|f| f.norm()).fold(0.0, f64::max);
    assert!(farthest(&out.forces, &golden) < 1e-6 * largest);
}

#[test]
fn the_parts_of_a_force_field_add_up_to_it() {
    let (whole, model) = hybrid();
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    for electrostatics in [ElectrostaticsSpec::Ewald, ElectrostaticsSpec::Pme, ElectrostaticsSpec::LjPme] {
        let whole =
            ForceFieldSpec { electrostatics: Some(electrostatics), tolerance: Some(1e-6), ..whole.clone() };
        let groups = ForceGroupsSpec { bonded: 2, non_bonded: 1, reciprocal: Some(0) };
        let parts = ForceFieldSpec { force_groups: Some(groups), ..whole.clone() };
        let names: Vec<(&str, u8)> = parts
            .potentials(&model, &cell)
            .unwrap()
            .iter()
            .map(|(n, _)| (*n, parts.force_group(n)))
            .collect();
        assert_eq!(names, [("bonded", 2), ("non_bonded", 1), ("reciprocal", 0)]);
        let (a, b) =
            (evaluate(&whole, &model, &positions, &cell), evaluate(&parts, &model, &positions, &cell));
        assert!((a.energy - b.energy).abs() < 1e-12 * a.energy.abs());
        assert!(farthest(&a.forces, &b.forces) < 1e-12);
        assert!((a.virial - b.virial).norm() < 1e-11);
        assert_eq!(energies(&a).keys().collect::<Vec<_>>(), energies(&b).keys().collect::<Vec<_>>());
        // the reciprocal part feels a move that no neighbour feels, and needs no list
        let reciprocal = parts.potentials(&model, &cell).unwrap().pop().unwrap().1;
        assert!(reciprocal.cutoff().is_none() && reciprocal.name() == "reciprocal");
    }
    let groups = ForceGroupsSpec { reciprocal: Some(1), ..ForceGroupsSpec::default() };
    let cut =
        ForceFieldSpec { electrostatics: Some(ElectrostaticsSpec::Cut), force_groups: Some(groups), ..whole };
    assert!(cut.potentials(&model, &cell).err().unwrap().message.contains("no reciprocal sum"));
}

#[test]
fn the_parts_of_a_force_field_conform() {
    let (whole, model) = hybrid();
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    let groups = ForceGroupsSpec { reciprocal: Some(1), ..ForceGroupsSpec::default() };
    let spec = ForceFieldSpec {
        force_groups: Some(groups),
        switch: Some(Quantity::new(7.5)),
        tolerance: Some(1e-8),
        ..whole
    };
    let state = State::at_rest(positions, cell.clone());
    let checks = [&Check::GATE[..], &[Check::Wants, Check::Threads]].concat();
    for (name, mut p) in spec.potentials(&model, &cell).unwrap() {
        let options = Options { checks: checks.clone(), difference_tolerance: 2e-5, ..Options::default() };
        let report = check_potential(p.as_mut(), &bare(model.len()), &state, &options).unwrap();
        assert!(report.passed(), "{name}\n{report}");
    }
}

#[test]
fn a_replaced_region_loses_its_inner_interactions_and_no_others() {
    let (mut spec, model) = hybrid();
    spec.electrostatics = Some(ElectrostaticsSpec::NoCutoff);
    let mut positions = model.positions.clone().unwrap();
    let topology = caloron_engine::Topology::new(model.len(), model.topology.clone()).unwrap();
    topology.make_whole(&mut positions, model.cell.as_ref().unwrap()).unwrap();
    let cell = Cell::open();
    let region: Vec<u32> = (12..24).collect();
    let all = evaluate(&spec, &model, &positions, &cell);
    let rest = evaluate(&spec, &model.without_inner(&region).unwrap(), &positions, &cell);
    // the inner energy from its definition
    let inside = |atoms: &[u32]| atoms.iter().all(|a| region.contains(a));
    let mut inner = outputs(model.len());
    let mut terms = model.bonded.clone();
    terms.bonds.retain(|t| inside(&t.0));
    terms.urey_bradley.retain(|t| inside(&t.0));
    terms.angles.retain(|t| inside(&t.0));
    terms.dihedrals.retain(|t| inside(&t.0));
    terms.impropers.retain(|t| inside(&t.0));
    add(&mut Bonded::new(model.len(), terms).unwrap(), &bare(model.len()), &positions, &cell, &mut inner);
    let constant = model.settings.constant.unwrap();
    for &j in &region {
        for &i in region.iter().filter(|i| **i < j) {
            let own = model.exceptions.iter().find(|e| e.atoms == [i, j] || e.atoms == [j, i]);
            let (a, b) = (i as usize, j as usize);
            let [c12, c6] = model.lennard_jones.get(model.types[a] as usize, model.types[b] as usize);
            let (q, c12, c6) =
                own.map_or((model.charges[a] * model.charges[b], c12, c6), |e| (e.charges, e.c12, e.c6));
            let r = (positions[a] - positions[b]).norm();
            inner.energy += constant * q / r + c12 * r.powi(-12) - c6 * r.powi(-6);
        }
    }
    assert!(
        (all.energy - rest.energy - inner.energy).abs() < 1e-10,
        "{}",
        all.energy - rest.energy - inner.energy
    );
    for i in 0..model.len() {
        let d = (all.forces[i] - rest.forces[i]).norm();
        assert_eq!(d > 1e-9, region.contains(&(i as u32)), "atom {i} {d}");
    }
    let message = model.without_inner(&[12, 13]).unwrap_err().message;
    assert!(message.contains("cuts a molecule"), "{message}");
}
