//! Ensembles that the samplers produce, and the drift of what they should conserve.
mod support;
use caloron_engine::dynamics::*;
use caloron_engine::statistics::block_average;
use caloron_engine::validation::{kinetic_distribution, log_ratio_slopes, thinned};
use caloron_engine::*;
use support::*;

/// Root mean square deviation of the conserved quantity over a fixed time.
fn fluctuation(kind: &str, table: &str, dt: f64, system: &System, state: &State) -> f64 {
    let sampler = sampler(kind, &format!("timestep = {dt}\n{table}"), system, state);
    // within half of the box of 32 atoms, or of 108
    let cutoff = if system.len() < 100 { 1.6 } else { 2.3 };
    let mut run = Run::new(system.clone(), state.clone(), Box::new(SmoothLj { cutoff }), sampler);
    let steps = (2.0 / dt).round() as usize;
    let start = run.conserved();
    let mut sum = 0.0;
    for _ in 0..steps {
        run.step();
        sum += (run.conserved() - start).powi(2);
    }
    (sum / steps as f64).sqrt()
}

#[test]
fn energy_conservation_of_velocity_verlet_is_second_order() {
    let (system, state) = fluid(3);
    let [a, b] = [0.002, 0.001].map(|dt| fluctuation("nve", "", dt, &system, &state));
    assert!((3.9..4.1).contains(&(a / b)), "{a:e} {b:e} {}", a / b);
}

#[test]
fn every_conserved_quantity_improves_with_the_time_step() {
    let (system, state) = fluid(2);
    for (name, kind, table) in all_samplers() {
        if kind == "brownian" {
            continue;
        }
        let [a, b] = [0.004, 0.001].map(|dt| fluctuation(kind, &table, dt, &system, &state));
        println!("{name:32} {a:.2e} {b:.2e} {:.1}", a / b);
        // second order makes 16; two random trajectories differ in more than their time step
        let deterministic =
            kind.starts_with('n') && !["npt", "nvt"].contains(&kind) || name.starts_with("Nosé");
        let order = if deterministic { 10.0 } else { 3.0 };
        assert!(a / b > order && a < 0.01 * system.len() as f64, "{name}: {a:e} {b:e}\n{table}");
    }
}

#[test]
fn ramps_leave_the_conserved_quantity_alone() {
    let (system, state) = fluid(2);
    let ramp = "temperature = { from = 1.2, to = 2.4 }\ntimestep = 0.002";
    let shapes = "{ cell_rescale = { relaxation = 1.0, compressibility = 0.1, mode = \"anisotropic\" } }";
    let mut tables: Vec<(&str, String)> = Vec::new();
    for (_, thermostat) in THERMOSTATS {
        tables.push(("nvt", format!("{ramp}\nthermostat = {thermostat}")));
    }
    for barostat in [shapes, "{ mtk = { relaxation = 1.0 } }", "{ monte_carlo = { every = 5 } }"] {
        let pressure = "pressure = { from = 1.0, to = 6.0 }";
        let thermostat = THERMOSTATS[2].1;
        tables.push(("npt", format!("{ramp}\n{pressure}\nthermostat = {thermostat}\nbarostat = {barostat}")));
    }
    for (kind, table) in tables {
        let sampler = sampler(kind, &table, &system, &state);
        let mut run = Run::new(system.clone(), state.clone(), Box::new(SmoothLj { cutoff: 1.5 }), sampler);
        let start = run.conserved();
        let mut late = 0.0;
        for k in 0..1500 {
            run.progress = (f64::from(k) + 0.5) / 1500.0;
            run.step();
            if k >= 1000 {
                late += 2.0 * run.kinetic() / run.dof / 500.0;
            }
        }
        assert!((run.conserved() - start).abs() < 0.1, "{} {start}\n{table}", run.conserved());
        assert!((1.5..2.7).contains(&late), "kT = {late} at the end of the ramp\n{table}");
    }
}

/// Mean and variance of the volume of an ideal gas, with their errors.
fn ideal_gas(table: &str, steps: usize) -> ([f64; 2], [f64; 2]) {
    let system = atoms(100);
    let rng = Streams { seed: 4 };
    let l = 101f64.cbrt();
    let positions = (0..100).map(|i| rng.normal3(Stream::Test, 0, 0, i) * l).collect();
    let velocities = (0..100).map(|i| rng.normal3(Stream::Velocities, 0, 0, i)).collect();
    let mut state = State::new(positions, velocities, Cell::orthorhombic(l, l, l).unwrap());
    momentum::remove_linear(&system, &mut state);
    let table = format!("temperature = 1.0\npressure = 1.0\n{table}");
    let sampler = sampler("npt", &table, &system, &state);
    let mut run = Run::new(system, state, Box::new(Ideal), sampler);
    run.steps(steps / 20);
    let volumes: Vec<f64> = (0..steps)
        .map(|_| {
            run.step();
            run.state.cell().volume()
        })
        .collect();
    let mean = block_average(&volumes);
    let squares: Vec<f64> = volumes.iter().map(|v| (v - 101.0).powi(2)).collect();
    let variance = block_average(&squares);
    ([mean.value, mean.error], [variance.value, variance.error])
}

