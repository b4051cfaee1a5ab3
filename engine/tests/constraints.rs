//! Dynamics, ensembles and minimisation with rigid molecules and virtual sites.
mod support;
use caloron_engine::constraints::Kinds;
use caloron_engine::dynamics::kick_drift::project;
use caloron_engine::minimize::{MinimizeSpec, relax};
use caloron_engine::neighbors::Search;
use caloron_engine::statistics::block_average;
use caloron_engine::topology::{Constraint, RigidBody, SiteKind, VirtualSite};
use caloron_engine::validation::kinetic_distribution;
use caloron_engine::*;
use support::*;

const OH: f64 = 0.9572;
const HH: f64 = 1.513_900_6;
/// 300 K, eV.
const KT: f64 = 0.025_852;
/// 1 fs.
const FS: f64 = units::FEMTOSECOND;

/// How the molecules of a test are made rigid.
#[derive(Clone, Copy, PartialEq)]
enum Rigid {
    /// Three distances (SETTLE).
    Settle,
    /// TIP4P: three distances and a massless charge.
    FourSites,
    /// A rigid body.
    Body,
    /// Two bonds and a free angle, for the dense solver.
    Bonds,
}

/// Coulomb and Lennard-Jones (the latter between species 0 alone) times (1 - r²/rc²)³ between atoms of different
/// molecules, and a spring on the angle of flexible ones: smooth, nearest images.
struct Water {
    cutoff: f64,
    per_molecule: usize,
    angle: f64,
}

const COULOMB: f64 = 14.399_645_478;

impl Potential for Water {
    fn name(&self) -> &'static str {
        "water"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, input: Input<'_>, _: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let (r, q, types) = (input.positions, input.system.charges(), input.system.types());
        let (h, inv) = (*input.cell.matrix(), *input.cell.inverse());
        let periodic = input.cell.is_fully_periodic();
        let rc2 = self.cutoff * self.cutoff;
        let (epsilon, sigma6) = (0.0067, 3.15f64.powi(6));
        for i in 0..r.len() {
            let mut fi = Vec3::zeros();
            let first = i / self.per_molecule * self.per_molecule;
            for j in 0..first {
                let mut d = r[i] - r[j];
                if periodic {
                    d -= h * (inv * d).map(f64::round);
                }
                let r2 = d.norm_squared();
                if r2 >= rc2 {
                    continue;
                }
                let s = 1.0 / r2;
                let mut u = COULOMB * q[i] * q[j] * s.sqrt();
                let mut g = u * s;
                if types[i] == 0 && types[j] == 0 {
                    let s6 = sigma6 * s * s * s;
                    u += 4.0 * epsilon * s6 * (s6 - 1.0);
                    g += 24.0 * epsilon * s6 * (2.0 * s6 - 1.0) * s;
                }
                let x = 1.0 - r2 / rc2;
                let f = d * (g * x * x * x + u * 6.0 * x * x / rc2);
                out.energy += u * x * x * x;
                fi += f;
                out.forces[j] -= f;
                out.virial += d * f.transpose();
            }
            out.forces[i] += fi;
        }
        if self.angle > 0.0 {
            for m in (0..r.len()).step_by(self.per_molecule) {
                let d = r[m + 1] - r[m + 2];
                let x = d.norm() - HH;
                out.energy += 0.5 * self.angle * x * x;
                let f = d.normalize() * (-self.angle * x);
                out.forces[m + 1] += f;
                out.forces[m + 2] -= f;
                out.virial += d * f.transpose();
            }
        }
        Ok(())
    }
}

fn potential(rigid: Rigid, n: usize) -> Water {
    Water {
        // below half of the box
        cutoff: [3.0, 4.2, 6.0][(n - 2).min(2)],
        per_molecule: if rigid == Rigid::FourSites { 4 } else { 3 },
        angle: if rigid == Rigid::Bonds { 5.0 } else { 0.0 },
    }
}

