//! Exact discrete-time results for a harmonic oscillator, obtained from the operators themselves.
mod support;
use caloron_engine::dynamics::*;
use caloron_engine::neighbors::Search;
use caloron_engine::*;
use support::*;

type Map = [[f64; 2]; 2];

/// The matrix product p q.
fn product(p: Map, q: Map) -> Map {
    std::array::from_fn(|i| std::array::from_fn(|j| p[i][0] * q[0][j] + p[i][1] * q[1][j]))
}

/// A splitting of the Langevin equation in a well of force constant 1 and mass 1, at a thermal energy.
fn langevin(scheme: &str, kt: f64, friction: f64) -> Splitting {
    let kt = Schedule::constant(kt);
    let schedule = match scheme {
        "BAOAB" => vec![(0, 0.5), (1, 0.5), (2, 1.0), (1, 0.5), (0, 0.5)],
        "ABOBA" => vec![(1, 0.5), (0, 0.5), (2, 1.0), (0, 0.5), (1, 0.5)],
        "OBABO" => vec![(2, 0.5), (0, 0.5), (1, 1.0), (0, 0.5), (2, 0.5)],
        "OABAO" => vec![(2, 0.5), (1, 0.5), (0, 1.0), (1, 0.5), (2, 0.5)],
        "BAOA" => vec![(0, 1.0), (1, 0.5), (2, 1.0), (1, 0.5)],
        "BAO" => vec![(0, 1.0), (1, 1.0), (2, 1.0)],
        _ => unreachable!("{scheme}"),
    };
    let ops: Vec<Box<dyn Op>> =
        vec![Box::new(Kick::new()), Box::new(Drift), Box::new(OrnsteinUhlenbeck::new(kt, friction))];
    let splitting = Splitting::new(ops, schedule);
    assert_eq!(splitting.notation(), scheme);
    splitting
}

/// One step from (x, v) along the first axis.
fn one_step(splitting: Splitting, h: f64, x: f64, v: f64) -> (f64, f64) {
    let state = State::new(vec![Vec3::x() * x], vec![Vec3::x() * v], Cell::open());
    let mut run = Run::new(atoms(1), state, Box::new(Well { k: 1.0 }), dynamics(splitting, h));
    run.step();
    (run.state.positions()[0].x, run.state.velocities()[0].x)
}

/// The linear map of a step without noise.
fn linear(make: impl Fn(f64) -> Splitting, h: f64) -> Map {
    let (a, c) = one_step(make(0.0), h, 1.0, 0.0);
    let (b, d) = one_step(make(0.0), h, 0.0, 1.0);
    [[a, b], [c, d]]
}

/// What one unit of the normal number drawn at a place of the step adds to (x, v).
fn response(scheme: &str, h: f64, friction: f64, part: usize) -> [f64; 2] {
    // noise enters linearly: restrict it to one place by switching the others off through kT = 0
    let ops: Vec<Box<dyn Op>> = vec![
        Box::new(Kick::new()),
        Box::new(Drift),
        Box::new(OrnsteinUhlenbeck::new(Schedule::constant(1.0), friction)),
        Box::new(OrnsteinUhlenbeck::new(Schedule::constant(0.0), friction)),
    ];
    let full = langevin(scheme, 1.0, friction);
    let mut schedule: Vec<(usize, f64)> = full.places().to_vec();
    for (place, step) in schedule.iter_mut().enumerate() {
        if step.0 == 2 && place != part {
            step.0 = 3;
        }
    }
    let (x, v) = one_step(Splitting::new(ops, schedule), h, 0.0, 0.0);
    let r = Streams { seed: 2026 }.noise3(Stream::Langevin, 0, part as u32, 0).x;
    [x / r, v / r]
}

/// Stationary covariance C = A C Aᵀ + Σ g gᵀ by repeated doubling: C ← C + M C Mᵀ, M ← M².
fn stationary(a: Map, noises: &[[f64; 2]]) -> Map {
    let transpose = |p: Map| [[p[0][0], p[1][0]], [p[0][1], p[1][1]]];
    let mut c: Map = [[0.0; 2]; 2];
    for g in noises {
        for i in 0..2 {
            for j in 0..2 {
                c[i][j] += g[i] * g[j];
            }
        }
    }
    let mut m = a;
    for _ in 0..60 {
        let more = product(product(m, c), transpose(m));
        for i in 0..2 {
            for j in 0..2 {
                c[i][j] += more[i][j];
            }
        }
        m = product(m, m);
    }
    c
}

