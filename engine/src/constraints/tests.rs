//! The solvers against each other and against what defines them.
use super::*;
use crate::topology::{Constraint, RigidBody, TopologyParts};
use crate::{Cell, Mat3, State, Stream, Streams, sampler};
use crate::{Species, System};

const OH: f64 = 0.9572;
const HH: f64 = 1.5139;

/// n waters at random places and orientations with random velocities, as (positions, velocities, masses).
fn waters(n: usize) -> (Vec<Vec3>, Vec<Vec3>, Vec<f64>) {
    let rng = Streams { seed: 11 };
    let half: f64 = 0.5 * HH;
    let height = (OH * OH - half * half).sqrt();
    let mut r = Vec::new();
    for k in 0..n as u64 {
        let axis = rng.normal3(Stream::Test, 0, 0, k);
        let turn = nalgebra::Rotation3::from_scaled_axis(axis * 2.0);
        let origin = rng.normal3(Stream::Test, 1, 0, k) * 20.0;
        for d in [Vec3::zeros(), Vec3::new(half, height, 0.0), Vec3::new(-half, height, 0.0)] {
            r.push(origin + turn * d);
        }
    }
    let masses: Vec<f64> = (0..3 * n).map(|i| if i % 3 == 0 { 15.9994 } else { 1.008 }).collect();
    let v = (0..3 * n as u64)
        .map(|i| rng.normal3(Stream::Test, 2, 0, i) * (0.0258 / masses[i as usize]).sqrt())
        .collect();
    (r, v, masses)
}

fn water_constraints(n: u32) -> Vec<Constraint> {
    let c = |i, j, length| Constraint { atoms: [i, j], length };
    (0..n)
        .flat_map(|k| [c(3 * k, 3 * k + 1, OH), c(3 * k, 3 * k + 2, OH), c(3 * k + 1, 3 * k + 2, HH)])
        .collect()
}

fn solver(parts: TopologyParts, masses: &[f64]) -> Constraints {
    let inverse: Vec<f64> = masses.iter().map(|m| 1.0 / m).collect();
    let topology = Topology::new(masses.len(), parts).unwrap();
    Constraints::new(&topology, masses, &inverse, 1e-13)
}

fn with_constraints(constraints: Vec<Constraint>, masses: &[f64]) -> Constraints {
    solver(TopologyParts { constraints, ..TopologyParts::default() }, masses)
}

/// The largest relative error of the distances and of their rates, over the speed scale.
fn violation(c: &[Constraint], r: &[Vec3], v: &[Vec3]) -> (f64, f64) {
    c.iter().fold((0.0, 0.0), |(a, b): (f64, f64), c| {
        let [i, j] = c.atoms.map(|a| a as usize);
        let d = r[i] - r[j];
        let rate = d.dot(&(v[i] - v[j])) / (c.length * v[i].norm().max(v[j].norm()));
        (a.max((d.norm() / c.length - 1.0).abs()), b.max(rate.abs()))
    })
}

