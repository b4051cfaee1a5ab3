use super::*;
use crate::neighbors::Search;
use crate::quantity::{Force, Pressure};
use crate::sampler::Progress;
use crate::{
    Archive, Cell, Ctx, Evaluator, Input, Mat3, Outputs, Potential, PotentialError, Properties, Quantity,
    Sampler, Species, State, Stream, Streams, System, UnitSystem, Vec3,
};

/// E = Σ k_i |r_i - c_i|²/2 with widely different k_i.
struct Bowl {
    centers: Vec<Vec3>,
}

impl Bowl {
    fn stiffness(i: usize) -> f64 {
        0.5 * 3f64.powi(i as i32)
    }
}

impl Potential for Bowl {
    fn name(&self) -> &'static str {
        "bowl"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, x: Input<'_>, want: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        for (i, (r, c)) in x.positions.iter().zip(&self.centers).enumerate() {
            let d = r - c;
            out.energy += 0.5 * Self::stiffness(i) * d.norm_squared();
            if want.contains(Properties::FORCES) {
                out.forces[i] -= Self::stiffness(i) * d;
            }
        }
        Ok(())
    }
}

/// Lennard-Jones with ε = σ = 1, cut off without a shift; with the mean-field tail when periodic.
struct LennardJones {
    cutoff: f64,
}

impl Potential for LennardJones {
    fn name(&self) -> &'static str {
        "lj"
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(&mut self, x: Input<'_>, want: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let sites = x.neighbors.sites();
        for (k, &c) in x.neighbors.centers().iter().enumerate() {
            let (i, ri) = (x.neighbors.atom(c), Vec3::from(sites[c as usize].position));
            for &s in x.neighbors.row(k) {
                let d = Vec3::from(sites[s as usize].position) - ri;
                let r2 = d.norm_squared();
                if r2 < self.cutoff * self.cutoff {
                    let u = r2.powi(-3);
                    let f = -24.0 * (2.0 * u * u - u) / r2 * d;
                    out.energy += 2.0 * (u * u - u);
                    if want.contains(Properties::FORCES) {
                        out.forces[i] += f;
                    }
                    out.virial -= 0.5 * d * f.transpose();
                }
            }
        }
        if x.cell.is_fully_periodic() {
            let (n, v) = (x.system.len() as f64, x.cell.volume());
            let (a, b) = (self.cutoff.powi(-9) / 9.0, self.cutoff.powi(-3) / 3.0);
            let tail = 8.0 * std::f64::consts::PI * n * n / v * (a - b);
            // -V dE/dV of a tail proportional to 1/V
            out.energy += tail;
            out.virial += Mat3::identity() * tail;
        }
        Ok(())
    }
}

fn atoms(n: usize) -> System {
    System::new(vec![Species { symbol: "A".into(), number: None, mass: 1.0 }], vec![0; n])
}

fn evaluator(potential: impl Potential + 'static) -> Evaluator {
    Evaluator::new(vec![Box::new(potential)], 0.0, Search::BruteForce)
}

fn spec(method: MethodSpec, fmax: f64, cell: Option<CellSpec>) -> MinimizeSpec {
    MinimizeSpec { method: Some(method), fmax: Quantity::new(fmax), steps: None, max_step: None, cell }
}

fn cell_spec(pressure: f64, deform: DeformSpec) -> Option<CellSpec> {
    let pressure: Quantity<Pressure> = Quantity::new(pressure);
    Some(CellSpec { pressure: Some(pressure), smax: Some(Quantity::new(1e-7)), deform: Some(deform) })
}

fn run(
    system: &System,
    state: State,
    potential: impl Potential + 'static,
    spec: &MinimizeSpec,
) -> Relaxation {
    relax(system, state, &mut evaluator(potential), spec, UnitSystem::Lj, |_| true).unwrap()
}

fn noise(i: usize, size: f64) -> Vec3 {
    Streams { seed: 4 }.normal3(Stream::Test, 0, 0, i as u64) * size
}

/// The 13-atom icosahedron with edges near the pair minimum.
fn icosahedron() -> Vec<Vec3> {
    let g = 0.5 * (1.0 + 5f64.sqrt());
    let mut r = vec![Vec3::zeros()];
    for a in [-1.0, 1.0] {
        for b in [-g, g] {
            r.extend([Vec3::new(0.0, a, b), Vec3::new(a, b, 0.0), Vec3::new(b, 0.0, a)]);
        }
    }
    r.iter().map(|v| 0.57 * v).collect()
}

const BOTH: [MethodSpec; 2] = [MethodSpec::Lbfgs, MethodSpec::Fire];