fn moments(scheme: &str, h: f64, friction: f64) -> Map {
    let a = linear(|kt| langevin(scheme, kt, friction), h);
    let splitting = langevin(scheme, 1.0, friction);
    let places: Vec<usize> =
        (0..splitting.places().len()).filter(|&p| splitting.places()[p].0 == 2).collect();
    let noises: Vec<_> = places.iter().map(|&p| response(scheme, h, friction, p)).collect();
    stationary(a, &noises)
}

#[test]
fn langevin_splittings_have_their_exact_stationary_moments() {
    for friction in [0.1, 1.0, 7.3] {
        for h in [0.25, 0.5, 1.0] {
            let s = h * h / 4.0;
            for (scheme, x2, v2, xv) in [
                ("BAOAB", 1.0, 1.0 - s, 0.0),
                ("ABOBA", 1.0, 1.0 / (1.0 - s), 0.0),
                ("OBABO", 1.0 / (1.0 - s), 1.0, 0.0),
                ("OABAO", 1.0 - s, 1.0, 0.0),
                ("BAOA", 1.0, 1.0, h / 2.0),
            ] {
                let c = moments(scheme, h, friction);
                let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + 1.0 / friction);
                assert!(
                    close(c[0][0], x2) && close(c[1][1], v2) && close(c[0][1], xv),
                    "{scheme} h={h} friction={friction}: {c:?}"
                );
            }
        }
    }
    // symplectic Euler with noise is biased at first order
    let c = moments("BAO", 0.5, 1.0);
    assert!((c[0][0] - 0.871_038_592_3).abs() < 1e-10 && (c[1][1] - 1.031_038_797_5).abs() < 1e-10, "{c:?}");
}

#[test]
fn leimkuhler_matthews_samples_a_well_exactly() {
    // x' = a x + b (R_n + R_{n+1}): stationary covariance of (x, R_n)
    let h = 0.3;
    let step = |kt: f64, x: f64| {
        let ops: Vec<Box<dyn Op>> = vec![Box::new(Brownian::new(Schedule::constant(kt), 2.0))];
        let splitting = Splitting::new(ops, vec![(0, 1.0)]);
        let state = State::new(vec![Vec3::x() * x], vec![Vec3::zeros()], Cell::open());
        let mut run = Run::new(atoms(1), state, Box::new(Well { k: 1.0 }), dynamics(splitting, h));
        run.step();
        run.state.positions()[0].x
    };
    let rng = Streams { seed: 2026 };
    let r = |n| rng.noise3(Stream::Langevin, n, 0x00FF_FFFF, 0).x;
    let a = step(0.0, 1.0);
    let b = step(1.0, 0.0) / (r(0) + r(1));
    assert!((a - (1.0 - h / 2.0)).abs() < 1e-15);
    let c = stationary([[a, b], [0.0, 0.0]], &[[b, 1.0]]);
    assert!((c[0][0] - 1.0).abs() < 1e-12, "{c:?}");
}

#[test]
fn velocity_verlet_keeps_its_shadow_energy_and_frequency() {
    let h = 0.5;
    let make = |_| Splitting::symmetric(vec![Box::new(Kick::new())], Box::new(Drift));
    let state = State::new(vec![Vec3::new(1.0, 0.2, -0.4)], vec![Vec3::new(0.3, -1.0, 0.7)], Cell::open());
    let mut run = Run::new(atoms(1), state, Box::new(Well { k: 1.0 }), dynamics(make(0.0), h));
    let shadow = |s: &State| {
        0.5 * s.velocities()[0].norm_squared() + 0.5 * s.positions()[0].norm_squared() * (1.0 - h * h / 4.0)
    };
    let start = shadow(&run.state);
    for _ in 0..2000 {
        run.step();
        assert!((shadow(&run.state) / start - 1.0).abs() < 1e-13);
    }
    // the trace of the map is 2 cos(ω' h)
    let a = linear(make, h);
    let frequency = (0.5 * (a[0][0] + a[1][1])).acos() / h;
    assert!((frequency - 1.010_721_020_6).abs() < 1e-10, "{frequency}");
    assert!((a[0][0] * a[1][1] - a[0][1] * a[1][0] - 1.0).abs() < 1e-15);
}

#[test]
fn free_langevin_particles_diffuse_as_they_should() {
    // MSD = 6 (kT/mγ) (t - (1 - exp(-γ t))/γ), VACF = 3 kT/m exp(-γ t), for any time step
    let n = 20_000;
    let rng = Streams { seed: 8 };
    let velocities: Vec<Vec3> = (0..n as u64).map(|i| rng.normal3(Stream::Velocities, 0, 0, i)).collect();
    let start = velocities.clone();
    let state = State::new(vec![Vec3::zeros(); n], velocities, Cell::open());
    let sampler = dynamics(langevin("BAOAB", 1.0, 1.0), 0.05);
    let mut run = Run::new(atoms(n), state, Box::new(Ideal), sampler);
    run.steps(20);
    let msd = run.state.positions().iter().map(Vec3::norm_squared).sum::<f64>() / n as f64;
    let vacf = run.state.velocities().iter().zip(&start).map(|(a, b)| a.dot(b)).sum::<f64>() / n as f64;
    let error = (6.0 / n as f64).sqrt();
    // the mean displacement of BAOAB without forces is exact to second order in the step
    assert!((msd - 2.207_276_6).abs() < 5.0 * 2.207 * (2.0 / 3.0 / n as f64).sqrt() + 1e-3, "{msd}");
    assert!((vacf - 3.0 * (-1f64).exp()).abs() < 5.0 * error, "{vacf}");
}

