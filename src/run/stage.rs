//! A stage while it runs.
use crate::input::{Ensemble, StageOutputSpec, StagePlan};
use caloron_engine::Stage;

/// What advances the state, with what reports and files need to know about it.
pub struct StageRun {
    /// Name, steps and sampler.
    pub stage: Stage,
    /// What it samples.
    pub ensemble: Ensemble,
    /// Changes of the output.
    pub output: StageOutputSpec,
}

impl From<StagePlan> for StageRun {
    fn from(plan: StagePlan) -> Self {
        let (ensemble, output) = (plan.ensemble.clone(), plan.output.clone());
        Self { stage: plan.into_stage(), ensemble, output }
    }
}
