use super::*;
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{Cell, NeighborList, Species, State, System, Vec3};
use std::f64::consts::PI;
use std::sync::Arc;

fn system(n: usize) -> System {
    System::new(vec![Species { symbol: "C".into(), number: Some(6), mass: 12.0 }], vec![0; n])
}

fn place(k: usize, seed: f64) -> Vec3 {
    let x = k as f64 + seed;
    Vec3::new(1.1 * x + 0.3 * (3.1 * x).sin(), 1.2 * (1.7 * x).sin(), 0.9 * (2.3 * x).cos())
}

/// Terms of every form on a chain of eight atoms.
fn all_forms() -> BondedTerms {
    let bound = |text: &str, name: &str| {
        let expression = Expression::parse(text, &[name.into(), "k".into()], &Default::default()).unwrap();
        Bound { expression: Arc::new(expression), inputs: vec![0.0, 0.7], variable: 0.1, energy: 1.3 }
    };
    let energies: Vec<f64> = (0..144).map(|k| (0.37 * f64::from(k)).sin()).collect();
    let map = Arc::new(Map::new(12, &energies).unwrap());
    BondedTerms {
        bonds: vec![
            ([0, 1], BondForm::Harmonic { k: 21.0, r0: 1.2 }),
            ([1, 2], BondForm::Quartic { r0: 1.3, c: [9.0, -11.0, 5.0] }),
            ([2, 3], BondForm::Squared { k: 7.0, r0: 1.4 }),
            ([3, 4], BondForm::Morse { depth: 4.0, a: 1.9, r0: 1.1 }),
            ([4, 5], BondForm::Expression(bound("k*(r-0.1)^2*exp(r)", "r"))),
        ],
        urey_bradley: vec![([0, 2], BondForm::Harmonic { k: 3.0, r0: 2.1 })],
        angles: vec![
            ([0, 1, 2], AngleForm::Harmonic { k: 3.0, theta0: 1.9 }),
            ([1, 2, 3], AngleForm::CosineSquared { k: 4.0, cos0: -0.3 }),
            ([2, 3, 4], AngleForm::Cosine { k: 1.5 }),
            ([3, 4, 5], AngleForm::Quartic { theta0: 1.7, c: [0.1, 0.2, 2.0, -0.4, 0.3] }),
            ([4, 5, 6], AngleForm::Expression(bound("k*(1-cos(3*theta))", "theta"))),
        ],
        dihedrals: vec![
            ([0, 1, 2, 3], DihedralForm::Periodic { k: 0.4, n: 3, phase: 0.6 }),
            ([1, 2, 3, 4], DihedralForm::RyckaertBellemans { c: [0.3, 0.2, -0.4, 0.1, 0.25, -0.15] }),
            ([2, 3, 4, 5], DihedralForm::Fourier { v: [0.5, -0.3, 0.2, 0.1] }),
            ([3, 4, 5, 6], DihedralForm::Expression(bound("k*cos(theta)^2+0.1*theta^2", "theta"))),
        ],
        impropers: vec![([5, 4, 6, 7], DihedralForm::Harmonic { k: 1.1, phi0: 3.0 })],
        cmaps: vec![([0, 1, 2, 3, 1, 2, 3, 4], CmapForm(map))],
    }
}

#[test]
fn every_form_conforms_in_open_and_periodic_boxes() {
    let cells = [Cell::open(), Cell::from_lengths_angles([9.0, 8.5, 8.0], [80.0, 95.0, 70.0]).unwrap()];
    for cell in cells {
        let mut bonded = Bonded::new(8, all_forms()).unwrap();
        let positions: Vec<Vec3> = (0..8).map(|k| place(k, 0.37)).collect();
        let state = State::at_rest(positions, cell);
        let checks =
            [&Check::GATE[..], &[Check::Wrapping, Check::OpenBoundaries, Check::Wants, Check::Threads]]
                .concat();
        let options = Options { checks, ..Options::default() };
        let report = check_potential(&mut bonded, &system(8), &state, &options).unwrap();
        assert!(report.passed(), "{report}");
    }
}

