//! Molecular force fields: LAMMPS data files and implicit solvent against the programs they come from, parts of a force field,
//! regions that another potential describes.
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{
    Cell, Input, NeighborList, Outputs, Potential, Properties, Quantity, Species, State, System, Vec3,
};
use caloron_potentials::bonded::Bonded;
use caloron_potentials::force_field::lammps::LammpsStyles;
use caloron_potentials::force_field::{
    Composition, ElectrostaticsSpec, ForceFieldSpec, ForceGroupsSpec, KCAL_PER_MOL, KJ_PER_MOL,
    MolecularModel, MoleculeFileSpec,
};
use caloron_potentials::implicit::{Obc, ObcAtom, ObcModel};
use caloron_potentials::pair::{PairStyles, Truncation};
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

/// Energies and forces of a golden file of LAMMPS, in eV and eV/Å.
fn golden_of(name: &str) -> (BTreeMap<String, f64>, Vec<Vec3>) {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let (head, tail) = text.split_once("forces\n").unwrap();
    let energies = head
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once(' ').unwrap())
        .map(|(k, v)| (k.to_owned(), v.parse::<f64>().unwrap() * KCAL_PER_MOL))
        .collect();
    let forces = tail
        .lines()
        .map(|l| l.split(' ').map(|x| x.parse::<f64>().unwrap() * KCAL_PER_MOL).collect::<Vec<_>>())
        .map(|f| Vec3::new(f[0], f[1], f[2]))
        .collect();
    (energies, forces)
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
    let (golden, forces) = golden_of("hybrid.golden");
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
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("energy {:.1e}, forces {d:.1e}", (out.energy - golden["pe"]).abs() / golden["pe"].abs());
    assert!(d < 1e-8, "{d:e}");
}

/// The force field of a data file in `data/force_fields` with these styles.
fn styled(file: &str, styles: LammpsStyles) -> (ForceFieldSpec, MolecularModel) {
    let spec =
        ForceFieldSpec { lammps: Some(data(file)), lammps_styles: Some(styles), ..ForceFieldSpec::default() };
    let model =
        spec.read(Path::new(""), &mut vec![]).unwrap_or_else(|e| panic!("{} {:?}", e.message, e.hint));
    (spec, model)
}

/// The style line of `pair_styles.data`, as in the input script of `data/force_fields/pair_styles.py`.
const STYLE_LINE: &str = "hybrid/overlay lj/cut 8.0 born 7.5 mie/cut 7.0 buck 8.5 morse 7.0 coul/cut 8.0";

fn several_pair_styles() -> LammpsStyles {
    LammpsStyles {
        pair: Some(STYLE_LINE.into()),
        pair_coeff: vec!["* * coul/cut".into()],
        special_lj: Some([0.0, 0.2, 0.5]),
        special_coul: Some([0.0, 0.0, 0.8333]),
        ..LammpsStyles::default()
    }
}

#[test]
fn several_pair_styles_of_lammps_have_its_energies_and_forces() {
    let (spec, model) = styled("pair_styles.data", several_pair_styles());
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    let out = evaluate(&spec, &model, &positions, &cell);
    let own = energies(&out);
    let (golden, forces) = golden_of("pair_styles.golden");
    let pairs = ["energy_pair_styles", "energy_lennard_jones", "energy_coulomb", "energy_pairs"];
    let mine: f64 = pairs.iter().map(|n| own[n]).sum();
    let theirs = golden["evdwl"] + golden["ecoul"];
    println!("pairs {mine} {theirs} {:.1e}", (mine / theirs - 1.0).abs());
    assert!((mine / theirs - 1.0).abs() < 1e-9, "{mine} {theirs}");
    assert!((out.energy / golden["pe"] - 1.0).abs() < 1e-9, "{} {}", out.energy, golden["pe"]);
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("forces {d:.1e}");
    assert!(d < 1e-9, "{d:e}");
    // all of it as the conformance suite sees it; truncated interactions have no pressure from strain at the cutoff
    let state = State::at_rest(positions, cell.clone());
    let checks = [Check::Translation, Check::Wants, Check::Threads].to_vec();
    for (name, mut p) in spec.potentials(&model, &cell).unwrap() {
        let options = Options { checks: checks.clone(), ..Options::default() };
        let report = check_potential(p.as_mut(), &bare(model.len()), &state, &options).unwrap();
        assert!(report.passed(), "{name}\n{report}");
    }
}