/// n³ molecules on a lattice, turned at random, at the density of water or another spacing.
fn lattice(rigid: Rigid, n: usize, spacing: f64) -> (System, State) {
    let four = rigid == Rigid::FourSites;
    let size = if four { 4 } else { 3 };
    let mut species = vec![("O", 15.9994), ("H", 1.008)];
    species.extend(four.then_some(("M", 0.0)));
    let species =
        species.into_iter().map(|(s, mass)| Species { symbol: s.into(), number: None, mass }).collect();
    let count = n * n * n;
    let mut system = System::new(species, [0u16, 1, 1, 2][..size].repeat(count));
    let q = if four { [0.0, 0.52, 0.52, -1.04] } else { [-0.834, 0.417, 0.417, 0.0] };
    system.set_charges(q[..size].repeat(count));
    let half: f64 = 0.5 * HH;
    let height = (OH * OH - half * half).sqrt();
    let shape = [Vec3::zeros(), Vec3::new(half, height, 0.0), Vec3::new(-half, height, 0.0), Vec3::zeros()];
    let rng = Streams { seed: 77 };
    let mut r = Vec::new();
    let mut parts = TopologyParts::default();
    for k in 0..count {
        let place = Vec3::new((k % n) as f64, (k / n % n) as f64, (k / n / n) as f64) * spacing;
        let turn = nalgebra::Rotation3::from_scaled_axis(rng.normal3(Stream::Test, 0, 0, k as u64) * 2.0);
        r.extend(shape[..size].iter().map(|d| place + turn * d));
        let o = (size * k) as u32;
        let c = |i, j, length| Constraint { atoms: [o + i, o + j], length };
        match rigid {
            Rigid::Body => parts
                .rigid_bodies
                .push(RigidBody { atoms: vec![o, o + 1, o + 2], shape: shape[..3].to_vec() }),
            Rigid::Bonds => parts.constraints.extend([c(0, 1, OH), c(0, 2, OH)]),
            _ => parts.constraints.extend([c(0, 1, OH), c(0, 2, OH), c(1, 2, HH)]),
        }
        if four {
            let weights = [0.786_646_558, 0.106_676_721, 0.106_676_721];
            let kind = SiteKind::ThreeAverage { parents: [o, o + 1, o + 2], weights };
            parts.virtual_sites.push(VirtualSite { site: o + 3, kind });
        }
    }
    system.set_topology(Topology::new(system.len(), parts).unwrap()).unwrap();
    let l = n as f64 * spacing;
    let v = (0..r.len() as u64)
        .map(|i| rng.normal3(Stream::Velocities, 0, 0, i) * (KT * system.inverse_masses()[i as usize]).sqrt())
        .collect();
    let mut state = State::new(r, v, Cell::orthorhombic(l, l, l).unwrap());
    state.place_virtual_sites(&system);
    dynamics::momentum::remove_linear(&system, &mut state);
    project(&system, &mut state).unwrap();
    (system, state)
}

fn minimise(system: &System, state: State, potential: Water, table: &str) -> minimize::Relaxation {
    let spec: MinimizeSpec = quantity::reading_in(UnitSystem::Lj, || toml::from_str(table)).unwrap();
    let mut evaluator = Evaluator::new(vec![Box::new(potential)], 0.0, Search::Auto);
    relax(system, state, &mut evaluator, &spec, UnitSystem::Lj, |_| true).unwrap()
}

/// Water that has forgotten its lattice, at about 300 K and total momentum zero.
fn water(rigid: Rigid, n: usize) -> (System, State) {
    let (system, state) = lattice(rigid, n, 3.107);
    let velocities = state.velocities().to_vec();
    let mut state = minimise(&system, state, potential(rigid, n), "fmax = 0.1\nsteps = 60").state;
    state.velocities_mut().copy_from_slice(&velocities);
    project(&system, &mut state).unwrap();
    let table = format!(
        "timestep = {}\ntemperature = {KT}\nthermostat = {{ langevin = {{ friction = 0.1 }} }}",
        2.0 * FS
    );
    let langevin = sampler("nvt", &table, &system, &state);
    let mut run = Run::new(system, state, Box::new(potential(rigid, n)), langevin);
    run.steps(400);
    dynamics::momentum::remove_linear(&run.system, &mut run.state);
    (run.state.step, run.state.time) = (0, 0.0);
    (run.system, run.state)
}