fn largest(a: &[Vec3], b: &[Vec3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

/// A step of 2 fs.
const DT: f64 = 2.0 * crate::units::FEMTOSECOND;

#[test]
fn settle_is_the_general_solver_in_closed_form() {
    let n = 37;
    let (r0, v0, masses) = waters(n);
    let constraints = water_constraints(n as u32);
    let settle = with_constraints(constraints.clone(), &masses);
    assert_eq!(settle.kinds(), Kinds { waters: n, ..Kinds::default() });
    let mut general = settle.clone();
    for block in &mut general.blocks {
        block.waters = Waters::default();
        for k in 0..n as u32 {
            let pair = |i, j, d: f64| Pair { i: 3 * k + i, j: 3 * k + j, d2: d * d };
            let pairs = [pair(0, 1, OH), pair(0, 2, OH), pair(1, 2, HH)];
            let inverse: Vec<f64> = masses.iter().map(|m| 1.0 / m).collect();
            block.small.push(Small::new(&[3 * k, 3 * k + 1, 3 * k + 2], &pairs, &inverse));
        }
    }
    let run = |solver: &Constraints| {
        let (mut r, mut v) = (r0.clone(), v0.clone());
        solver.project(&r, &mut v).unwrap();
        let projected = v.clone();
        for _ in 0..10 {
            solver.drift(&mut r, &mut v, DT).unwrap();
            solver.project(&r, &mut v).unwrap();
        }
        (projected, r, v)
    };
    let (a, b) = (run(&settle), run(&general));
    assert!(largest(&a.0, &b.0) < 1e-14 && largest(&a.1, &b.1) < 1e-11 && largest(&a.2, &b.2) < 1e-11);
    let (distance, rate) = violation(&constraints, &a.1, &a.2);
    assert!(distance < 1e-13 && rate < 1e-12, "{distance:e} {rate:e}");
    // and free water keeps its energy: it only turns and moves
    let kinetic =
        |v: &[Vec3]| -> f64 { v.iter().zip(&masses).map(|(v, m)| 0.5 * m * v.norm_squared()).sum() };
    assert!((kinetic(&a.0) / kinetic(&a.2) - 1.0).abs() < 1e-3, "{} {}", kinetic(&a.0), kinetic(&a.2));
}

/// A branched chain with rings, as the bonds of a molecule.
fn skeleton(atoms: u32) -> (Vec<Vec3>, Vec<f64>, Vec<Constraint>) {
    let rng = Streams { seed: 5 };
    let mut r = vec![Vec3::zeros()];
    let mut bonds = Vec::new();
    for i in 1..u64::from(atoms) {
        let parent = if i % 3 == 0 { i - 1 } else { i.saturating_sub(2) };
        let step = rng.normal3(Stream::Test, 0, 0, i).normalize() * 1.3;
        r.push(r[parent as usize] + step);
        bonds.push([parent as u32, i as u32]);
    }
    for k in (10..atoms - 6).step_by(12) {
        bonds.push([k, k + 5]);
    }
    let constraints = bonds
        .iter()
        .map(|&[i, j]| Constraint { atoms: [i, j], length: (r[i as usize] - r[j as usize]).norm() });
    let constraints = constraints.collect();
    let masses = (0..atoms).map(|i| if i % 3 == 1 { 1.008 } else { 12.011 }).collect();
    (r, masses, constraints)
}

#[test]
fn large_and_small_clusters_keep_distances_and_rates() {
    for atoms in [3, 6, 300] {
        let (mut r, masses, constraints) = skeleton(if atoms == 300 { 300 } else { 17 });
        let constraints: Vec<_> =
            constraints.into_iter().filter(|c| c.atoms.iter().all(|&a| a < atoms)).collect();
        let solver = with_constraints(constraints.clone(), &masses);
        let kinds = solver.kinds();
        assert_eq!((kinds.small, kinds.large), if atoms == 300 { (0, 1) } else { (1, 0) });
        let rng = Streams { seed: 2 };
        let mut v: Vec<Vec3> = (0..masses.len())
            .map(|i| rng.normal3(Stream::Test, 3, 0, i as u64) * (0.0258 / masses[i]).sqrt())
            .collect();
        let raw = v.clone();
        solver.project(&r, &mut v).unwrap();
        // an orthogonal projection: the same again, and what it takes out is orthogonal to what it leaves
        let mut again = v.clone();
        solver.project(&r, &mut again).unwrap();
        assert!(largest(&v, &again) < 1e-14);
        let overlap: f64 = (0..v.len()).map(|i| masses[i] * v[i].dot(&(raw[i] - v[i]))).sum();
        assert!(overlap.abs() < 1e-13);
        for _ in 0..5 {
            solver.drift(&mut r, &mut v, DT).unwrap();
            solver.project(&r, &mut v).unwrap();
        }
        let (distance, rate) = violation(&constraints, &r, &v);
        assert!(distance < 2e-13 && rate < 1e-12, "{atoms}: {distance:e} {rate:e}");
        // from a distorted structure
        for (i, r) in r.iter_mut().enumerate() {
            *r += rng.normal3(Stream::Test, 4, 0, i as u64) * 0.03;
        }
        solver.constrain(&mut r).unwrap();
        assert!(violation(&constraints, &r, &v).0 < 2e-13);
    }
}

#[test]
fn what_is_along_the_constraints_does_not_change_where_a_drift_ends() {
    let (r, masses, constraints) = skeleton(40);
    let solver = with_constraints(constraints, &masses);
    let rng = Streams { seed: 2 };
    let v: Vec<Vec3> = (0..40).map(|i| rng.normal3(Stream::Test, 3, 0, i) * 0.02).collect();
    let mut tangent = v.clone();
    solver.project(&r, &mut tangent).unwrap();
    let end = |mut v: Vec<Vec3>| {
        let mut r = r.clone();
        solver.drift(&mut r, &mut v, DT).unwrap();
        (r, v)
    };
    let (a, b) = (end(v), end(tangent));
    assert!(largest(&a.0, &b.0) < 1e-12 && largest(&a.1, &b.1) < 1e-12);
}

#[test]
fn constraints_that_depend_on_each_other_are_named() {
    // all ten distances of five atoms
    let rng = Streams { seed: 8 };
    let r: Vec<Vec3> = (0..5).map(|i| rng.normal3(Stream::Test, 0, 0, i) * 2.0).collect();
    let pairs = (0..5u32).flat_map(|i| (0..i).map(move |j| [j, i]));
    let constraints: Vec<_> = pairs
        .map(|[i, j]| Constraint { atoms: [i, j], length: (r[i as usize] - r[j as usize]).norm() })
        .collect();
    let solver = with_constraints(constraints, &[1.0; 5]);
    assert!(solver.project(&r, &mut r.clone()).is_err());
}

#[test]
fn a_step_far_too_large_is_an_error() {
    let (r, masses, constraints) = skeleton(17);
    let (w, m) = (waters(1), vec![15.9994, 1.008, 1.008]);
    for (mut r, solver) in
        [(r, with_constraints(constraints, &masses)), (w.0, with_constraints(water_constraints(1), &m))]
    {
        let rng = Streams { seed: 2 };
        let mut v: Vec<Vec3> =
            (0..r.len()).map(|i| rng.normal3(Stream::Test, 3, 0, i as u64) * 100.0).collect();
        assert!(solver.drift(&mut r, &mut v, DT).is_err());
    }
}

/// The same bodies as distances (tetrahedra) and as rigid bodies.
#[test]
fn rigid_bodies_turn_as_constrained_atoms_do() {
    let shape = [[0.0, 0.0, 0.0], [1.1, 0.1, 0.0], [-0.2, 1.3, 0.1], [0.3, 0.2, 0.9]]
        .map(|[x, y, z]| Vec3::new(x, y, z));
    let masses = [12.0, 1.0, 3.0, 7.0];
    let pairs = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]];
    let constraints = pairs
        .map(|[i, j]| Constraint { atoms: [i, j], length: (shape[i as usize] - shape[j as usize]).norm() })
        .to_vec();
    let body = RigidBody { atoms: vec![0, 1, 2, 3], shape: shape.to_vec() };
    let rigid = solver(TopologyParts { rigid_bodies: vec![body], ..TopologyParts::default() }, &masses);
    let distances = with_constraints(constraints.clone(), &masses);
    let turn = nalgebra::Rotation3::from_scaled_axis(Vec3::new(0.3, 1.0, -0.4));
    let start: Vec<Vec3> = shape.iter().map(|s| turn * s + Vec3::new(4.0, -3.0, 8.0)).collect();
    let rng = Streams { seed: 2 };
    let push: Vec<Vec3> = (0..4).map(|i| rng.normal3(Stream::Test, 3, 0, i) * 0.3).collect();
    let run = |solver: &Constraints, dt: f64| {
        let (mut r, mut v) = (start.clone(), push.clone());
        solver.project(&r, &mut v).unwrap();
        let first = v.clone();
        for _ in 0..(4.0 / dt).round() as usize {
            solver.drift(&mut r, &mut v, dt).unwrap();
            solver.project(&r, &mut v).unwrap();
        }
        (first, r, v)
    };
    let momentum = |r: &[Vec3], v: &[Vec3]| -> Vec3 { (0..4).map(|i| r[i].cross(&v[i]) * masses[i]).sum() };
    let exact = run(&rigid, 0.0005);
    let mut errors = Vec::new();
    for dt in [0.02, 0.01] {
        let (a, b) = (run(&rigid, dt), run(&distances, dt));
        assert!(largest(&a.0, &b.0) < 1e-13, "projections differ");
        assert!(violation(&constraints, &a.1, &a.2).0 < 1e-14);
        assert!((momentum(&a.1, &a.2) - momentum(&start, &a.0)).norm() < 1e-10);
        errors.push((largest(&a.1, &exact.1), largest(&b.1, &exact.1)));
    }
    // both are of second order towards the same motion
    let ratios = (errors[0].0 / errors[1].0, errors[0].1 / errors[1].1);
    assert!((3.8..4.2).contains(&ratios.0) && (3.8..4.2).contains(&ratios.1), "{errors:?}");
    // a distorted body is fitted
    let mut r: Vec<Vec3> = start.clone();
    r[2] += Vec3::new(0.02, 0.0, -0.01);
    rigid.constrain(&mut r).unwrap();
    assert!(violation(&constraints, &r, &push).0 < 1e-14 && largest(&r, &start) < 0.03);
}