/// CHARMM's switching, 1-4 pairs with numbers of their own and weights of dihedrals. LAMMPS tabulates the real-space sum of the charges.
#[test]
fn charmm_styles_of_lammps_have_its_energies_and_forces() {
    let styles =
        LammpsStyles { pair: Some("lj/charmm/coul/long 6.0 8.0 9.0".into()), ..LammpsStyles::default() };
    let (mut spec, mut model) = styled("charmm.data", styles);
    (spec.electrostatics, spec.tolerance) = (Some(ElectrostaticsSpec::Ewald), Some(1e-13));
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    assert_eq!(model.settings.cutoff, Some(9.0));
    let out = evaluate(&spec, &model, &positions, &cell);
    let (golden, forces) = golden_of("charmm.golden");
    println!("energy {:.1e}", (out.energy / golden["pe"] - 1.0).abs());
    assert!((out.energy / golden["pe"] - 1.0).abs() < 1e-8, "{} {}", out.energy, golden["pe"]);
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("forces {d:.1e}");
    assert!(d < 1e-8, "{d:e}");
    // without charges what remains is exact
    model.charges.iter_mut().for_each(|q| *q = 0.0);
    model.exceptions.iter_mut().for_each(|e| e.charges = 0.0);
    let own = evaluate(&spec, &model, &positions, &cell);
    let own = energies(&own);
    let mine = own["energy_pair_styles"] + own["energy_pairs"];
    println!("van der Waals {:.1e}", (mine / golden["evdwl"] - 1.0).abs());
    assert!((mine / golden["evdwl"] - 1.0).abs() < 1e-9, "{mine} {}", golden["evdwl"]);
}

