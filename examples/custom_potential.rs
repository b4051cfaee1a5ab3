//! A potential of one's own: a double well for each atom, sampled with Langevin dynamics.
//!
//! `cargo run --release --example custom_potential`
use caloron::engine::dynamics::{Drift, Kick, OrnsteinUhlenbeck};
use caloron::engine::neighbors::Search;
use caloron::engine::sampler::MolecularDynamics;
use caloron::engine::{
    Cell, Evaluator, Input, Outputs, Potential, PotentialError, Properties, Schedule, Simulation, Species,
    Splitting, Stage, State, System, Vec3,
};
use std::sync::Arc;

/// U = D (x² - 1)² + k (y² + z²)/2 for each atom.
struct DoubleWell {
    depth: f64,
    stiffness: f64,
}

impl Potential for DoubleWell {
    fn name(&self) -> &'static str {
        "double_well"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn provides(&self) -> Properties {
        Properties::ENERGY | Properties::FORCES | Properties::ATOM_ENERGIES
    }
    fn breaks_symmetry(&self) -> bool {
        true
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        for (i, r) in input.positions.iter().enumerate() {
            let well = r.x * r.x - 1.0;
            let energy = self.depth * well * well + 0.5 * self.stiffness * (r.y * r.y + r.z * r.z);
            out.energy += energy;
            if want.contains(Properties::FORCES) {
                let x = -4.0 * self.depth * r.x * well;
                out.forces[i] += Vec3::new(x, -self.stiffness * r.y, -self.stiffness * r.z);
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += energy;
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let atoms = 200;
    let species = Species { symbol: "X".into(), number: None, mass: 1.0 };
    let system = Arc::new(System::new(vec![species], vec![0; atoms]));
    let state = State::at_rest(vec![Vec3::x(); atoms], Cell::open());
    let well = DoubleWell { depth: 5.0, stiffness: 10.0 };
    let evaluator = Evaluator::new(vec![Box::new(well)], 0.0, Search::Auto);
    let friction = OrnsteinUhlenbeck::new(Schedule::constant(1.0), 1.0);
    let splitting = Splitting::symmetric(vec![Box::new(Kick::new()), Box::new(Drift)], Box::new(friction));
    let steps = 20_000;
    let mut stage = Stage {
        name: "sample".into(),
        steps,
        sampler: Box::new(MolecularDynamics { dt: 0.05, splitting, conserves: true }),
        momentum_removed: false,
        velocities: None,
    };
    let mut simulation = Simulation::new(system, state, evaluator, 3);
    simulation.open(&mut stage, &mut [])?;
    let (mut sum, mut n) = (0.0, 0.0);
    for step in 0..steps {
        simulation.step(&mut stage, &mut [])?;
        if step > 1000 {
            sum += simulation.state.positions().iter().map(|r| r.x * r.x).sum::<f64>();
            n += atoms as f64;
        }
    }
    println!("{}: <x²> = {:.4}, exactly 0.9368", stage.sampler.notation(), sum / n);
    Ok(())
}
