use super::*;
use crate::Precision;
use crate::electrostatics::{GridRule, SplineOrder};
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{Species, State, System, Vec3};

/// Molecules of three atoms on a disturbed lattice, three types of which one has no Lennard-Jones interaction.
fn model(method: Method, cutoff: f64, switch: Option<f64>) -> (NonBondedModel, Vec<Vec3>) {
    let molecules = 27;
    let (mut positions, mut charges, mut types, mut exceptions) = (vec![], vec![], vec![], vec![]);
    for m in 0..molecules {
        let at = Vec3::new((m % 3) as f64, (m / 3 % 3) as f64, (m / 9) as f64) * 3.1;
        let turn = |k: f64| (1.3 * m as f64 + k).sin();
        positions.push(at + 0.2 * Vec3::new(turn(0.1), turn(0.7), turn(1.9)));
        positions.push(at + Vec3::new(0.9, 0.3 * turn(2.0), 0.2 * turn(3.1)));
        positions.push(at + Vec3::new(-0.4 * turn(0.4), 0.8, 0.3 * turn(0.9)));
        charges.extend([-0.8, 0.5, 0.3]);
        types.extend([m as u32 % 2, 2, if m % 3 == 0 { 1 } else { 2 }]);
        let i = 3 * m as u32;
        exceptions.push(ExceptionPair { atoms: [i, i + 1], charges: 0.0, c12: 0.0, c6: 0.0 });
        exceptions.push(ExceptionPair { atoms: [i + 2, i], charges: 0.0, c12: 0.0, c6: 0.0 });
        exceptions.push(ExceptionPair { atoms: [i + 1, i + 2], charges: 0.07, c12: 3.0, c6: 1.5 });
    }
    let own = [[2.9, 0.0065], [2.4, 0.01], [0.0, 0.0]];
    let mut lennard_jones = LennardJonesTypes::mixed(&own, Combination::LorentzBerthelot);
    lennard_jones.set(0, 1, coefficients([2.7, 0.007]));
    let constant = 14.399645;
    let dispersion_correction = false;
    let model = NonBondedModel {
        types,
        charges,
        lennard_jones,
        exceptions,
        method,
        cutoff,
        switch,
        modifier: Modifier::default(),
        dispersion_correction,
        constant,
        precision: Precision::F64,
    };
    (model, positions)
}

fn system(n: usize) -> System {
    System::new(vec![Species { symbol: "X".into(), number: None, mass: 10.0 }], vec![0; n])
}

fn mesh(alpha: f64) -> Mesh {
    Mesh { alpha, grid: GridRule::Fixed([24, 25, 27]), order: SplineOrder::Six }
}

#[test]
fn every_method_conforms() {
    let cell = Cell::from_lengths_angles([9.6, 9.4, 9.5], [80.0, 95.0, 85.0]).unwrap();
    let lj_pme = Method::LjPme { charges: mesh(0.55), dispersion: mesh(0.5) };
    // (method, cutoff, switch, cell): at a plain cutoff energies jump, so these have none in reach or are switched
    let cases = [
        (Method::NoCutoff, 0.0, None, Cell::open()),
        (Method::ReactionField { dielectric: f64::INFINITY }, 5.5, Some(4.0), cell.clone()),
        (Method::Pme(mesh(0.9)), 6.0, Some(4.5), cell.clone()),
        (Method::Ewald { alpha: 0.9, wave_cutoff: 10.0 }, 6.0, Some(4.5), cell.clone()),
        (lj_pme, 11.0, None, cell),
    ];
    for (method, cutoff, switch, cell) in cases {
        let (model, positions) = model(method, cutoff, switch);
        let mut potential = NonBonded::new(&model, &cell).unwrap();
        let state = State::at_rest(positions, cell);
        let mut checks = vec![
            Check::Forces,
            Check::Virial,
            Check::AtomSums,
            Check::Rotation,
            Check::Wrapping,
            Check::Wants,
            Check::Threads,
        ];
        if !matches!(method, Method::Pme(_) | Method::LjPme { .. }) {
            checks.push(Check::Translation);
        }
        let options = Options { checks, ..Options::default() };
        let report = check_potential(&mut potential, &system(81), &state, &options).unwrap();
        assert!(report.passed(), "{method:?}\n{report}");
    }
}