#[test]
fn bowls_end_at_their_centers() {
    let centers: Vec<_> = (0..6).map(|i| noise(i, 3.0)).collect();
    let start: Vec<_> = centers.iter().enumerate().map(|(i, c)| c + noise(i + 9, 1.0)).collect();
    for method in BOTH {
        let bowl = Bowl { centers: centers.clone() };
        let end =
            run(&atoms(6), State::at_rest(start.clone(), Cell::open()), bowl, &spec(method, 1e-9, None));
        assert!(end.converged && end.fmax <= 1e-9, "{method:?} {end:?}");
        for (r, c) in end.state.positions().iter().zip(&centers) {
            assert!((r - c).norm() < 1e-8, "{method:?}");
        }
        assert!(end.energy < 1e-16);
    }
}

#[test]
fn fixed_atoms_stay_and_velocities_vanish() {
    let mut system = atoms(13);
    system.fix(&[2, 7]);
    let start: Vec<_> = icosahedron().iter().enumerate().map(|(i, r)| r + noise(i, 0.05)).collect();
    for method in BOTH {
        let state = State::new(start.clone(), vec![Vec3::x(); 13], Cell::open());
        let end = run(&system, state, LennardJones { cutoff: 50.0 }, &spec(method, 1e-6, None));
        assert!(end.converged);
        assert_eq!((end.state.positions()[2], end.state.positions()[7]), (start[2], start[7]));
        assert_ne!(end.state.positions()[3], start[3]);
        assert!(end.state.velocities().iter().all(|v| *v == Vec3::zeros()));
    }
}

#[test]
fn thirteen_atoms_become_the_icosahedron() {
    // global minimum of the cluster: Hoare, Pal, Adv. Phys. 20, 161 (1971); -44.326801 ε
    let start: Vec<_> = icosahedron().iter().enumerate().map(|(i, r)| r + noise(i, 0.08)).collect();
    let evaluations = BOTH.map(|method| {
        let state = State::at_rest(start.clone(), Cell::open());
        let end = run(&atoms(13), state, LennardJones { cutoff: 50.0 }, &spec(method, 1e-8, None));
        assert!(end.converged, "{method:?} {end:?}");
        assert!((end.energy + 44.326_801).abs() < 1e-6, "{method:?} {}", end.energy);
        assert!(end.fmax <= 1e-8);
        end.evaluations
    });
    assert!(evaluations[0] < evaluations[1], "L-BFGS {} FIRE {}", evaluations[0], evaluations[1]);
}

#[test]
fn the_gradient_is_the_derivative_of_the_enthalpy() {
    let system = atoms(4);
    let cell = Cell::from_lengths_angles([3.1, 3.3, 3.0], [80.0, 95.0, 103.0]).unwrap();
    let positions: Vec<_> = [[0.1, 0.0, 0.1], [0.55, 0.45, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.6]]
        .iter()
        .map(|s| cell.cartesian(&Vec3::from(*s)))
        .collect();
    let deformations =
        [Deformation::Components(Component::ALL.to_vec()), Deformation::Isotropic, Deformation::Lengths];
    for deformation in deformations {
        let mut coordinates = Coordinates::variable_cell(4, &cell, deformation.clone(), 0.7);
        let mut state = State::at_rest(positions.clone(), cell.clone());
        let mut evaluator = evaluator(Pairs);
        let mut ctx = Ctx {
            system: &system,
            state: &mut state,
            evaluator: &mut evaluator,
            rng: Streams { seed: 0 },
            want: Properties::empty(),
            substep: 0,
            progress: 0.0,
            degrees_of_freedom: 0.0,
        };
        let mut q = Vec::new();
        coordinates.read(&positions, &mut q);
        for (k, x) in q.iter_mut().enumerate().skip(12) {
            *x += 0.05 * (k as f64 - 14.0);
        }
        let mut g = vec![0.0; q.len()];
        coordinates.evaluate(&mut ctx, &mut q, &mut g).unwrap();
        let mut ignored = g.clone();
        for k in 0..q.len() {
            let mut at = |x: f64| {
                let mut q = q.clone();
                q[k] += x;
                coordinates.evaluate(&mut ctx, &mut q, &mut ignored).unwrap().enthalpy
            };
            let d = 1e-4;
            let slope = (8.0 * (at(d) - at(-d)) - (at(2.0 * d) - at(-2.0 * d))) / (12.0 * d);
            assert!(
                (slope - g[k]).abs() < 1e-8 * (1.0 + g[k].abs()),
                "{deformation:?} {k}: {slope} {}",
                g[k]
            );
        }
    }
}

/// A smooth pair energy exp(-r²) over images out to where it vanishes.
struct Pairs;

