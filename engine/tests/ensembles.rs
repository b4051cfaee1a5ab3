//! Ensembles that the samplers produce, and the drift of what they should conserve.
mod support;
use caloron_engine::dynamics::*;
use caloron_engine::statistics::block_average;
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
        // second order makes 16; the exchange of the cell with its bath is a random walk and leaves a spread
        let order = if kind == "npt" { 3.0 } else { 8.0 };
        assert!(a / b > order && a < 0.01 * system.len() as f64, "{name}: {a:e} {b:e}\n{table}");
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
            200_000,
        ),
        (
            format!(
                "timestep = 0.01\n{bussi}\nbarostat = {{ monte_carlo = {{ every = 1, step = 0.2, mode = \"semi_isotropic\" }} }}"
            ),
            200_000,
        ),
        (
            format!(
                "timestep = 0.02\n{bussi}\nbarostat = {{ cell_rescale = {{ relaxation = 0.5, compressibility = 1.0 }} }}"
            ),
            200_000,
        ),
        (
            format!(
                "timestep = 0.02\n{langevin}\nbarostat = {{ cell_rescale = {{ relaxation = 0.5, compressibility = 1.0 }} }}"
            ),
            100_000,
        ),
        (format!("timestep = 0.02\n{bussi}\nbarostat = {{ mtk = {{ relaxation = 0.5 }} }}"), 200_000),
        (format!("timestep = 0.02\n{langevin}\nbarostat = {{ mtk = {{ relaxation = 0.5 }} }}"), 200_000),
    ] {
        let ([mean, e], [variance, f]) = ideal_gas(&table, steps);
        println!("{mean:.3} +- {e:.3}   {variance:.2} +- {f:.2}   {}", table.replace('\n', " "));
        assert!((mean - 101.0).abs() < 5.0 * e && e < 1.0, "mean {mean} +- {e}: {table}");
        assert!((variance - 101.0).abs() < 5.0 * f && f < 15.0, "variance {variance} +- {f}: {table}");
    }
}
