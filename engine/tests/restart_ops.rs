//! A restarted sampler continues as if it had never stopped, bit for bit.
mod support;
use caloron_engine::neighbors::Search;
use caloron_engine::*;
use support::*;

fn bits(state: &State) -> Vec<u64> {
    let vectors = state.positions().iter().chain(state.velocities());
    let cell = state.cell().matrix().iter();
    vectors.flat_map(|v| v.iter().copied()).chain(cell.copied()).map(f64::to_bits).collect()
}

#[test]
fn every_sampler_restarts_with_the_same_bits() {
    let (system, state) = fluid(2);
    let lj = || Box::new(SmoothLj { cutoff: 1.5 });
    for (name, kind, table) in all_samplers() {
        let table = format!("timestep = 0.004\n{table}");
        let make = || sampler(kind, &table, &system, &state);
        let (before, after) = (37, 24);

        let mut whole = Run::new(system.clone(), state.clone(), lj(), make());
        whole.steps(before);
        let mut archive = Archive::writer();
        whole.state.archive(&mut archive).unwrap();
        whole.sampler.archive(&mut archive).unwrap();
        let bytes = archive.into_bytes();
        whole.steps(after);

        let mut resumed = Run::new(system.clone(), state.clone(), lj(), make());
        let mut archive = Archive::reader(bytes);
        resumed.state.archive(&mut archive).unwrap();
        resumed.sampler.archive(&mut archive).unwrap();
        resumed.steps(after);

        assert_eq!(bits(&whole.state), bits(&resumed.state), "{name}: {table}");
        assert_ne!(bits(&whole.state), bits(&state));
        if whole.sampler.bath_energy(&system, &whole.state).is_some() {
            assert_eq!(whole.conserved().to_bits(), resumed.conserved().to_bits(), "{name}");
        }
        assert_eq!((whole.state.step, whole.state.time.to_bits()), (61, resumed.state.time.to_bits()));
    }
}

#[test]
fn a_checkpoint_of_another_sampler_is_refused() {
    let (system, state) = fluid(2);
    let table = |t: &str| format!("timestep = 0.004\ntemperature = 1.0\nthermostat = {t}");
    let mut first = sampler("nvt", &table(THERMOSTATS[0].1), &system, &state);
    let mut second = sampler("nvt", &table(THERMOSTATS[1].1), &system, &state);
    let mut archive = Archive::writer();
    first.archive(&mut archive).unwrap();
    let error = second.archive(&mut Archive::reader(archive.into_bytes())).unwrap_err();
    assert!(error.to_string().contains("BAOAB"), "{error}");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    // more atoms than two blocks of a parallel sum, in wells
    let n = 3000;
    let rng = Streams { seed: 1 };
    let random = |s| (0..n as u64).map(|i| rng.normal3(Stream::Test, s, 0, i)).collect::<Vec<_>>();
    let start = State::new(random(0), random(1), Cell::orthorhombic(9.0, 9.0, 9.0).unwrap());
    for (name, kind, table) in all_samplers() {
        let table = format!("timestep = 0.004\n{table}");
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let system = atoms(n);
                let sampler = sampler(kind, &table, &system, &start);
                let mut run = Run::new(system, start.clone(), Box::new(Well { k: 1.0 }), sampler);
                run.evaluator = Evaluator::new(vec![Box::new(Well { k: 1.0 })], 0.0, Search::Auto);
                run.steps(12);
                bits(&run.state)
            })
        };
        assert_eq!(run(1), run(5), "{name}");
    }
}