/// Largest relative error of the constrained distances, and of rigid bodies as triangles.
fn violation(system: &System, state: &State) -> f64 {
    let r = state.positions();
    let error = |i: u32, j: u32, d: f64| ((r[i as usize] - r[j as usize]).norm() / d - 1.0).abs();
    let topology = system.topology();
    let distances = topology.constraints().iter().map(|c| error(c.atoms[0], c.atoms[1], c.length));
    let bodies = topology.rigid_bodies().iter().map(|b| error(b.atoms[1], b.atoms[2], HH));
    distances.chain(bodies).fold(0.0, f64::max)
}

#[test]
fn every_kind_of_rigid_water_conserves_energy_to_second_order() {
    for (rigid, kinds) in [
        (Rigid::Settle, Kinds { waters: 27, ..Kinds::default() }),
        (Rigid::FourSites, Kinds { waters: 27, ..Kinds::default() }),
        (Rigid::Body, Kinds { bodies: 27, ..Kinds::default() }),
        (Rigid::Bonds, Kinds { small: 27, ..Kinds::default() }),
    ] {
        let (system, state) = water(rigid, 3);
        assert_eq!(system.solver().kinds(), kinds);
        let rms = |dt: f64| {
            let nve = sampler("nve", &format!("timestep = {dt}"), &system, &state);
            assert_eq!(nve.notation(), "BABR");
            let mut run = Run::new(system.clone(), state.clone(), Box::new(potential(rigid, 3)), nve);
            let steps = (200.0 * FS / dt).round() as usize;
            let start = run.conserved();
            let mut sum = 0.0;
            for _ in 0..steps {
                run.step();
                sum += (run.conserved() - start).powi(2);
            }
            assert!(violation(&system, &run.state) < 1e-10);
            (sum / steps as f64).sqrt()
        };
        let (a, b) = (rms(2.0 * FS), rms(FS));
        println!("{a:.3e} {b:.3e} eV, ratio {:.3}", a / b);
        assert!((3.7..4.3).contains(&(a / b)), "{a:e} {b:e} {}", a / b);
    }
}

#[test]
fn multiple_time_steps_keep_constraints() {
    let (system, state) = water(Rigid::Settle, 3);
    let table = format!("timestep = {}\nrespa = {{ inner = [2] }}", 2.0 * FS);
    let nve = sampler("nve", &table, &system, &state);
    assert_eq!(nve.notation(), "B0 (B1 A B1)x2 B0 R");
    let mut run = Run::new(system, state, Box::new(potential(Rigid::Settle, 3)), nve);
    let terms: Vec<(Box<dyn Potential>, u8)> =
        vec![(Box::new(Ideal), 0), (Box::new(potential(Rigid::Settle, 3)), 1)];
    run.evaluator = Evaluator::with_groups(terms, 0.0, Search::Auto);
    let start = run.conserved();
    run.steps(50);
    assert!((run.conserved() - start).abs() < 2e-3 && violation(&run.system, &run.state) < 1e-10);
}

