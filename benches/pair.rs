//! Time of one Lennard-Jones evaluation by truncation and by what is wanted.
use caloron::engine::neighbors::Search;
use caloron::engine::quantity::reading_in;
use caloron::engine::{Cell, Input, NeighborList, Outputs, Properties, Species, System, UnitSystem, Vec3};
use caloron::potentials::{BuildContext, PotentialSpec};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn evaluations(c: &mut Criterion) {
    let (m, density) = (16usize, 0.8442f64);
    let edge = m as f64 / density.cbrt();
    let n = m * m * m;
    let positions: Vec<Vec3> = (0..n)
        .map(|k| Vec3::new((k % m) as f64, (k / m % m) as f64, (k / m / m) as f64) * (edge / m as f64))
        .collect();
    let cell = Cell::orthorhombic(edge, edge, edge).expect("a box");
    let atom = Species { symbol: "Ar".into(), number: None, mass: 1.0 };
    let system = System::new(vec![atom], vec![0; n]);
    let mut list = NeighborList::new(2.5, 0.3, Search::Auto);
    list.update(&system, &positions, &cell);
    let mut group = c.benchmark_group("lennard_jones/4096");
    group.throughput(Throughput::Elements(n as u64)).sample_size(20);
    for truncation in ["truncated", "force_shifted"] {
        let text = format!(
            "[lennard_jones]\ncutoff = 2.5\ntruncation = \"{truncation}\"\n\
             pairs = [{{ species = [\"Ar\", \"Ar\"], epsilon = 1.0, sigma = 1.0 }}]"
        );
        let spec: PotentialSpec = reading_in(UnitSystem::Lj, || toml::from_str(&text)).expect("a potential");
        let mut context = BuildContext {
            models: &Default::default(),
            system: &system,
            positions: &positions,
            cell: &cell,
            units: UnitSystem::Lj,
            directory: std::path::Path::new("."),
            files: Vec::new(),
        };
        let mut potential = spec.build(&mut context).expect("a potential");
        for (name, want) in [
            ("forces", Properties::FORCES),
            ("energy and forces", Properties::FORCES | Properties::ENERGY),
            ("energy, forces and virial", Properties::FORCES | Properties::ENERGY | Properties::VIRIAL),
        ] {
            let mut out = Outputs::default();
            group.bench_function(format!("{truncation}/{name}"), |b| {
                b.iter(|| {
                    out.reset(n, want);
                    let input =
                        Input { system: &system, positions: &positions, cell: &cell, neighbors: &list };
                    potential.compute(input, want, &mut out).expect("a result");
                    out.energy
                })
            });
        }
    }
    group.finish();
}

criterion_group!(benches, evaluations);
criterion_main!(benches);
