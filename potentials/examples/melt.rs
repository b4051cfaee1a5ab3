//! Speed of the Lennard-Jones melt (fcc, density 0.8442, T 1.44, cutoff 2.5, skin 0.3, dt 0.005, truncated), with velocity
//! Verlet written out: `melt [REPEAT 20] [STEPS 200] [THREADS 1]`. Prints one line of JSON.
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Evaluator, Properties, Species, State, System, UnitSystem, Vec3};
use caloron_potentials::{BuildContext, PotentialSpec};
use std::time::Instant;

fn melt(repeat: u32) -> (System, State) {
    let a = (4.0f64 / 0.8442).cbrt();
    let basis = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
    let mut positions = Vec::new();
    for x in 0..repeat {
        for y in 0..repeat {
            for z in 0..repeat {
                let at = Vec3::new(f64::from(x), f64::from(y), f64::from(z));
                positions.extend(basis.map(|b| (at + Vec3::from(b)) * a));
            }
        }
    }
    let mut random = 12345u64;
    let mut uniform = || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut velocities: Vec<Vec3> =
        positions.iter().map(|_| Vec3::new(uniform(), uniform(), uniform())).collect();
    let n = positions.len() as f64;
    let mean = velocities.iter().sum::<Vec3>() / n;
    velocities.iter_mut().for_each(|v| *v -= mean);
    let square: f64 = velocities.iter().map(|v| v.norm_squared()).sum();
    let scale = (1.44 * 3.0 * (n - 1.0) / square).sqrt();
    velocities.iter_mut().for_each(|v| *v *= scale);
    let edge = a * f64::from(repeat);
    let cell = Cell::orthorhombic(edge, edge, edge).expect("a cell");
    let atom = Species { symbol: "Ar".into(), number: Some(18), mass: 1.0 };
    let system = System::new(vec![atom], vec![0; positions.len()]);
    (system, State::new(positions, velocities, cell))
}

fn run(repeat: u32, steps: u32) -> (usize, f64, u64, f64, f64) {
    let (system, mut state) = melt(repeat);
    let spec = "[lennard_jones]\ncutoff = 2.5\ntruncation = \"truncated\"\npairs = [{ species = [\"Ar\", \"Ar\"], \
                epsilon = 1.0, sigma = 1.0 }]";
    let spec: PotentialSpec =
        caloron_engine::quantity::reading_in(UnitSystem::Lj, || toml::from_str(spec)).expect("a potential");
    let mut context = BuildContext {
        models: &Default::default(),
        system: &system,
        positions: &[],
        cell: state.cell(),
        units: UnitSystem::Lj,
        directory: std::path::Path::new("."),
        files: Vec::new(),
    };
    let potential = spec.build(&mut context).expect("a potential");
    let mut evaluator = Evaluator::new(vec![potential], 0.3, Search::Auto);
    let want = if std::env::var_os("FORCES_ONLY").is_some() {
        Properties::FORCES
    } else {
        Properties::FORCES | Properties::ENERGY
    };
    let dt = 0.005;
    let total = |state: &State, energy: f64| {
        energy + 0.5 * state.velocities().iter().map(|v| v.norm_squared()).sum::<f64>()
    };
    let kick = |state: &mut State, evaluator: &mut Evaluator| {
        let out = evaluator.ensure(&system, state, want, want).expect("forces");
        let energy = out.energy;
        let f = &out.forces;
        caloron_engine::parallel::for_each_mut(state.velocities_mut(), |i, v| *v += 0.5 * dt * f[i]);
        energy
    };
    let energy = kick(&mut state, &mut evaluator);
    let before = total(&state, energy);
    let start = Instant::now();
    let builds = evaluator.lists()[0].builds();
    let mut energy = 0.0;
    for _ in 0..steps {
        let (positions, velocities) = state.phase_mut();
        caloron_engine::parallel::for_each_mut(positions, |i, r| *r += dt * velocities[i]);
        energy = kick(&mut state, &mut evaluator);
        kick(&mut state, &mut evaluator);
    }
    let seconds = start.elapsed().as_secs_f64();
    let builds = evaluator.lists()[0].builds() - builds;
    let after = total(&state, energy);
    // one build, timed apart
    let mut list = evaluator.lists()[0].clone();
    let timer = Instant::now();
    for k in 0..4 {
        let moved = Vec3::repeat(if k % 2 == 0 { 0.5 } else { 0.0 });
        let positions: Vec<Vec3> = state.positions().iter().map(|r| r + moved).collect();
        list.update(&system, &positions, state.cell());
    }
    let build = timer.elapsed().as_secs_f64() / 4.0;
    eprintln!(
        "energy change {:.2e} of {:.6}; list {} bytes per atom, {:.1} pairs per atom",
        (after - before) / system.len() as f64,
        energy / system.len() as f64,
        list.bytes() / system.len(),
        list.pairs() as f64 / system.len() as f64
    );
    (system.len(), seconds, builds, build, energy)
}

fn main() {
    let number =
        |k: usize, default: u32| std::env::args().nth(k).map_or(default, |a| a.parse().expect("a number"));
    let (repeat, steps, threads) = (number(1, 20), number(2, 200), number(3, 1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build().expect("threads");
    let (atoms, seconds, builds, build, _) = pool.install(|| run(repeat, steps));
    println!(
        "{{\"atoms\":{atoms},\"steps\":{steps},\"threads\":{threads},\"loop_seconds\":{seconds:.4},\
         \"atom_steps_per_second\":{:.0},\"neighbor_builds\":{builds},\"neighbor_share\":{:.3}}}",
        atoms as f64 * f64::from(steps) / seconds,
        builds as f64 * build / seconds
    );
}