/// Every sampler but Brownian motion, for water at 300 K.
fn samplers() -> Vec<(&'static str, &'static str, String)> {
    let kt = format!("temperature = {KT}\n");
    let mut list = vec![
        ("NVE", "nve", "remove_momentum = { every = 3 }".to_owned()),
        ("NPH", "nph", format!("{kt}pressure = 0.001\nrelaxation = 20.0\nmode = \"triclinic\"")),
    ];
    let thermostats = [
        ("Langevin", "{ langevin = { friction = 0.02 } }"),
        ("Bussi", "{ bussi = { relaxation = 10.0 } }"),
        ("Nosé-Hoover", "{ nose_hoover = { relaxation = 10.0 } }"),
        ("Andersen", "{ andersen = { rate = 0.02 } }"),
    ];
    for (name, thermostat) in thermostats {
        list.push((name, "nvt", format!("{kt}thermostat = {thermostat}")));
    }
    for (name, barostat) in [
        ("cell rescaling", "{ cell_rescale = { relaxation = 50.0, compressibility = 7.2 } }"),
        (
            "cell rescaling, anisotropic",
            "{ cell_rescale = { relaxation = 50.0, compressibility = 7.2, mode = \"anisotropic\" } }",
        ),
        ("MTK", "{ mtk = { relaxation = 50.0 } }"),
        ("Monte Carlo", "{ monte_carlo = { every = 3, step = 0.02 } }"),
    ] {
        for (_, thermostat) in &thermostats[..3] {
            list.push((
                name,
                "npt",
                format!("{kt}pressure = 0.0005\nthermostat = {thermostat}\nbarostat = {barostat}"),
            ));
        }
    }
    list
}

#[test]
fn every_sampler_keeps_constraints_conserves_and_restarts() {
    let (system, state) = water(Rigid::Settle, 3);
    let bits = |s: &State| -> Vec<u64> {
        let vectors = s.positions().iter().chain(s.velocities());
        vectors
            .flat_map(|v| v.iter().copied())
            .chain(s.cell().matrix().iter().copied())
            .map(f64::to_bits)
            .collect()
    };
    for (name, kind, table) in samplers() {
        let start = |dt: f64| {
            let table = format!("timestep = {dt}\n{table}");
            let sampler = sampler(kind, &table, &system, &state);
            Run::new(system.clone(), state.clone(), Box::new(potential(Rigid::Settle, 3)), sampler)
        };
        let drift = |dt: f64| {
            let mut run = start(dt);
            let before = run.conserved();
            let mut worst = 0.0f64;
            for _ in 0..(100.0 * FS / dt).round() as usize {
                run.step();
                worst = worst.max((run.conserved() - before).abs());
            }
            assert!(violation(&system, &run.state) < 1e-10, "{name}");
            worst
        };
        let (a, b) = (drift(2.0 * FS), drift(0.5 * FS));
        println!("{name:30} {a:.2e} {b:.2e} {:.1}", a / b);
        // second order makes 16; random trajectories differ in more than their time step
        assert!(a / b > 3.0 && a < 0.05, "{name}: {a:e} {b:e}\n{table}");

        let mut whole = start(2.0 * FS);
        whole.steps(7);
        let mut archive = Archive::writer();
        whole.state.archive(&mut archive).unwrap();
        whole.sampler.archive(&mut archive).unwrap();
        let bytes = archive.into_bytes();
        whole.steps(6);
        let mut resumed = start(2.0 * FS);
        let mut archive = Archive::reader(bytes);
        resumed.state.archive(&mut archive).unwrap();
        resumed.sampler.archive(&mut archive).unwrap();
        resumed.steps(6);
        assert_eq!(bits(&whole.state), bits(&resumed.state), "{name}");
    }
}