#[test]
fn linear_bodies_turn_in_a_plane() {
    let shape: Vec<Vec3> = [-1.16, 0.0, 1.16].map(|x| Vec3::x() * x).to_vec();
    let masses = [16.0, 12.0, 16.0];
    let body = RigidBody { atoms: vec![0, 1, 2], shape: shape.clone() };
    assert_eq!(body.degrees_of_freedom(), 5);
    let rigid = solver(TopologyParts { rigid_bodies: vec![body], ..TopologyParts::default() }, &masses);
    let (mut r, mut v) = (shape, [0.3, 0.1, -0.3].map(|y| Vec3::new(0.1, y, 0.0)).to_vec());
    rigid.project(&r, &mut v).unwrap();
    let omega = (v[2] - v[0]).y / 2.32;
    let center = v[1];
    for _ in 0..10 {
        rigid.drift(&mut r, &mut v, 0.7).unwrap();
    }
    let angle = omega * 7.0;
    let expected = center * 7.0 + Vec3::new(angle.cos(), angle.sin(), 0.0) * 1.16;
    assert!((r[2] - expected).norm() < 1e-12);
}

#[test]
fn solutions_do_not_depend_on_threads_and_blocks_follow_clusters() {
    let n = 2000;
    let (r, v, masses) = waters(n);
    let solver = with_constraints(water_constraints(n as u32), &masses);
    assert!(solver.blocks.len() > 4 && solver.blocks.iter().all(|b| b.atoms.start.is_multiple_of(3)));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut r, mut v) = (r.clone(), v.clone());
            solver.drift(&mut r, &mut v, DT).unwrap();
            solver.project(&r, &mut v).unwrap();
            (r, v)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn units_scale_by_their_centres() {
    let (mut r, v, masses) = waters(4);
    let solver = with_constraints(water_constraints(3), &masses);
    let units = solver.units();
    // three waters and three atoms
    assert_eq!((units.len(), units.are_atoms()), (6, false));
    let total =
        |r: &[Vec3], k: usize| (0..3).map(|a| r[3 * k + a] * masses[3 * k + a]).sum::<Vec3>() / 18.0154;
    let (before, centers): (Vec<Vec3>, Vec<Vec3>) = (r.clone(), (0..4).map(|k| total(&r, k)).collect());
    let map = Mat3::new(1.1, 0.02, 0.0, 0.02, 0.9, 0.0, 0.0, 0.0, 1.05);
    units.scale(&map, &mut r, &mut Vec::new());
    for k in 0..3 {
        assert!((total(&r, k) - map * centers[k]).norm() < 1e-12);
        assert!((r[3 * k] - r[3 * k + 1] - (before[3 * k] - before[3 * k + 1])).norm() < 1e-13);
    }
    assert!((r[10] - map * before[10]).norm() < 1e-13);
    // twice the kinetic energy of the centres
    let centers: f64 = (0..3).map(|k| 18.0154 * total(&v, k).norm_squared()).sum();
    let single: f64 = (9..12).map(|i| masses[i] * v[i].norm_squared()).sum();
    assert!((units.kinetic(&masses, &v).trace() - centers - single).abs() < 1e-12);
    // the virial of a force on one atom acts at the centre
    let mut f = vec![Vec3::zeros(); 12];
    f[1] = Vec3::new(0.3, -0.2, 0.1);
    let full = r[1] * f[1].transpose();
    let unit = full - units.internal_virial(&r, &f);
    assert!((unit - total(&r, 0) * f[1].transpose()).norm() < 1e-12);
}

