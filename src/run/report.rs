//! The verdicts of a run: recorded while a stage goes, printed at its end, kept in `verdict.json`.
use super::stage::StageRun;
use super::terminal::Terminal;
use crate::Failure;
use crate::input::Ensemble;
use caloron_engine::error::BoxError;
use caloron_engine::verdict::{Circumstances, Recorder, Thresholds, judge};
use caloron_engine::{Archive, Flow, Frame, Observer, Properties, Simulation, UnitSystem};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Records the present stage and keeps the verdicts of those before.
pub struct Report {
    path: PathBuf,
    units: UnitSystem,
    thresholds: Thresholds,
    truncated: bool,
    single_precision: bool,
    recorder: Recorder,
    /// Verdicts as JSON texts.
    done: Vec<String>,
    started: Instant,
    /// Wall time of the present stage before the last restart, s.
    seconds_before: f64,
}

impl Report {
    /// A report on a run that writes into `directory`, sampling every `every` steps.
    pub fn new(
        directory: &Path,
        units: UnitSystem,
        thresholds: Thresholds,
        every: u64,
        simulation: &Simulation,
    ) -> Self {
        Self {
            path: directory.join("verdict.json"),
            units,
            thresholds,
            truncated: simulation.evaluator.potentials().any(|p| p.jumps_at_cutoff()),
            single_precision: simulation.evaluator.potentials().any(|p| p.single_precision()),
            recorder: Recorder::new(every, simulation.evaluator.provides()),
            done: Vec::new(),
            started: Instant::now(),
            seconds_before: 0.0,
        }
    }
    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
    /// A stage begins at this step, or goes on after a restart.
    pub fn set_stage(&mut self, origin: u64, ensemble: &Ensemble) {
        self.recorder.set_stage(origin, &ensemble.held);
    }
    /// Starts the clock of a stage.
    pub fn begin_stage(&mut self) {
        (self.started, self.seconds_before) = (Instant::now(), 0.0);
    }
    /// Judges the stage that ends, prints the verdict and writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_stage(
        &mut self,
        simulation: &Simulation,
        run: &StageRun,
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        let sampler = &run.stage.sampler;
        let k_b = self.units.boltzmann();
        let kt =
            |t: caloron_engine::Schedule| caloron_engine::Schedule { start: t.start * k_b, end: t.end * k_b };
        let circumstances = Circumstances {
            stage: run.stage.name.clone(),
            sampler: sampler.notation(),
            units: self.units,
            steps: simulation.stage_step,
            time_step: sampler.time_step(),
            temperature: run.ensemble.temperature.map(kt),
            held: run.ensemble.held.clone(),
            has_velocities: sampler.has_velocities(),
            samples_ensemble: sampler.samples_ensemble(),
            truncated: self.truncated,
            single_precision: self.single_precision,
            minimization: sampler.minimization(),
            wall_seconds: Some(self.seconds()),
            thresholds: self.thresholds,
        };
        let verdict = judge(&self.recorder, &simulation.system, &circumstances);
        terminal.report("");
        terminal.report(verdict.to_string().trim_end());
        let json = serde_json::to_string_pretty(&verdict).map_err(|e| Failure::other(e.to_string()))?;
        self.done.push(json);
        let all = format!("[\n{}\n]\n", self.done.join(",\n"));
        std::fs::write(&self.path, all)
            .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", self.path.display())))
    }
}

impl Observer for Report {
    fn name(&self) -> &str {
        self.recorder.name()
    }
    fn due(&self, step: u64) -> bool {
        self.recorder.due(step)
    }
    fn needs(&self) -> Properties {
        self.recorder.needs()
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        self.recorder.observe(frame)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("report")?;
        self.recorder.archive(archive)?;
        let mut seconds = self.seconds();
        archive.f64(&mut seconds)?;
        let mut n = self.done.len() as u64;
        archive.u64(&mut n)?;
        if archive.is_reading() {
            (self.started, self.seconds_before) = (Instant::now(), seconds);
            self.done.clear();
            for _ in 0..n {
                let mut text = String::new();
                archive.string(&mut text)?;
                self.done.push(text);
            }
            return Ok(());
        }
        for text in &mut self.done {
            archive.string(text)?;
        }
        Ok(())
    }
}
