//! Speed of many-body potentials, with velocity Verlet written out: `many_body eam|sw|tersoff [STEPS 100]`, one thread.
//! Potential files are read from `../shared/reference/potentials` (`CALORON_REFERENCE` names another `reference` folder); `TERSOFF`
//! names the file for Tersoff, such as `Si.tersoff` of a LAMMPS installation.
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Evaluator, Properties, Species, State, System, UnitSystem, Vec3, testing};
use caloron_potentials::{BuildContext, PotentialSpec};
use std::time::Instant;
fn main() {
    let case = std::env::args().nth(1).unwrap_or("sw".into());
    let steps: u32 = std::env::args().nth(2).map_or(100, |x| x.parse().expect("a number of steps"));
    let tersoff = std::env::var("TERSOFF").unwrap_or("SiC.tersoff".into());
    let tersoff = format!("[tersoff]\nfile = {tersoff:?}");
    let (a, repeat, basis, symbol, mass, temperature, dt, toml) = {
        let fcc = vec![[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
        let mut dia = fcc.clone();
        dia.extend(fcc.iter().map(|b| b.map(|x| x + 0.25)));
        match case.as_str() {
            "eam" => (3.615, 20, fcc, "Cu", 63.55, 1600.0, 5.0, "[eam]\nfile = \"Cu_u3.eam\""),
            "sw" => (5.431, 16, dia, "Si", 28.06, 1000.0, 1.0, "[stillinger_weber]\nfile = \"Si.sw\""),
            "tersoff" => (5.431, 16, dia, "Si", 28.06, 1000.0, 1.0, tersoff.as_str()),
            other => panic!("`{other}` is none of eam, sw and tersoff"),
        }
    };
    let Some(directory) = testing::reference("potentials") else { return };
    let mut positions = Vec::new();
    for x in 0..repeat {
        for y in 0..repeat {
            for z in 0..repeat {
                let at = Vec3::new(f64::from(x), f64::from(y), f64::from(z));
                positions.extend(basis.iter().map(|b| (at + Vec3::from(*b)) * a));
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
    let scale = (8.617333262e-5 * temperature * 3.0 * (n - 1.0) / (mass * square)).sqrt();
    velocities.iter_mut().for_each(|v| *v *= scale);
    let edge = a * f64::from(repeat);
    let cell = Cell::orthorhombic(edge, edge, edge).expect("it works");
    let system =
        System::new(vec![Species { symbol: symbol.into(), number: None, mass }], vec![0; positions.len()]);
    let mut state = State::new(positions, velocities, cell);
    let spec: PotentialSpec = toml::from_str(toml).expect("it works");
    let mut context = BuildContext {
        models: &Default::default(),
        system: &system,
        positions: &[],
        cell: &Cell::open(),
        units: UnitSystem::Physical,
        directory: &directory,
        files: Vec::new(),
    };
    let potential = spec.build(&mut context).expect("it works");
    let mut evaluator = Evaluator::new(vec![potential], 1.0, Search::Auto);
    let dt = dt / 10.180505;
    let want = Properties::FORCES | Properties::ENERGY;
    let total = |state: &State, e: f64| {
        e + 0.5 * mass * state.velocities().iter().map(|v| v.norm_squared()).sum::<f64>()
    };
    let kick = |state: &mut State, evaluator: &mut Evaluator| {
        let out = evaluator.ensure(&system, state, want, want).expect("it works");
        let (energy, f) = (out.energy, &out.forces);
        let c = 0.5 * dt / mass;
        for (v, f) in state.velocities_mut().iter_mut().zip(f) {
            *v += f * c;
        }
        energy
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("it works");
    pool.install(|| {
        let e = kick(&mut state, &mut evaluator);
        let before = total(&state, e);
        let mut energy = e;
        let start = Instant::now();
        let mut best = f64::INFINITY;
        for _ in 0..steps {
            let one = Instant::now();
            let (r, v) = state.phase_mut();
            for (r, v) in r.iter_mut().zip(v.iter()) {
                *r += v * dt;
            }
            energy = kick(&mut state, &mut evaluator);
            kick(&mut state, &mut evaluator);
            best = best.min(one.elapsed().as_secs_f64());
        }
        let t = start.elapsed().as_secs_f64();
        println!(
            "{case}: {:.3} M atom-steps/s (best step {:.3}), builds {} {:.3} s of {t:.3}, drift {:.2e}",
            n * f64::from(steps) / t / 1e6,
            n / best / 1e6,
            evaluator.lists()[0].builds(),
            evaluator.lists()[0].build_seconds(),
            (total(&state, energy) - before) / n
        );
    });
}
