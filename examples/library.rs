//! Caloron as a library: an input text, a loop of our own, and a quantity of our own.
//!
//! `cargo run --release --example library`
use caloron::engine::{Frame, Observer, Properties, Simulation};
use caloron::input::{InputFile, Source};

const INPUT: &str = r#"
units = "lj"
seed = 1
[system]
lattice = { fcc = { density = 0.8, species = "A", repeat = [4, 4, 4] } }
velocities = { temperature = 2.0 }
[[potential]]
[potential.lennard_jones]
cutoff = 2.5
pairs = [{ species = ["A", "A"], epsilon = 1.0, sigma = 1.0 }]
[[stage]]
name = "melt"
steps = 2000
[stage.nve]
timestep = 0.004
"#;

/// Prints how far atoms have moved on average.
struct Displacement {
    start: Vec<caloron::engine::Vec3>,
}

impl Observer for Displacement {
    fn name(&self) -> &str {
        "displacement"
    }
    fn due(&self, step: u64) -> bool {
        step.is_multiple_of(500)
    }
    fn needs(&self) -> Properties {
        Properties::empty()
    }
    fn observe(
        &mut self,
        frame: &Frame<'_>,
    ) -> Result<caloron::engine::Flow, caloron::engine::error::BoxError> {
        let now = frame.state.positions();
        let msd =
            now.iter().zip(&self.start).map(|(a, b)| (a - b).norm_squared()).sum::<f64>() / now.len() as f64;
        println!("step {:>5}  T {:.3}  mean squared displacement {msd:.3}", frame.state.step, frame.kt());
        Ok(caloron::engine::Flow::Continue)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = InputFile::parse(Source::new("library.rs", INPUT), ".")?.build()?;
    let mut watch = Displacement { start: plan.state.positions().to_vec() };
    let mut simulation =
        Simulation::new(plan.system, plan.state, plan.evaluator, plan.seed).guarded(plan.guard);
    for stage in plan.stages {
        let mut stage = stage.into_stage();
        simulation.open(&mut stage, &mut [&mut watch])?;
        while simulation.stage_step < stage.steps {
            simulation.step(&mut stage, &mut [&mut watch])?;
        }
    }
    Ok(())
}