fn evaluate(bonded: &mut Bonded, positions: &[Vec3]) -> Outputs {
    let system = system(positions.len());
    let (cell, neighbors) = (Cell::open(), NeighborList::default());
    let want = Properties::ENERGY | Properties::FORCES | Properties::EXTRAS;
    let mut out = Outputs::default();
    out.reset(system.len(), want);
    bonded
        .compute(Input { system: &system, positions, cell: &cell, neighbors: &neighbors }, want, &mut out)
        .unwrap();
    out
}

#[test]
fn the_energy_of_every_kind_is_reported() {
    let positions: Vec<Vec3> = (0..8).map(|k| place(k, 0.1)).collect();
    let out = evaluate(&mut Bonded::new(8, all_forms()).unwrap(), &positions);
    let sum: f64 = out.extras.iter().map(|e| e.values[0]).sum();
    assert_eq!(out.extras.len(), 6);
    assert!(out.extras.iter().all(|e| e.values[0] != 0.0));
    assert!((sum - out.energy).abs() < 1e-13);
}

#[test]
fn dihedrals_have_the_sign_of_iupac() {
    // seen along y (from atom 1 to 2) the bond to the last atom is turned clockwise by phi
    for phi in [-2.5f64, -1.0, 0.2, 1.5, 3.0] {
        let r = [
            Vec3::new(1.0, 0.0, 0.0),
            Vec3::zeros(),
            Vec3::new(0.0, 1.3, 0.0),
            Vec3::new(phi.cos(), 1.5, -phi.sin()),
        ];
        assert!((dihedrals::angle(&r).0 - phi).abs() < 1e-14, "{phi} {}", dihedrals::angle(&r).0);
    }
    // V1 to V4 as cosine series; Ryckaert-Bellemans in powers of cos(phi - pi)
    let fourier = DihedralForm::Fourier { v: [1.0, 2.0, 3.0, 4.0] };
    for phi in [0.3f64, 2.0, -1.1] {
        let exact = 0.5 * (1.0 + phi.cos())
            + (1.0 - (2.0 * phi).cos())
            + 1.5 * (1.0 + (3.0 * phi).cos())
            + 2.0 * (1.0 - (4.0 * phi).cos());
        assert!((fourier.at(phi).0 - exact).abs() < 1e-14);
        let rb = DihedralForm::RyckaertBellemans { c: [1.0, 2.0, 0.0, 0.5, 0.0, 0.0] };
        let c = (phi - PI).cos();
        assert!((rb.at(phi).0 - (1.0 + 2.0 * c + 0.5 * c * c * c)).abs() < 1e-14);
    }
}

#[test]
fn atoms_on_a_line_and_in_one_place_give_finite_numbers() {
    let line: Vec<Vec3> = (0..8).map(|k| Vec3::new(1.1 * f64::from(k), 0.0, 0.0)).collect();
    let out = evaluate(&mut Bonded::new(8, all_forms()).unwrap(), &line);
    assert!(out.energy.is_finite() && out.forces.iter().all(|f| f.iter().all(|x| x.is_finite())));
    let out = evaluate(&mut Bonded::new(8, all_forms()).unwrap(), &[Vec3::zeros(); 8]);
    assert!(out.energy.is_finite() && out.forces.iter().all(|f| f.iter().all(|x| x.is_finite())));
    // an angle with its minimum at 180 degrees is exact there and smooth around
    let terms = BondedTerms {
        angles: vec![([0, 1, 2], AngleForm::Harmonic { k: 2.0, theta0: PI })],
        ..BondedTerms::default()
    };
    let mut bonded = Bonded::new(3, terms).unwrap();
    for y in [0.0, 1e-12, 1e-8, 1e-4] {
        let r = [Vec3::new(-1.0, y, 0.0), Vec3::zeros(), Vec3::new(1.0, 0.0, 0.0)];
        let out = evaluate(&mut bonded, &r);
        let angle = y.atan();
        assert!((out.forces[0][1] + 2.0 * angle).abs() <= 1e-7 * angle + 1e-15, "{y} {}", out.forces[0][1]);
    }
}

#[test]
fn terms_of_missing_atoms_are_refused() {
    let terms =
        BondedTerms { bonds: vec![([0, 9], BondForm::Harmonic { k: 1.0, r0: 1.0 })], ..Default::default() };
    let e = Bonded::new(8, terms).err().unwrap();
    assert!(e.key == "bonds[0]" && e.message.contains("no atom 9"), "{} {}", e.key, e.message);
}
