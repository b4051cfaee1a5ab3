//! Time of one neighbour build by backend, density and size; it settles where `Search::Auto` switches.
use caloron::engine::neighbors::Search;
use caloron::engine::{Cell, NeighborList, Species, System, Vec3};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Numbers in [0, 1).
fn dice() -> impl FnMut() -> f64 {
    let mut seed = 1u64;
    move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn one_species(n: usize) -> System {
    let atom = Species { symbol: "Ar".into(), number: None, mass: 1.0 };
    System::new(vec![atom], vec![0; n])
}

/// `n` random atoms in so many clusters, `density` of them per cube of the list radius 2.8, a thousand edges apart.
fn clusters(n: usize, clusters: usize, density: f64) -> Vec<Vec3> {
    let edge = 2.8 * (n as f64 / clusters as f64 / density).cbrt();
    let mut uniform = dice();
    let mut point = || Vec3::new(uniform(), uniform(), uniform()) * edge;
    let centers: Vec<Vec3> = (0..clusters).map(|_| 1000.0 * point()).collect();
    (0..n).map(|k| centers[k % clusters] + point()).collect()
}

/// `n` random atoms, `density` of them per cube of the list radius 2.8, in a periodic box or in open space.
fn gas(n: usize, density: f64, open: bool) -> (System, Vec<Vec3>, Cell) {
    let edge = 2.8 * (n as f64 / density).cbrt();
    let mut uniform = dice();
    let positions = (0..n).map(|_| Vec3::new(uniform(), uniform(), uniform()) * edge).collect();
    let cell = if open { Cell::open() } else { Cell::orthorhombic(edge, edge, edge).expect("a box") };
    (one_species(n), positions, cell)
}

fn settings(group: &mut BenchmarkGroup<'_, WallTime>, n: usize) {
    group.throughput(Throughput::Elements(n as u64)).sample_size(10);
    group.warm_up_time(std::time::Duration::from_millis(200));
    group.measurement_time(std::time::Duration::from_millis(600));
}

fn builds(c: &mut Criterion) {
    for open in [false, true] {
        for n in [16, 32, 64, 1000, 30_000] {
            let boundaries = if open { "open" } else { "periodic" };
            let mut group = c.benchmark_group(format!("build/{boundaries}/{n}"));
            settings(&mut group, n);
            for density in [1e-4, 1e-2, 1.0, 18.5] {
                let (system, positions, cell) = gas(n, density, open);
                for search in [Search::CellGrid, Search::KdTree, Search::BruteForce] {
                    if search == Search::BruteForce && n > 1000 {
                        continue;
                    }
                    // without a skin every update builds
                    let mut list = NeighborList::new(2.8, 0.0, search);
                    let id = BenchmarkId::new(format!("{search:?}"), density);
                    group.bench_function(id, |b| b.iter(|| list.update(&system, &positions, &cell)));
                }
            }
            group.finish();
        }
    }
}

fn builds_of_clusters(c: &mut Criterion) {
    for (n, count) in [(1000, 2), (4000, 2), (30_000, 3), (30_000, 30)] {
        let mut group = c.benchmark_group(format!("clusters/{n} in {count}"));
        settings(&mut group, n);
        for density in [1.0, 18.5] {
            let (system, positions) = (one_species(n), clusters(n, count, density));
            for search in [Search::CellGrid, Search::KdTree] {
                let mut list = NeighborList::new(2.8, 0.0, search);
                let id = BenchmarkId::new(format!("{search:?}"), density);
                group.bench_function(id, |b| b.iter(|| list.update(&system, &positions, &Cell::open())));
            }
        }
        group.finish();
    }
}

criterion_group!(benches, builds, builds_of_clusters);
criterion_main!(benches);