impl Potential for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }
    fn cutoff(&self) -> Option<f64> {
        Some(6.5)
    }
    fn compute(&mut self, x: Input<'_>, want: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let sites = x.neighbors.sites();
        for (k, &c) in x.neighbors.centers().iter().enumerate() {
            let (i, ri) = (x.neighbors.atom(c), Vec3::from(sites[c as usize].position));
            for &s in x.neighbors.row(k) {
                let d = Vec3::from(sites[s as usize].position) - ri;
                let e = (-d.norm_squared()).exp();
                out.energy += 0.5 * e;
                if want.contains(Properties::FORCES) {
                    out.forces[i] -= 2.0 * e * d;
                }
                out.virial += e * d * d.transpose();
            }
        }
        Ok(())
    }
}

/// One atom in a primitive cell that is far from fcc.
fn skewed() -> State {
    let cell = Cell::from_lengths_angles([1.07, 1.12, 1.1], [57.0, 62.0, 63.0]).unwrap();
    State::at_rest(vec![Vec3::new(0.3, 0.1, 0.2)], cell)
}

/// With the mean-field tail the sharp truncation at 10 σ leaves 3e-5 in the energy and 5e-5 in the lattice constant.
const CUTOFF: f64 = 10.0;

#[test]
fn a_skewed_cell_becomes_fcc() {
    // lattice sums A12 = 12.13188, A6 = 14.45392: r0 = (2 A12/A6)^(1/6) = 1.090173, e0 = -A6²/(2 A12) = -8.610200
    for method in BOTH {
        let mut what = spec(method, 1e-6, cell_spec(0.0, DeformSpec::Full));
        what.cell.as_mut().unwrap().smax = Some(Quantity::new(1e-4));
        let end = run(&atoms(1), skewed(), LennardJones { cutoff: CUTOFF }, &what);
        assert!(end.converged, "{method:?} {:?} {} {}", end.outcome, end.smax, end.steps);
        assert!((end.energy + 8.610_200).abs() < 1e-4, "{method:?} {}", end.energy);
        let (lengths, angles) = end.state.cell().lengths_angles();
        for (l, a) in lengths.iter().zip(&angles) {
            assert!(
                (l - 1.090_173).abs() < 1e-4 && (a - 60.0).abs() < 0.02,
                "{method:?} {lengths:?} {angles:?}"
            );
        }
        assert!(end.state.cell().is_upper_triangular());
    }
}

#[test]
fn the_stress_after_relaxation_is_the_target() {
    for (pressure, deform) in [(5.0, DeformSpec::Full), (-0.5, DeformSpec::Isotropic)] {
        let mut what = spec(MethodSpec::Lbfgs, 1e-6, cell_spec(pressure, deform.clone()));
        what.cell.as_mut().unwrap().smax = Some(Quantity::new(1e-4));
        let mut evaluator = evaluator(LennardJones { cutoff: CUTOFF });
        let end = relax(&atoms(1), skewed(), &mut evaluator, &what, UnitSystem::Lj, |_| true).unwrap();
        assert!(end.converged, "{deform:?} {:?}", end.outcome);
        let out = evaluator.ensure(&atoms(1), &end.state, Properties::VIRIAL, Properties::empty()).unwrap();
        let s = out.virial / end.state.cell().volume();
        assert!((s.trace() / 3.0 - pressure).abs() <= 1e-4, "{deform:?} {s}");
        if deform == DeformSpec::Full {
            assert!((s - Mat3::identity() * pressure).abs().max() <= 1e-4, "{s}");
        }
    }
}

#[test]
fn masks_keep_what_they_should() {
    let before = skewed().cell().lengths_angles();
    let relaxed = |deform: DeformSpec| {
        let mut what = spec(MethodSpec::Lbfgs, 1e-6, cell_spec(0.0, deform));
        what.cell.as_mut().unwrap().smax = Some(Quantity::new(1e-3));
        let end = run(&atoms(1), skewed(), LennardJones { cutoff: CUTOFF }, &what);
        assert!(end.converged);
        end.state.cell().clone()
    };
    let (lengths, angles) = relaxed(DeformSpec::Lengths).lengths_angles();
    assert!(angles.iter().zip(&before.1).all(|(a, b)| (a - b).abs() < 1e-9));
    assert!(lengths.iter().zip(&before.0).all(|(a, b)| (a - b).abs() > 1e-3));
    let (lengths, angles) = relaxed(DeformSpec::Isotropic).lengths_angles();
    assert!(angles.iter().zip(&before.1).all(|(a, b)| (a - b).abs() < 1e-9));
    assert!((lengths[0] / lengths[1] - before.0[0] / before.0[1]).abs() < 1e-12);
    let h = relaxed(DeformSpec::Components(vec![Component::Zz]));
    let (old, new) = (*skewed().cell().matrix(), *h.matrix());
    assert_eq!(old.fixed_rows::<2>(0), new.fixed_rows::<2>(0));
    assert_ne!(old[(2, 2)], new[(2, 2)]);
}

