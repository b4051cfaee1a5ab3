//! The first 200 steps of constant-energy runs, step by step.
use crate::golden::{build, frames, potentials, value};
use caloron_engine::neighbors::Search;
use caloron_engine::{Evaluator, Properties, Species, State, System, testing};

/// LAMMPS' unit of mass times velocity squared in eV, for u (Å/ps)², and its eV/Å³ in bar.
const MVV2E: f64 = 1.036_426_9e-4;
const BAR: f64 = 1.602_176_5e6;

fn compare(case: &str, species: &str, mass: f64, dt: f64, toml: &str) {
    let Some(frames) = frames(&format!("nve/{case}.init.extxyz")) else { return };
    let start = &frames[0];
    let trace =
        std::fs::read_to_string(testing::reference(&format!("nve/{case}.trace.csv")).unwrap()).unwrap();
    let table = vec![Species { symbol: species.into(), number: None, mass }];
    let system = System::new(table, vec![0; start.positions.len()]);
    let potential = build(toml, &potentials().unwrap(), &system).unwrap();
    let mut evaluator = Evaluator::new(vec![potential], 1.0, Search::Auto);
    let velocities = start.velocities.as_ref().unwrap().iter().map(|v| v * MVV2E.sqrt()).collect();
    let mut state = State::new(start.positions.clone(), velocities, start.cell.clone());
    let dt = dt / MVV2E.sqrt();
    let need = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
    let header = value(&start.header, " energy").unwrap().parse::<f64>().unwrap();
    let mut lines = trace.lines();
    assert_eq!(lines.next(), Some("step,time,potential,kinetic,total,temperature,pressure_with_kinetic"));
    for step in 0..=200 {
        let row: Vec<f64> = lines.next().unwrap().split(',').map(|x| x.parse().unwrap()).collect();
        assert_eq!(row[0] as usize, step);
        let out = evaluator.ensure(&system, &state, need, need).unwrap().clone();
        if step == 0 {
            assert!((out.energy - header).abs() < 1e-9 * header.abs());
        }
        let kinetic: f64 = state.velocities().iter().map(|v| 0.5 * mass * v.norm_squared()).sum();
        let pressure = (2.0 * kinetic + out.virial.trace()) / (3.0 * state.cell().volume()) * BAR;
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-8 * b.abs();
        assert!(close(out.energy, row[2]), "step {step}: potential {} {}", out.energy, row[2]);
        assert!(close(kinetic, row[3]), "step {step}: kinetic {kinetic} {}", row[3]);
        assert!(
            (pressure - row[6]).abs() <= 1e-8 * row[6].abs().max(1e4),
            "step {step}: pressure {pressure} {}",
            row[6]
        );
        let kick = |state: &mut State, forces: &[caloron_engine::Vec3]| {
            for (v, f) in state.velocities_mut().iter_mut().zip(forces) {
                *v += f * (0.5 * dt / mass);
            }
        };
        kick(&mut state, &out.forces);
        let (positions, velocities) = state.phase_mut();
        for (r, v) in positions.iter_mut().zip(velocities.iter()) {
            *r += v * dt;
        }
        let out = evaluator.ensure(&system, &state, need, need).unwrap().clone();
        kick(&mut state, &out.forces);
    }
}

#[test]
fn copper_eam_follows_the_reference_trajectory() {
    compare("cu_eam_500", "Cu", 63.546, 0.002, "eam = { file = \"Cu_mishin1.eam.alloy\" }");
}

#[test]
fn silicon_stillinger_weber_follows_the_reference_trajectory() {
    compare("si_sw_512", "Si", 28.0855, 0.001, "stillinger_weber = { file = \"Si.sw\" }");
}