#[test]
fn thermostats_sample_the_kinetic_energy_of_rigid_molecules() {
    let (system, state) = water(Rigid::Settle, 2);
    for (name, kind, table) in samplers().into_iter().filter(|s| s.1 == "nvt") {
        let table = format!("timestep = {}\n{table}", 2.0 * FS);
        let sampler = sampler(kind, &table, &system, &state);
        let mut run = Run::new(system.clone(), state.clone(), Box::new(potential(Rigid::Settle, 2)), sampler);
        let expected = if ["Langevin", "Andersen"].contains(&name) { 48.0 } else { 45.0 };
        assert_eq!(run.dof, expected);
        run.steps(500);
        let units = run.system.solver().units().clone();
        let (mut kinetic, mut centers) = (Vec::new(), Vec::new());
        for _ in 0..8000 {
            run.steps(2);
            kinetic.push(run.kinetic());
            centers.push(0.5 * units.kinetic(run.system.masses(), run.state.velocities()).trace());
        }
        let check = kinetic_distribution(&kinetic, run.dof, KT);
        let of_centers = run.dof - 24.0;
        let t = block_average(&centers);
        let (t, e) = (2.0 * t.value / of_centers / KT, 2.0 * t.error / of_centers / KT);
        println!(
            "{name}: mean {:+.2} width {:+.2} ks {:.3} centres T {t:.3} +- {e:.3}",
            check.mean.z(),
            check.width.z(),
            check.probability
        );
        assert!(
            check.mean.z().abs() < 5.0 && check.width.z().abs() < 5.0 && check.probability > 1e-4,
            "{name}"
        );
        assert!((t - 1.0).abs() < 5.0 * e && e < 0.05, "{name}: {t} +- {e}");
    }
}

#[test]
fn an_ideal_gas_of_rigid_molecules_has_the_exact_volume_distribution() {
    // P(V) ~ V^N exp(-P V/kT) for N molecules, whatever their atoms: mean and variance are N + 1 for P = kT
    let n: f64 = 27.0;
    for (thermostat, barostat) in [
        (
            "{ langevin = { friction = 0.05 } }",
            "{ cell_rescale = { relaxation = 20.0, compressibility = 38.7 } }",
        ),
        ("{ langevin = { friction = 0.05 } }", "{ mtk = { relaxation = 20.0 } }"),
        ("{ bussi = { relaxation = 10.0 } }", "{ monte_carlo = { every = 1, step = 0.3, adapt = 0 } }"),
    ] {
        let (system, state) = lattice(Rigid::Settle, 3, ((n + 1.0) / n).cbrt());
        let table = format!(
            "timestep = 0.4\ntemperature = {KT}\npressure = {KT}\nthermostat = {thermostat}\nbarostat = {barostat}"
        );
        let sampler = sampler("npt", &table, &system, &state);
        let mut run = Run::new(system, state, Box::new(Ideal), sampler);
        run.steps(1000);
        let volumes: Vec<f64> = (0..20_000)
            .map(|_| {
                run.step();
                run.state.cell().volume()
            })
            .collect();
        let mean = block_average(&volumes);
        let squares: Vec<f64> = volumes.iter().map(|v| (v - (n + 1.0)).powi(2)).collect();
        let variance = block_average(&squares);
        println!(
            "{:.2} +- {:.2}  {:.1} +- {:.1}  {barostat}",
            mean.value, mean.error, variance.value, variance.error
        );
        assert!((mean.value - n - 1.0).abs() < 5.0 * mean.error && mean.error < 0.6, "{barostat}");
        assert!(
            (variance.value - n - 1.0).abs() < 5.0 * variance.error && variance.error < 8.0,
            "{barostat}"
        );
    }
}

#[test]
fn the_virial_of_units_is_the_derivative_by_their_scaling() {
    for rigid in [Rigid::Settle, Rigid::FourSites] {
        let (system, state) = lattice(rigid, 3, 3.107);
        let units = system.solver().units();
        let outputs = |strain: f64| {
            let map = Mat3::identity() * (1.0 + strain);
            let mut r = state.positions().to_vec();
            units.scale(&map, &mut r, &mut Vec::new());
            let mut e = Evaluator::new(vec![Box::new(potential(rigid, 3))], 0.0, Search::Auto);
            let need = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
            let moved = State::at_rest(r, state.cell().deformed(&map).unwrap());
            e.ensure(&system, &moved, need, need).unwrap().clone()
        };
        let h = 1e-5;
        let numeric = -(outputs(h).energy - outputs(-h).energy) / (2.0 * h);
        let out = outputs(0.0);
        let mut whole = state.clone();
        whole.place_virtual_sites(&system);
        let w = out.virial - units.internal_virial(whole.positions(), &out.forces);
        assert!((numeric - w.trace()).abs() < 1e-6 * w.trace().abs(), "{numeric} {}", w.trace());
        assert!((numeric - out.virial.trace()).abs() > 1e-2, "the virial of the atoms is another one");
    }
}