/// <x²>, <x⁴>, <v²>, <v⁴> of one degree of freedom under a chain.
fn chain_moments(length: usize, steps: usize) -> [f64; 4] {
    let settings = ChainSettings { relaxation: 1.0, length, order: CompositionOrder::Fourth, repetitions: 1 };
    let ops: Vec<Box<dyn Op>> =
        vec![Box::new(NoseHoover::new(Schedule::constant(1.0), settings)), Box::new(Kick::new())];
    let splitting = Splitting::symmetric(ops, Box::new(Drift));
    assert_eq!(splitting.notation(), "NBABN");
    let state = State::new(vec![Vec3::x()], vec![Vec3::x() * 0.9], Cell::open());
    let mut run = Run::new(atoms(1), state, Box::new(Well { k: 1.0 }), dynamics(splitting, 0.05));
    run.dof = 1.0;
    let start = run.conserved();
    let mut sums = [0.0; 4];
    for _ in 0..steps {
        run.step();
        let (x, v) = (run.state.positions()[0].x, run.state.velocities()[0].x);
        for (s, y) in sums.iter_mut().zip([x * x, x.powi(4), v * v, v.powi(4)]) {
            *s += y / steps as f64;
        }
    }
    assert!((run.conserved() - start).abs() < 0.05, "{} {start}", run.conserved());
    sums
}

#[test]
fn a_nose_hoover_chain_is_canonical_for_an_oscillator_and_a_single_thermostat_is_not() {
    let [x2, x4, v2, v4] = chain_moments(3, 1_000_000);
    assert!((x2 - 1.0).abs() < 0.05 && (v2 - 1.0).abs() < 0.05, "{x2} {v2}");
    assert!((x4 - 3.0).abs() < 0.25 && (v4 - 3.0).abs() < 0.25, "{x4} {v4}");
    let [_, x4, _, v4] = chain_moments(1, 300_000);
    assert!((x4 - 3.0).abs() > 0.5 || (v4 - 3.0).abs() > 0.5, "{x4} {v4}");
}

/// r-RESPA from (x, v) along the first axis on an oscillator with force constants `slow` and `fast`.
fn respa(h: f64, inner: u32, [slow, fast]: [f64; 2], x: f64, v: f64) -> Run {
    let respa = respa::Respa::new(vec![inner]);
    let (ops, schedule) = (respa.operators(), respa.schedule());
    let terms: Vec<(Box<dyn Potential>, u8)> =
        vec![(Box::new(Well { k: slow }), 0), (Box::new(Well { k: fast }), 1)];
    let state = State::new(vec![Vec3::x() * x], vec![Vec3::x() * v], Cell::open());
    let sampler = dynamics(Splitting::new(ops, schedule).labelled(respa.notation()), h);
    let mut run = Run::new(atoms(1), state, Box::new(Ideal), sampler);
    run.evaluator = Evaluator::with_groups(terms, 0.0, Search::Auto);
    assert_eq!(run.sampler.notation(), format!("B0 (B1 A B1)x{inner} B0"));
    run
}

/// K(slow h/2) [K(fast δ/2) D(δ) K(fast δ/2)]ⁿ K(slow h/2) with δ = h/n, kicks K and drifts D.
fn respa_map(h: f64, inner: u32, [slow, fast]: [f64; 2]) -> Map {
    let kick = |k: f64, t: f64| [[1.0, 0.0], [-k * t, 1.0]];
    let delta = h / f64::from(inner);
    let fine = product(product(kick(fast, delta / 2.0), [[1.0, delta], [0.0, 1.0]]), kick(fast, delta / 2.0));
    let all = (0..inner).fold([[1.0, 0.0], [0.0, 1.0]], |m, _| product(m, fine));
    product(product(kick(slow, h / 2.0), all), kick(slow, h / 2.0))
}