/// Each form alone, smoothly cut, passes the suite with its excluded and its scaled pairs.
#[test]
fn typed_pairs_conform() {
    let (_, model) = styled("pair_styles.data", several_pair_styles());
    let (positions, cell) = (model.positions.clone().unwrap(), model.cell.clone().unwrap());
    let excluded: Vec<[u32; 2]> = model.exceptions.iter().map(|e| e.atoms).collect();
    let mut styles = model.pair_styles.clone();
    assert_eq!(styles.tables.len(), 5);
    for table in &mut styles.tables {
        table.truncation = Truncation::ForceShifted;
    }
    let mut all = PairStyles::new(&model.types, &styles, &excluded, None).unwrap();
    let state = State::at_rest(positions, cell);
    let checks = [&Check::GATE[..], &[Check::Wants, Check::Threads]].concat();
    let options = Options { checks, difference_tolerance: 2e-5, ..Options::default() };
    let report = check_potential(&mut all, &bare(model.len()), &state, &options).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn pair_styles_that_do_not_fit_are_named() {
    let read = |file: &str, change: &dyn Fn(&mut LammpsStyles)| {
        let mut styles = several_pair_styles();
        change(&mut styles);
        let spec = ForceFieldSpec {
            lammps: Some(data(file)),
            lammps_styles: Some(styles),
            ..ForceFieldSpec::default()
        };
        spec.read(Path::new(""), &mut vec![]).map_err(|e| format!("{} {}", e.key, e.message))
    };
    let refuse = |change: &dyn Fn(&mut LammpsStyles), expected: &str| {
        let message = read("pair_styles.data", change).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    refuse(&|s| s.pair = Some(STYLE_LINE.replace("morse", "eam")), "`eam`");
    refuse(
        &|s| s.pair = Some(STYLE_LINE.replace("morse 7.0", "")),
        "`morse` is not among those of the style line",
    );
    refuse(&|s| s.pair = Some("lj/cut 8.0".into()), "found `lj/cut`");
    refuse(&|s| s.pair = Some(STYLE_LINE.replace("8.5", "-8.5")), "must be positive");
    refuse(&|s| s.pair_coeff.clear(), "interact through 0 pair styles");
    refuse(&|s| s.pair_coeff = vec!["1 1 coul/cut".into()], "interact through 0 pair styles");
    refuse(&|s| s.pair_coeff = vec!["* 4 coul/cut".into()], "pair_coeff[0] expected types from 1 to 3");
    refuse(&|s| s.pair_coeff = vec!["1 1 buck 1.0 0.3".into()], "buck takes 3 numbers");
    refuse(&|s| s.pair_coeff = vec!["1 1 buck 1.0 -0.3 0.0".into()], "range of buck cannot be -0.3");
    refuse(&|s| s.pair = Some(format!("{STYLE_LINE} coul/long 9.0")), "treat charges differently");
    refuse(&|s| s.pair = Some(format!("{STYLE_LINE} buck 7.0")), "expected a number from 1 to 2 after it");
    // the style line may stand in the file alone; `hybrid` takes the last line of a pair, `none` stands for nothing
    let none = read("pair_styles.data", &|s| {
        s.pair = Some(STYLE_LINE.replace("hybrid/overlay", "hybrid").replace("coul/cut 8.0", ""));
        s.pair_coeff = vec!["1 2* none".into()];
    })
    .unwrap();
    assert_eq!(none.pair_styles.tables.len(), 3);
    // without charges in the style the charges of the atoms do not act
    assert!(none.charges.iter().all(|q| *q == 0.0));
    let weights = read("charmm.data", &|s| {
        (s.pair, s.mix) = (Some("lj/cut".into()), None);
        s.pair_coeff = vec!["3 3 0.03 2.4".into()];
    })
    .unwrap_err();
    assert!(weights.contains("lj/cut takes 2 numbers"), "{weights}");
}

/// Energies by kind of term, eV, positions, Å, and forces, eV/Å, that OpenMM gave.
struct Golden {
    energies: BTreeMap<String, f64>,
    positions: Vec<Vec3>,
    forces: Vec<Vec3>,
}

fn golden(name: &str) -> Golden {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let (head, tail) = text.split_once("positions\n").unwrap();
    let (positions, forces) = tail.split_once("forces\n").unwrap();
    let energies = head
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once(' ').unwrap())
        .map(|(k, v)| (k.to_owned(), v.parse::<f64>().unwrap() * KJ_PER_MOL))
        .collect();
    let vectors = |text: &str, unit: f64| -> Vec<Vec3> {
        let row = |l: &str| {
            let x: Vec<f64> = l.split(' ').map(|x| x.parse::<f64>().unwrap() * unit).collect();
            Vec3::new(x[0], x[1], x[2])
        };
        text.lines().map(row).collect()
    };
    Golden { energies, positions: vectors(positions, 1.0), forces: vectors(forces, 0.1 * KJ_PER_MOL) }
}

/// What espaloma deploys is an OpenMM system in which every term has numbers of its own and torsions have six periods; its numbers and
/// those of OpenMM come from `data/force_fields/espaloma.py`.
#[test]
fn force_fields_of_the_kind_that_espaloma_deploys_have_the_energies_of_openmm() {
    let Golden { energies: golden, positions, forces } = golden("espaloma.golden");
    let spec = ForceFieldSpec { openmm: Some(data("espaloma.system.xml")), ..ForceFieldSpec::default() };
    let mut notes = vec![];
    let model = spec.read(Path::new(""), &mut notes).unwrap_or_else(|e| panic!("{} {:?}", e.message, e.hint));
    let out = evaluate(&spec, &model, &positions, &Cell::open());
    let own = energies(&out);
    let pairs = own["energy_lennard_jones"] + own["energy_coulomb"] + own["energy_pairs"];
    for (mine, name) in [
        (own["energy_bonds"], "HarmonicBondForce"),
        (own["energy_angles"], "HarmonicAngleForce"),
        (own["energy_dihedrals"], "PeriodicTorsionForce"),
        (pairs, "NonbondedForce"),
    ] {
        let theirs = golden[name];
        println!("{name}: {mine} {theirs} {:.1e}", (mine - theirs).abs() / theirs.abs());
        assert!((mine - theirs).abs() < 1e-10 * theirs.abs(), "{name}: {mine} {theirs}");
    }
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let d = farthest(&out.forces, &forces) / largest;
    println!("forces: {d:.1e}");
    assert!(d < 1e-10, "{d:e}");
}

/// A CHARMM force field in AMBER's format, made by ParmEd: energies of every kind of term and forces by OpenMM
/// (`data/force_fields/chamber.py`).
#[test]
fn charmm_force_fields_in_amber_files_have_the_energies_of_openmm() {
    let Golden { energies: golden, positions, forces } = golden("chamber.golden");
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
    let rest = evaluate(&spec, &model.without_inner(&region, false).unwrap(), &positions, &cell);
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
    let message = model.without_inner(&[12, 13], false).unwrap_err().message;
    assert!(message.contains("cuts a molecule"), "{message}");
}

/// Systems put together of molecules are those that list them whole.
#[test]
fn added_molecules_are_those_of_a_file_that_lists_them() {
    let water = MoleculeFileSpec { amber: Some(data("water.prmtop")), ..MoleculeFileSpec::default() };
    let mut spec = ForceFieldSpec {
        amber: Some(data("water.prmtop")),
        electrostatics: Some(ElectrostaticsSpec::Ewald),
        cutoff: Some(Quantity::new(6.0)),
        ..ForceFieldSpec::default()
    };
    spec.molecules.insert("other".into(), water);
    spec.molecules.insert("like".into(), MoleculeFileSpec { like_atom: Some(2), ..Default::default() });
    let read = |spec: &ForceFieldSpec, own: usize, added: &[(&str, usize)]| {
        let added = added.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
        spec.read_composed(Path::new(""), &mut vec![], &Composition { own, added })
            .map_err(|e| format!("{} {}", e.key, e.message))
    };
    let whole = spec.read(Path::new(""), &mut vec![]).unwrap().repeated(3);
    assert_eq!(whole.len(), 12);
    // three waters in a box, their sites in place
    let one = [[0.0, 0.0, 0.0], [0.9572, 0.0, 0.0], [-0.24, 0.9266, 0.0]].map(Vec3::from);
    let mut positions = Vec::new();
    for shift in [Vec3::new(1.0, 1.0, 1.0), Vec3::new(4.5, 2.0, 3.0), Vec3::new(2.0, 5.5, 6.0)] {
        positions.extend(one.iter().map(|r| r + shift));
        positions.push(shift);
    }
    let cell = Cell::from_lengths_angles([13.0; 3], [90.0; 3]).unwrap();
    caloron_engine::virtual_sites::place(&whole.topology.virtual_sites, &mut positions);
    let expected = evaluate(&spec, &whole, &positions, &cell);
    assert!(expected.energy.abs() > 1e-3);
    for (own, added) in [
        (1, vec![("WAT", 2)]),
        (1, vec![("other", 2)]),
        (2, vec![("like", 1)]),
        (0, vec![("other", 1), ("WAT", 2)]),
    ] {
        let model = read(&spec, own, &added).unwrap();
        assert_eq!(model.topology.bonds, whole.topology.bonds);
        assert_eq!(model.topology.virtual_sites, whole.topology.virtual_sites);
        let out = evaluate(&spec, &model, &positions, &cell);
        assert!((out.energy - expected.energy).abs() < 1e-12 * expected.energy.abs(), "{added:?}");
        assert!(farthest(&out.forces, &expected.forces) < 1e-12);
    }
    // names and residues of what has none
    let model = read(&spec, 1, &[("WAT", 1)]).unwrap();
    let name = |k: usize| &model.topology.residues[model.topology.residue_of[k] as usize].name;
    assert_eq!((name(0).as_str(), name(7).as_str()), ("WAT", "WAT"));
    assert!(read(&spec, 1, &[("SOL", 1)]).unwrap_err().contains("does not know the molecule `SOL`"));
    // files that mix differently do not mix
    let chain = MoleculeFileSpec { lammps: Some(data("chain.data")), ..MoleculeFileSpec::default() };
    spec.molecules.insert("chain".into(), chain.clone());
    let message = read(&spec, 1, &[("chain", 1)]).unwrap_err();
    assert!(message.contains("molecules.chain") && message.contains("another rule (geometric)"), "{message}");
    let styles = LammpsStyles { mix: Some("arithmetic".into()), ..LammpsStyles::default() };
    spec.molecules.insert("chain".into(), MoleculeFileSpec { lammps_styles: Some(styles), ..chain });
    let mixed = read(&spec, 1, &[("chain", 1), ("WAT", 1)]).unwrap();
    assert_eq!(mixed.len(), 4 + 4 + 4);
    let own = |t: u32| {
        let [c12, c6] = mixed.lennard_jones.get(t as usize, t as usize);
        ((c12 / c6).powf(1.0 / 6.0), c6 * c6 / (4.0 * c12))
    };
    let (a, b) = (mixed.types[0], mixed.types[4]);
    let ((s1, e1), (s2, e2)) = (own(a), own(b));
    let [c12, c6] = mixed.lennard_jones.get(a as usize, b as usize);
    assert!(((c12 / c6).powf(1.0 / 6.0) - 0.5 * (s1 + s2)).abs() < 1e-12);
    assert!((c6 * c6 / (4.0 * c12) - (e1 * e2).sqrt()).abs() < 1e-12);
    // several molecules in a file, an atom that does not exist, other pair forms, open systems
    spec.molecules.insert(
        "peptides".into(),
        MoleculeFileSpec { lammps: Some(data("hybrid.data")), ..Default::default() },
    );
    assert!(read(&spec, 1, &[("peptides", 1)]).unwrap_err().contains("describes 3 molecules"));
    spec.molecules.insert("far".into(), MoleculeFileSpec { like_atom: Some(99), ..Default::default() });
    assert!(read(&spec, 1, &[("far", 1)]).unwrap_err().contains("there is no atom 99"));
    spec.molecules.insert("nothing".into(), MoleculeFileSpec::default());
    assert!(read(&spec, 1, &[("nothing", 1)]).unwrap_err().contains("described in one place"));
    let (mut styled, _) = styled("pair_styles.data", several_pair_styles());
    let water = MoleculeFileSpec { amber: Some(data("water.prmtop")), ..MoleculeFileSpec::default() };
    styled.molecules.insert("water".into(), water);
    assert!(read(&styled, 1, &[("water", 1)]).unwrap_err().contains("cannot be mixed between files"));
    spec.electrostatics = Some(ElectrostaticsSpec::NoCutoff);
    assert!(read(&spec, 1, &[("WAT", 1)]).unwrap_err().contains("treats as open"));
}