fn evaluate(potential: &mut dyn Potential, positions: &[Vec3], cell: &Cell) -> Outputs {
    let system = system(positions.len());
    let mut list =
        caloron_engine::NeighborList::new(potential.cutoff().unwrap_or(0.0), 0.5, Default::default());
    if potential.cutoff().is_some() {
        list.update(&system, positions, cell);
    }
    let want = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL | Properties::EXTRAS;
    let mut out = Outputs::default();
    out.reset(system.len(), want);
    potential.compute(Input { system: &system, positions, cell, neighbors: &list }, want, &mut out).unwrap();
    out
}

#[test]
fn lattice_sums_of_the_dispersion_do_not_depend_on_the_splitting() {
    let cell = Cell::from_lengths_angles([9.6, 9.4, 9.5], [80.0, 95.0, 85.0]).unwrap();
    let at = |beta: f64| {
        let method = Method::LjPme { charges: mesh(0.6), dispersion: mesh(beta) };
        let (mut model, positions) = model(method, 16.0, None);
        // geometric mixing: the lattice sum is then exact and has no shift but that of the repulsion
        model.lennard_jones =
            LennardJonesTypes::mixed(&[[2.9, 0.0065], [2.4, 0.01], [0.0, 0.0]], Combination::Geometric);
        evaluate(&mut NonBonded::new(&model, &cell).unwrap(), &positions, &cell)
    };
    let (a, b) = (at(0.42), at(0.5));
    assert!((a.energy - b.energy).abs() < 2e-6, "{} {}", a.energy, b.energy);
    assert!((a.virial - b.virial).norm() < 1e-5, "{} {}", a.virial, b.virial);
    for (f, g) in a.forces.iter().zip(&b.forces) {
        assert!((f - g).norm() < 1e-5);
    }
}

#[test]
fn all_levels_give_the_same_bits() {
    let cell = Cell::orthorhombic(9.6, 9.4, 9.5).unwrap();
    let lj_pme = Method::LjPme { charges: mesh(0.55), dispersion: mesh(0.5) };
    for (method, switch, precision) in [
        (Method::Pme(mesh(0.6)), Some(4.0), Precision::F64),
        (Method::Cut, None, Precision::F64),
        (lj_pme, None, Precision::F64),
        (Method::Pme(mesh(0.5)), Some(4.0), Precision::F32),
        (Method::Cut, None, Precision::F32),
    ] {
        let (mut model, positions) = model(method, 6.0, switch);
        model.precision = precision;
        let mut potential = NonBonded::new(&model, &cell).unwrap();
        let best = evaluate(&mut potential, &positions, &cell);
        potential.set_level(Level::Portable);
        let plain = evaluate(&mut potential, &positions, &cell);
        assert_eq!(best.energy.to_bits(), plain.energy.to_bits());
        assert!(best.forces == plain.forces && best.virial == plain.virial);
    }
}

#[test]
fn single_precision_is_close_to_double() {
    let cell = Cell::from_lengths_angles([9.6, 9.4, 9.5], [80.0, 95.0, 85.0]).unwrap();
    let field = Method::ReactionField { dielectric: 60.0 };
    for (method, switch, scale) in [
        (Method::Pme(mesh(0.44)), Some(4.0), 1),
        (Method::Pme(mesh(0.5)), None, 1),
        (Method::Pme(mesh(0.6)), Some(4.0), 1),
        (Method::Ewald { alpha: 0.5, wave_cutoff: 6.0 }, None, 3),
        (field, Some(4.5), 1),
        (Method::Cut, None, 12),
    ] {
        let (mut model, mut positions) = model(method, 6.0, switch);
        // more types than fit one register, or two
        let own: Vec<[f64; 2]> =
            (0..3 * scale).map(|k| [[2.9, 0.0065], [2.4, 0.01], [0.0, 0.0]][k % 3]).collect();
        model.lennard_jones = LennardJonesTypes::mixed(&own, Combination::LorentzBerthelot);
        for (i, t) in model.types.iter_mut().enumerate() {
            *t += 3 * (i % scale) as u32;
        }
        let double = evaluate(&mut NonBonded::new(&model, &cell).unwrap(), &positions, &cell);
        model.precision = Precision::F32;
        let mut potential = NonBonded::new(&model, &cell).unwrap();
        assert!(potential.single_precision());
        let single = evaluate(&mut potential, &positions, &cell);
        let size = double.forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
        let error = single.forces.iter().zip(&double.forces).map(|(f, g)| (f - g).norm()).fold(0.0, f64::max);
        assert!(error < 1e-6 * size && error > 0.0, "{method:?}: {error:e} of {size}");
        assert!((single.energy - double.energy).abs() < 1e-6 * double.energy.abs().max(10.0), "{method:?}");
        assert!((single.virial - double.virial).norm() < 1e-6 * double.virial.norm(), "{method:?}");
        // the vectors of pairs keep their accuracy far from the origin, and pairs their balance
        positions.iter_mut().for_each(|r| *r += cell.matrix() * Vec3::new(300.0, -200.0, 40.0));
        let far = evaluate(&mut potential, &positions, &cell);
        let error = far.forces.iter().zip(&double.forces).map(|(f, g)| (f - g).norm()).fold(0.0, f64::max);
        assert!(error < 1e-6 * size, "{method:?} far away: {error:e} of {size}");
        if !matches!(method, Method::Pme(_)) {
            let sum = single.forces.iter().fold(Vec3::zeros(), |s, f| s + f);
            assert!(sum.norm() < 1e-6 * size, "{method:?}: net force {sum}");
        }
    }
}