/// Iterates `n` times; the run must not end.
fn advance(m: &mut Minimizer, system: &System, state: &mut State, evaluator: &mut Evaluator, n: usize) {
    for _ in 0..n {
        let mut ctx = Ctx {
            system,
            state,
            evaluator,
            rng: Streams { seed: 0 },
            want: Properties::empty(),
            substep: 0,
            progress: 0.0,
            degrees_of_freedom: 0.0,
        };
        assert_eq!(m.advance(&mut ctx).unwrap(), Progress::Running);
    }
}

/// Runs 8 iterations after a restart at the ninth and compares with an uninterrupted run.
fn restarts(what: &MinimizeSpec, system: &System, start: State, cutoff: f64) {
    let potential = || evaluator(LennardJones { cutoff });
    let mut state = start.clone();
    let mut force = potential();
    let mut straight = what.build(system, state.cell(), UnitSystem::Lj).unwrap();
    advance(&mut straight, system, &mut state, &mut force, 9);
    let mut a = Archive::writer();
    straight.archive(&mut a).unwrap();
    let mut copy = State::at_rest(state.positions().to_vec(), state.cell().clone());
    advance(&mut straight, system, &mut state, &mut force, 8);

    let mut resumed = what.build(system, copy.cell(), UnitSystem::Lj).unwrap();
    resumed.archive(&mut Archive::reader(a.into_bytes())).unwrap();
    advance(&mut resumed, system, &mut copy, &mut potential(), 8);
    assert_eq!(state.positions(), copy.positions(), "{what:?}");
    assert_eq!(state.cell(), copy.cell(), "{what:?}");
    assert_eq!(resumed.point(), straight.point());
}

#[test]
fn a_restart_continues_with_the_same_bits() {
    let start: Vec<_> = icosahedron().iter().enumerate().map(|(i, r)| r + noise(i, 0.2)).collect();
    for method in BOTH {
        let state = State::at_rest(start.clone(), Cell::open());
        restarts(&spec(method, 1e-10, None), &atoms(13), state, 50.0);
        let mut what = spec(method, 1e-12, cell_spec(1.0, DeformSpec::Full));
        what.cell.as_mut().unwrap().smax = Some(Quantity::new(1e-14));
        what.max_step = Some(Quantity::new(0.002));
        restarts(&what, &atoms(1), skewed(), 6.0);
    }
}

#[test]
fn a_converged_start_is_left_alone_and_limits_are_kept() {
    let state = State::at_rest(vec![Vec3::x()], Cell::open());
    let bowl = || Bowl { centers: vec![Vec3::zeros()] };
    let end = run(&atoms(1), state.clone(), bowl(), &spec(MethodSpec::Fire, 1.0, None));
    assert!(end.converged && end.steps == 0 && end.state.step == 1);
    assert_eq!(end.state.positions(), state.positions());
    let mut what = spec(MethodSpec::Fire, 1e-9, None);
    what.steps = Some(3);
    let end = run(&atoms(1), state.clone(), bowl(), &what);
    assert_eq!((end.outcome, end.steps, end.state.step), (Outcome::StepLimit, 3, 3));
    what.max_step = Some(Quantity::new(0.005));
    what.method = None;
    let end = run(&atoms(1), state, bowl(), &what);
    assert!((end.state.positions()[0].x - 0.985).abs() < 1e-12, "{}", end.state.positions()[0]);
}

#[test]
fn wrong_specs_are_refused_with_their_key() {
    let key = |what: MinimizeSpec, system: &System, cell: &Cell| {
        what.build(system, cell, UnitSystem::Physical).err().unwrap().key
    };
    let cube = Cell::orthorhombic(5.0, 5.0, 5.0).unwrap();
    let good = || spec(MethodSpec::Lbfgs, 0.01, None);
    let bad: Quantity<Force> = Quantity::new(-0.1);
    assert_eq!(key(MinimizeSpec { fmax: bad, ..good() }, &atoms(1), &cube), "fmax");
    assert_eq!(key(MinimizeSpec { steps: Some(0), ..good() }, &atoms(1), &cube), "steps");
    let max_step = Some(Quantity::new(0.0));
    assert_eq!(key(MinimizeSpec { max_step, ..good() }, &atoms(1), &cube), "max_step");
    let cell = |deform| spec(MethodSpec::Lbfgs, 0.01, cell_spec(0.0, deform));
    assert_eq!(key(cell(DeformSpec::Full), &atoms(1), &Cell::open()), "cell");
    let mut fixed = atoms(2);
    fixed.fix(&[1]);
    assert_eq!(key(cell(DeformSpec::Full), &fixed, &cube), "cell");
    let twice = DeformSpec::Components(vec![Component::Xx, Component::Xx]);
    assert_eq!(key(cell(twice), &atoms(1), &cube), "cell.deform.components[1]");
    assert_eq!(key(cell(DeformSpec::Components(vec![])), &atoms(1), &cube), "cell.deform.components");
}