#[test]
fn an_ideal_gas_at_constant_pressure_has_the_exact_volume_distribution() {
    // P(V) ~ V^N exp(-P V): mean and variance are N + 1 at kT = P = 1
    let bussi = "thermostat = { bussi = { relaxation = 0.2 } }";
    let langevin = "thermostat = { langevin = { friction = 2.0 } }";
    for (table, steps) in [
        (
            format!("timestep = 0.01\n{bussi}\nbarostat = {{ monte_carlo = {{ every = 1, step = 0.2 }} }}"),
            100_000,
        ),
        (
            format!(
                "timestep = 0.01\n{bussi}\nbarostat = {{ monte_carlo = {{ every = 1, step = 0.2, mode = \"semi_isotropic\" }} }}"
            ),
            50_000,
        ),
        (
            format!(
                "timestep = 0.02\n{bussi}\nbarostat = {{ cell_rescale = {{ relaxation = 0.5, compressibility = 1.0 }} }}"
            ),
            100_000,
        ),
        (
            format!(
                "timestep = 0.02\n{langevin}\nbarostat = {{ cell_rescale = {{ relaxation = 0.5, compressibility = 1.0 }} }}"
            ),
            100_000,
        ),
        (format!("timestep = 0.02\n{bussi}\nbarostat = {{ mtk = {{ relaxation = 0.5 }} }}"), 100_000),
        (format!("timestep = 0.02\n{langevin}\nbarostat = {{ mtk = {{ relaxation = 0.5 }} }}"), 100_000),
    ] {
        let ([mean, e], [variance, f]) = ideal_gas(&table, steps);
        println!("{mean:.3} +- {e:.3}   {variance:.2} +- {f:.2}   {}", table.replace('\n', " "));
        assert!((mean - 101.0).abs() < 5.0 * e && e < 1.0, "mean {mean} +- {e}: {table}");
        assert!((variance - 101.0).abs() < 5.0 * f && f < 15.0, "variance {variance} +- {f}: {table}");
    }
}

/// Kinetic energy, potential energy and volume along a run.
struct Sampled {
    kinetic: Vec<f64>,
    energy: Vec<f64>,
    volume: Vec<f64>,
    dof: f64,
}

impl Sampled {
    /// (U, V) at distances that make them independent.
    fn independent(&self) -> Vec<Vec<f64>> {
        let pairs: Vec<[f64; 2]> = self.energy.iter().zip(&self.volume).map(|(u, v)| [*u, *v]).collect();
        // of the values and of their squared deviations
        let g = |x: &[f64]| {
            let mean = block_average(x);
            let squares: Vec<f64> = x.iter().map(|y| (y - mean.value).powi(2)).collect();
            mean.inefficiency.max(block_average(&squares).inefficiency)
        };
        thinned(&pairs, g(&self.energy).max(g(&self.volume))).iter().map(|p| p.to_vec()).collect()
    }
}

/// Runs 32 atoms of smooth Lennard-Jones.
fn sample(kind: &str, table: &str, start: &(System, State), cutoff: f64, steps: usize) -> Sampled {
    let (system, state) = start.clone();
    let sampler = sampler(kind, table, &system, &state);
    let mut run = Run::new(system, state, Box::new(SmoothLj { cutoff }), sampler);
    run.steps(steps / 10);
    let mut out = Sampled { kinetic: Vec::new(), energy: Vec::new(), volume: Vec::new(), dof: run.dof };
    for k in 0..steps {
        run.step();
        if k % 5 == 4 {
            out.kinetic.push(run.kinetic());
            out.energy.push(run.potential());
            out.volume.push(run.state.cell().volume());
        }
    }
    out
}