#[test]
fn rigid_molecules_relax() {
    for rigid in [Rigid::Settle, Rigid::Body, Rigid::FourSites] {
        let mut energies = Vec::new();
        for method in ["lbfgs", "fire"] {
            // two molecules in the open: one minimum
            let (system, state) = lattice(rigid, 2, 3.0);
            let atoms = 2 * system.len() / 8;
            let mut parts = system.topology().parts().clone();
            parts.constraints.retain(|c| (c.atoms[1] as usize) < atoms);
            parts.rigid_bodies.truncate(2);
            parts.virtual_sites.retain(|s| (s.site as usize) < atoms);
            let mut small = System::new(system.species().to_vec(), system.types()[..atoms].to_vec());
            small.set_charges(system.charges()[..atoms].to_vec());
            small.set_topology(Topology::new(atoms, parts).unwrap()).unwrap();
            let state = State::at_rest(state.positions()[..atoms].to_vec(), Cell::open());
            let table = format!("method = \"{method}\"\nfmax = 1e-5\nsteps = 20000");
            let end = minimise(&small, state, Water { cutoff: 30.0, ..potential(rigid, 2) }, &table);
            println!("{method}: {} steps, {:.9} eV, {:?}", end.steps, end.energy, end.outcome);
            assert!(end.converged, "{:?} fmax {:e}", end.outcome, end.fmax);
            assert!(violation(&small, &end.state) < 1e-9);
            energies.push(end.energy);
        }
        // the dimer of water, about -0.28 eV for these models
        assert!(
            (energies[0] - energies[1]).abs() < 1e-7 && (-0.35..-0.2).contains(&energies[0]),
            "{energies:?}"
        );
    }
}

#[test]
fn cells_of_rigid_molecules_relax() {
    let (system, state) = lattice(Rigid::Settle, 3, 3.3);
    // far below half of the box, which shrinks
    let water = || Water { cutoff: 3.4, ..potential(Rigid::Settle, 3) };
    let table = "fmax = 0.001\nsteps = 5000\ncell = { pressure = 0.01, smax = 1e-5 }";
    let end = minimise(&system, state, water(), table);
    assert!(end.converged, "{:?} {} {:e} {:e}", end.outcome, end.steps, end.fmax, end.smax);
    assert!(violation(&system, &end.state) < 1e-9);
    // the pressure of the units is that of the target
    let mut e = Evaluator::new(vec![Box::new(water())], 0.0, Search::Auto);
    let need = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
    let out = e.ensure(&system, &end.state, need, need).unwrap();
    let w = out.virial - system.solver().units().internal_virial(end.state.positions(), &out.forces);
    assert!((w.trace() / 3.0 / end.state.cell().volume() - 0.01).abs() < 2e-5);
}

/// `cargo test --release -p caloron-engine --test constraints -- --ignored --nocapture drift`
#[test]
#[ignore = "a minute; a validation run"]
fn drift_of_rigid_water() {
    for rigid in [Rigid::Settle, Rigid::FourSites] {
        let (system, state) = water(rigid, 4);
        let dt = 2.0 * FS;
        let nve = sampler("nve", &format!("timestep = {dt}"), &system, &state);
        let mut run = Run::new(system, state, Box::new(potential(rigid, 4)), nve);
        let mut series = statistics::Series::default();
        for _ in 0..100_000 {
            run.step();
            series.push(run.conserved());
        }
        let d = series.drift();
        let scale = 1e6 * FS / dt / (KT * run.dof);
        println!(
            "drift {:.2e} +- {:.1e} kT/ns/dof, constraints kept to {:.1e}",
            d.value * scale,
            d.error * scale,
            violation(&run.system, &run.state)
        );
        assert!(d.value.abs() * scale < 1e-5 + 3.0 * d.error * scale);
    }
}