#[test]
fn single_precision_holds_for_the_long_list_of_another_interaction() {
    let (mut model, _) = model(Method::Cut, 4.0, None);
    (model.types, model.charges, model.exceptions) = (vec![0, 0], vec![0.5, -0.5], vec![]);
    model.precision = Precision::F32;
    let cell = Cell::open();
    let mut potential = NonBonded::new(&model, &cell).unwrap();
    let system = system(2);
    let want = Properties::ENERGY | Properties::FORCES;
    let mut energy = |positions: &[Vec3]| {
        let mut list = caloron_engine::NeighborList::new(140.0, 0.5, Default::default());
        list.update(&system, positions, &cell);
        let mut out = Outputs::default();
        out.reset(2, want);
        let input = Input { system: &system, positions, cell: &cell, neighbors: &list };
        potential.compute(input, want, &mut out).unwrap();
        out.energy
    };
    // 2³² quanta of a list of 4 Å are 128 Å
    for far in [127.0, 131.0, 64.0] {
        assert_eq!(energy(&[Vec3::zeros(), Vec3::new(far, 0.0, 0.0)]), 0.0, "{far}");
    }
    assert!(energy(&[Vec3::zeros(), Vec3::new(3.0, 0.0, 0.0)]) < -0.1);
}

#[test]
fn rows_follow_the_neighbour_list() {
    let cell = Cell::orthorhombic(9.6, 9.4, 9.5).unwrap();
    let (model, mut positions) = model(Method::ReactionField { dielectric: 78.3 }, 4.0, None);
    let mut potential = NonBonded::new(&model, &cell).unwrap();
    evaluate(&mut potential, &positions, &cell);
    for (k, r) in positions.iter_mut().enumerate() {
        *r += Vec3::new(0.3, 0.2, 9.4) * (k as f64).sin();
    }
    let (kept, fresh) = (
        evaluate(&mut potential, &positions, &cell),
        evaluate(&mut NonBonded::new(&model, &cell).unwrap(), &positions, &cell),
    );
    assert_eq!(kept.energy.to_bits(), fresh.energy.to_bits());
}

#[test]
fn impossible_models_are_refused() {
    let cell = Cell::orthorhombic(9.6, 9.4, 9.5).unwrap();
    let check = |change: fn(&mut NonBondedModel)| {
        let (mut model, _) = model(Method::Cut, 4.0, None);
        change(&mut model);
        let e = NonBonded::new(&model, &cell).err().unwrap();
        format!("{}: {}", e.key, e.message)
    };
    assert!(check(|m| m.types[3] = 9).contains("type 9 does not exist"));
    assert!(check(|m| m.exceptions[2].atoms = [0, 99]).contains("no atom 99"));
    assert!(check(|m| m.exceptions.push(m.exceptions[0])).contains("twice"));
    assert!(check(|m| m.cutoff = -1.0).contains("cutoff"));
    assert!(check(|m| m.switch = Some(5.0)).contains("switching"));
    let refused = |change: fn(&mut NonBondedModel)| {
        let (mut model, _) = model(Method::Cut, 4.0, None);
        model.precision = Precision::F32;
        change(&mut model);
        NonBonded::new(&model, &cell).err().unwrap().to_string()
    };
    assert!(refused(|m| m.method = Method::NoCutoff).contains("single precision"));
    assert!(refused(|m| m.method = Method::Pme(mesh(0.95))).contains("tolerance"));
    assert!(check(|m| m.charges.truncate(80)).contains("80 charges for 81 atoms"));
    let (m, positions) = model(Method::NoCutoff, 0.0, None);
    let mut potential = NonBonded::new(&m, &cell).unwrap();
    let system = system(81);
    let input = Input { system: &system, positions: &positions, cell: &cell, neighbors: &Default::default() };
    assert!(potential.compute(input, Properties::ENERGY, &mut Outputs::default()).is_err());
}