#[test]
fn a_system_carries_its_solver() {
    let species = [("O", 15.9994), ("H", 1.008)];
    let species = species.map(|(s, mass)| Species { symbol: s.into(), number: None, mass }).to_vec();
    let mut system = System::new(species, [0u16, 1, 1].repeat(5));
    let (r, v, _) = waters(5);
    let parts = TopologyParts { constraints: water_constraints(5), ..TopologyParts::default() };
    system.set_topology(Topology::new(15, parts).unwrap()).unwrap();
    assert_eq!(system.solver().kinds().waters, 5);
    assert_eq!(system.degrees_of_freedom(true), 27);
    // heavier hydrogens change the solver
    let mut heavy = system.clone();
    heavy.set_masses([10.0, 4.0, 4.0].repeat(5));
    let drift = |s: &System| {
        let mut state = State::new(r.clone(), v.clone(), Cell::open());
        let (r, v) = state.phase_mut();
        s.solver().drift(r, v, DT).unwrap();
        sampler::kinetic_energy(s, &state)
    };
    assert_ne!(drift(&system), drift(&heavy));
    // fixed atoms leave the closed form
    system.fix(&[0]);
    assert_eq!((system.solver().kinds().waters, system.solver().kinds().small), (4, 1));
}

/// `cargo test --release -p caloron-engine --lib -- --ignored --nocapture time_of_rigid_water`
#[test]
#[ignore = "a measurement"]
fn time_of_rigid_water() {
    let n = 3000;
    let (r, v, masses) = waters(n);
    let settle = with_constraints(water_constraints(n as u32), &masses);
    // bonds alone go to the dense solver
    let bonds = water_constraints(n as u32).into_iter().filter(|c| c.length == OH).collect();
    let dense = with_constraints(bonds, &masses);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for (name, solver) in [("settle", &settle), ("bonds, dense", &dense)] {
            let (mut r, mut v) = (r.clone(), v.clone());
            solver.project(&r, &mut v).unwrap();
            let mut times = [f64::INFINITY; 2];
            for _ in 0..200 {
                let start = std::time::Instant::now();
                solver.drift(&mut r, &mut v, DT).unwrap();
                let middle = std::time::Instant::now();
                solver.project(&r, &mut v).unwrap();
                let both = [(middle - start).as_secs_f64(), middle.elapsed().as_secs_f64()];
                (0..2).for_each(|k| times[k] = times[k].min(both[k]));
            }
            let [drift, project] = times.map(|t| t * 1e9 / n as f64);
            println!("{name}: drift {drift:.1} ns, projection {project:.1} ns per molecule on one core");
        }
    });
    let (r, masses, constraints) = skeleton(3000);
    let solver = with_constraints(constraints.clone(), &masses);
    let (mut r, mut v) = (r, vec![Vec3::new(0.01, -0.02, 0.005); masses.len()]);
    let rng = Streams { seed: 3 };
    v.iter_mut().enumerate().for_each(|(i, v)| *v += rng.normal3(Stream::Test, 0, 0, i as u64) * 0.02);
    let start = std::time::Instant::now();
    for _ in 0..20 {
        solver.drift(&mut r, &mut v, DT).unwrap();
        solver.project(&r, &mut v).unwrap();
    }
    let t = start.elapsed().as_secs_f64() / 20.0;
    println!("sparse: {:.0} ns per constraint for drift and projection", t * 1e9 / constraints.len() as f64);
}