/// The exact map is symmetric in time, [[a, b], [c, a]] with determinant 1: it turns the phase by acos a in every step and
/// keeps the shadow energy b v² - c x².
#[test]
fn respa_keeps_its_shadow_energy_and_frequency() {
    let (h, k, x0, v0) = (0.5, [0.04, 0.96], 1.0, 0.3);
    for inner in [1, 2, 3, 8] {
        let [[a, b], [c, _]] = respa_map(h, inner, k);
        let shadow = |x: f64, v: f64| b * v * v - c * x * x;
        let mut run = respa(h, inner, k, x0, v0);
        for n in 1..=1000 {
            run.step();
            let (x, v) = (run.state.positions()[0].x, run.state.velocities()[0].x);
            let (sin, cos) = (f64::from(n) * a.acos()).sin_cos();
            let expected = x0 * cos + v0 * (b / -c).sqrt() * sin;
            assert!((x - expected).abs() < 1e-11, "{inner} {n}: {x} {expected}");
            assert!((shadow(x, v) / shadow(x0, v0) - 1.0).abs() < 1e-12, "{inner} {n}");
        }
    }
}

#[test]
fn respa_with_one_force_split_in_two_converges_to_the_oscillator() {
    // frequency of the nested scheme: fast k = 0.96 with 8 inner steps, slow k = 0.04
    let h = 0.5;
    let mut map = [[0.0; 2]; 2];
    for (column, (x, v)) in [(1.0, 0.0), (0.0, 1.0)].into_iter().enumerate() {
        let mut run = respa(h, 8, [0.04, 0.96], x, v);
        run.step();
        map[0][column] = run.state.positions()[0].x;
        map[1][column] = run.state.velocities()[0].x;
    }
    assert!((map[0][0] * map[1][1] - map[0][1] * map[1][0] - 1.0).abs() < 1e-14);
    let frequency = (0.5 * (map[0][0] + map[1][1])).acos() / h;
    // velocity Verlet at this step is off by 1.07e-2
    assert!((frequency - 1.0).abs() < 5e-4, "{frequency}");
    // without matching groups it refuses
    let respa = respa::Respa::new(vec![2]);
    let (ops, schedule) = (respa.operators(), respa.schedule());
    let state = State::new(vec![Vec3::x()], vec![Vec3::zeros()], Cell::open());
    let mut run = Run::new(atoms(1), state, Box::new(Ideal), dynamics(Splitting::new(ops, schedule), h));
    let mut ctx = Ctx {
        system: &run.system,
        state: &mut run.state,
        evaluator: &mut run.evaluator,
        rng: run.rng,
        want: Properties::empty(),
        substep: 0,
        progress: 0.0,
        degrees_of_freedom: 3.0,
    };
    assert!(run.sampler.advance(&mut ctx).unwrap_err().to_string().contains("2 force groups"));
}

/// Velocities that are canonical at the end of a step of velocity Verlet, which keeps v² + (1 - h²/4) x², give <v²> = kT and <x²> = kT/(1 - h²/4):
/// so do collisions (Andersen) and a rescaling of all velocities (Bussi), which leave the canonical distribution of v alone.
#[test]
fn thermostats_that_act_on_velocities_alone_have_exact_stationary_moments() {
    let (n, h) = (400usize, 0.5);
    let rng = Streams { seed: 17 };
    let draw = |stream, scale: f64| (0..n as u64).map(|i| rng.normal3(stream, 0, 0, i) * scale).collect();
    let state = State::new(draw(Stream::Test, 1.0), draw(Stream::Velocities, 1.0), Cell::open());
    for (name, thermostat) in
        [("Bussi", "{ bussi = { relaxation = 2.0 } }"), ("Andersen", "{ andersen = { rate = 1.0 } }")]
    {
        let table = format!("timestep = {h}\ntemperature = 1.0\nthermostat = {thermostat}");
        let sampler = sampler("nvt", &table, &atoms(n), &state);
        let mut run = Run::new(atoms(n), state.clone(), Box::new(Well { k: 1.0 }), sampler);
        assert_eq!(run.dof, 3.0 * n as f64);
        run.steps(1000);
        let mut moments = [Vec::new(), Vec::new()];
        for _ in 0..20_000 {
            run.step();
            let mean = |x: &[Vec3]| x.iter().map(Vec3::norm_squared).sum::<f64>() / (3 * n) as f64;
            moments[0].push(mean(run.state.positions()));
            moments[1].push(mean(run.state.velocities()));
        }
        for (series, expected) in moments.iter().zip([1.0 / (1.0 - h * h / 4.0), 1.0]) {
            let mean = statistics::block_average(series);
            println!("{name}: {} ± {}, expected {expected}", mean.value, mean.error);
            assert!(mean.error < 0.01, "{name}: {mean:?}");
            assert!((mean.value - expected).abs() < 5.0 * mean.error, "{name}: {mean:?} {expected}");
        }
    }
}