/// Shifted potentials and switched forces: derivatives, what they are at and within the cutoff, and their correction.
#[test]
fn modified_interactions_end_as_they_should() {
    let cell = Cell::from_lengths_angles([9.6, 9.4, 9.5], [80.0, 95.0, 85.0]).unwrap();
    let forms = [
        (Method::ReactionField { dielectric: f64::INFINITY }, Modifier::ForceSwitch, Some(4.0)),
        (Method::Pme(mesh(0.9)), Modifier::ForceSwitch, Some(4.5)),
    ];
    for (method, modifier, switch) in forms {
        let (mut model, positions) = model(method, 6.0, switch);
        model.modifier = modifier;
        let mut potential = NonBonded::new(&model, &cell).unwrap();
        let state = State::at_rest(positions.clone(), cell.clone());
        let checks = vec![Check::Forces, Check::Virial, Check::AtomSums, Check::Wants, Check::Threads];
        let report =
            check_potential(&mut potential, &system(81), &state, &Options { checks, ..Options::default() })
                .unwrap();
        assert!(report.passed(), "{method:?}\n{report}");
        let best = evaluate(&mut potential, &positions, &cell);
        potential.set_level(Level::Portable);
        let plain = evaluate(&mut potential, &positions, &cell);
        assert!(best.forces == plain.forces && best.energy.to_bits() == plain.energy.to_bits());
    }
    // two atoms, against the closed forms
    let numbers = coefficients([3.2, 0.01]);
    let pair = |modifier, switch: Option<f64>, r: f64| {
        let (mut model, _) = model(Method::Cut, 9.0, switch);
        (model.types, model.charges, model.exceptions) = (vec![0, 0], vec![0.0; 2], vec![]);
        model.lennard_jones = LennardJonesTypes::mixed(&[[3.2, 0.01]], Combination::LorentzBerthelot);
        model.modifier = modifier;
        let positions = [Vec3::zeros(), Vec3::x() * r];
        let out = evaluate(&mut NonBonded::new(&model, &Cell::open()).unwrap(), &positions, &Cell::open());
        (out.energy, out.forces[1].x)
    };
    let u = |r: f64| numbers[0] * r.powi(-12) - numbers[1] * r.powi(-6);
    let (truncated, shifted) = (Modifier::PotentialSwitch, Modifier::PotentialShift);
    for r in [3.0, 5.0, 8.5, 8.999] {
        let (plain, other) = (pair(truncated, None, r), pair(shifted, None, r));
        assert!((other.0 - (u(r) - u(9.0))).abs() < 1e-15 && (other.1 - plain.1).abs() < 1e-16, "{r}");
    }
    let switched = |r| pair(Modifier::ForceSwitch, Some(7.0), r);
    let slope =
        (switched(6.0).0 - pair(truncated, None, 6.0).0) - (switched(4.0).0 - pair(truncated, None, 4.0).0);
    assert!(slope.abs() < 1e-16, "below the switching distance the shift is constant");
    assert!((switched(6.0).1 - pair(truncated, None, 6.0).1).abs() < 1e-16);
    assert!(switched(8.9999).0.abs() < 1e-13 && switched(8.9999).1.abs() < 1e-11);
    let (mut model, _) = model(Method::Cut, 6.0, None);
    model.modifier = Modifier::ForceSwitch;
    assert_eq!(NonBonded::new(&model, &cell).err().unwrap().key, "switch");
}