/// Validation of the ensembles: run it in release mode, it prints a table in Markdown.
///
/// `cargo test --release -p caloron-engine --test ensembles -- --ignored --nocapture validation_table`
#[test]
#[ignore = "minutes; a validation run"]
fn validation_table() {
    let steps = 1_000_000;
    // shapes are tested on a crystal: a fluid gives them no restoring force
    let (fluid, fluid_kt, fluid_p) = (fluid(2), [1.2, 1.32], [1.0, 1.3]);
    let (crystal, crystal_kt, crystal_p) = (fcc(2, 1.05, 0.4), [0.2, 0.22], [8.0, 8.3]);
    let mut bad = Vec::new();
    let mut row = |name: &str, canonical: bool, cells: &[(f64, bool)]| {
        let text: Vec<String> =
            cells.iter().map(|(z, _)| if z.is_nan() { "-".into() } else { format!("{z:+.2}") }).collect();
        println!("| {name} | {} |", text.join(" | "));
        let failed = cells.iter().any(|(z, is_p)| if *is_p { *z < 1e-4 } else { z.abs() > 5.0 });
        if failed == canonical {
            bad.push(name.to_owned());
        }
    };
    println!(
        "Lennard-Jones times (1 - r²/rc²)³, 32 atoms, {steps} steps of 0.002: a fluid at kT = 1.2, P = 1 with rc = 1.5, \
         and for cells that change shape a crystal at kT = 0.2, P = 8 with rc = 1.4. z-scores; for KS the probability."
    );
    println!(
        "| method | z(<K>) | z(width of K) | KS | z(slope of U) | z(slope of V) | z(joint U) | z(joint V) |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let none = (f64::NAN, false);
    let kinetic = |s: &Sampled, kt: f64| {
        let c = kinetic_distribution(&s.kinetic, s.dof, kt);
        [(c.mean.z(), false), (c.width.z(), false), (c.probability, true)]
    };
    let slopes = |a: &Sampled, b: &Sampled, expected: [f64; 2], which: &[usize]| -> Vec<(f64, bool)> {
        let pick = |s: &Sampled| -> Vec<Vec<f64>> {
            s.independent().iter().map(|x| which.iter().map(|&k| x[k]).collect()).collect()
        };
        // distributions far too narrow do not even overlap
        let Some(found) = log_ratio_slopes(&pick(a), &pick(b)) else {
            return vec![(f64::INFINITY, false); which.len()];
        };
        found.iter().zip(which).map(|((value, error), &k)| ((value - expected[k]) / error, false)).collect()
    };
    for (name, thermostat) in THERMOSTATS {
        let table = |t: f64| format!("timestep = 0.002\ntemperature = {t}\nthermostat = {thermostat}");
        let kt = fluid_kt;
        let [a, b] = kt.map(|t| sample("nvt", &table(t), &fluid, 1.5, steps));
        let mut cells = kinetic(&a, kt[0]).to_vec();
        cells.extend(slopes(&a, &b, [1.0 / kt[0] - 1.0 / kt[1], 0.0], &[0]));
        cells.extend([none; 3]);
        row(&format!("NVT {name}"), name != "Berendsen", &cells);
    }
    for (name, barostat) in BAROSTATS {
        for (bath, thermostat) in &THERMOSTATS[..3] {
            // the weak barostat once, and a chain with the inertial ones alone
            let wanted = match *bath {
                "Langevin" => true,
                "Bussi" => name != "Berendsen",
                _ => name.starts_with("MTK"),
            };
            if !wanted {
                continue;
            }
            let table = |t: f64, p: f64| {
                format!(
                    "timestep = 0.002\ntemperature = {t}\npressure = {p}\nthermostat = {thermostat}\nbarostat = {barostat}"
                )
            };
            let shape =
                name.ends_with("isotropic") && !name.ends_with(", isotropic") || name.ends_with("triclinic");
            let (start, kt, p, cutoff) =
                if shape { (&crystal, crystal_kt, crystal_p, 1.4) } else { (&fluid, fluid_kt, fluid_p, 1.5) };
            let run = |t: f64, p: f64| sample("npt", &table(t, p), start, cutoff, steps);
            let [a, b, c] = [run(kt[0], p[0]), run(kt[0], p[1]), run(kt[1], p[0])];
            let mut cells = kinetic(&a, kt[0]).to_vec();
            cells.push(none);
            cells.extend(slopes(&a, &b, [0.0, (p[0] - p[1]) / kt[0]], &[1]));
            cells.extend(slopes(&a, &c, [1.0 / kt[0] - 1.0 / kt[1], p[0] / kt[0] - p[0] / kt[1]], &[0, 1]));
            row(&format!("NPT {name}, {bath}"), name != "Berendsen", &cells);
        }
    }
    assert!(bad.is_empty(), "canonical methods that fail, or others that pass: {bad:?}");
}
