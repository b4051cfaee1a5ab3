//! The trajectory: frames in any format at regular steps.
use super::directory::Record;
use super::place::{Place, Rescue};
use crate::frames;
use crate::input::TrajectoryPlan;
use caloron_engine::error::BoxError;
use caloron_engine::{Archive, Flow, Frame, Interval, Observer, Properties, System, UnitSystem};
use caloron_io::{Position, WriteOptions, Writer};
use std::path::{Path, PathBuf};

const NOT_OPEN: &str = "the trajectory file is not open";

/// Writes frames.
pub struct Trajectory {
    path: PathBuf,
    plan: TrajectoryPlan,
    options: WriteOptions,
    interval: Interval,
    frame: caloron_io::Frame,
    writer: Option<Box<dyn Writer>>,
    /// Step of the last frame, and where the file stood before it.
    last: Option<(u64, Position)>,
    rescue: Option<Rescue>,
}

impl Trajectory {
    /// A trajectory whose file is created by [`Trajectory::create`] or continued by [`Observer::archive`].
    pub fn new(
        plan: &TrajectoryPlan,
        directory: &Path,
        record: &Record,
        units: UnitSystem,
        system: &System,
    ) -> Self {
        let options = WriteOptions { provenance: record.pairs(), units, ..WriteOptions::default() };
        let mut frame = frames::template(system);
        // extended XYZ needs no names, and every frame would repeat them
        if plan.format.holds().names && plan.format.name() != "extxyz" {
            frames::set_names(&mut frame, system);
        }
        Self {
            path: directory.join(&plan.file),
            plan: plan.clone(),
            options,
            interval: Interval { every: plan.every, origin: 0 },
            frame,
            writer: None,
            last: None,
            rescue: None,
        }
    }
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(&mut self) -> Result<(), BoxError> {
        self.writer = Some(caloron_io::create(&self.path, self.plan.format, &self.options)?);
        Ok(())
    }
    fn sync(&mut self) -> Result<Position, BoxError> {
        Ok(self.writer.as_mut().ok_or(NOT_OPEN)?.sync()?)
    }
    fn place(&mut self) -> Result<Place, BoxError> {
        let Some(rescue) = self.rescue else {
            let Position { frames, bytes } = self.sync()?;
            return Ok(Place { frames, bytes, ..Place::default() });
        };
        let writer = self.writer.as_mut().ok_or(NOT_OPEN)?;
        let all = writer.position();
        let at = rescue.end(self.last, all);
        Ok(Place::within(at.frames, at.bytes, all.bytes, writer.unwritten()?))
    }
}

impl Observer for Trajectory {
    fn name(&self) -> &str {
        "trajectory"
    }
    fn due(&self, step: u64) -> bool {
        self.interval.is_due(step)
    }
    fn needs(&self) -> Properties {
        let native = self.plan.format.name() == "extxyz";
        if native { Properties::VIRIAL | Properties::EXTRAS } else { Properties::empty() }
    }
    fn observe(&mut self, seen: &Frame<'_>) -> Result<Flow, BoxError> {
        frames::set_state(&mut self.frame, seen.state, false);
        if self.plan.wrap {
            frames::wrap(&mut self.frame, seen.system);
        }
        if self.plan.velocities {
            frames::set_velocities(&mut self.frame, seen.state);
        }
        let virial = self.needs().contains(Properties::VIRIAL);
        frames::set_outputs(&mut self.frame, seen.state, seen.outputs, self.plan.forces, virial);
        if let Some(stress) = &mut self.frame.stress {
            // with constraints that of rigid units
            let w = seen.virial();
            *stress = (w + w.transpose()) * (-0.5 / seen.state.cell().volume());
        }
        let writer = self.writer.as_mut().ok_or(NOT_OPEN)?;
        self.last = Some((seen.state.step, writer.position()));
        writer.write(&self.frame)?;
        Ok(Flow::Continue)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("trajectory")?;
        let mut place = if archive.is_reading() { Place::default() } else { self.place()? };
        place.archive(archive)?;
        if archive.is_reading() {
            let failed = |e| format!("cannot write `{}`: {e}", self.path.display());
            place.complete(&self.path).map_err(failed)?;
            let at = Position { frames: place.frames, bytes: place.length() };
            self.writer = Some(caloron_io::resume(&self.path, self.plan.format, at, &self.options)?);
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.sync().map(|_| ())
    }
}

/// All trajectories of a run, as one observer.
#[derive(Default)]
pub struct Trajectories(pub Vec<Trajectory>);

impl Trajectories {
    /// A stage begins at step `origin`: uses another interval during it (0: no frames), or that of the plan again.
    pub fn set_stage(&mut self, every: Option<u64>, origin: u64) {
        for t in &mut self.0 {
            t.interval = Interval { every: every.unwrap_or(t.plan.every), origin };
        }
    }
    /// From now on, or no longer, nothing is written and checkpoints hold what is in memory.
    pub fn set_rescue(&mut self, rescue: Option<Rescue>) {
        self.0.iter_mut().for_each(|t| t.rescue = rescue);
    }
    /// What writes the last frame of a stage where the interval does not fall on it; `None` where it does for all files.
    pub fn closing(&mut self, step: u64) -> Option<Closing<'_>> {
        let open: Vec<_> = self.0.iter_mut().filter(|t| t.interval.every > 0 && !t.due(step)).collect();
        (!open.is_empty()).then_some(Closing(open))
    }
}

/// The trajectories that do not have the last frame of a stage yet.
pub struct Closing<'a>(Vec<&'a mut Trajectory>);

impl Observer for Closing<'_> {
    fn name(&self) -> &str {
        "trajectory"
    }
    fn due(&self, _step: u64) -> bool {
        true
    }
    fn needs(&self) -> Properties {
        self.0.iter().fold(Properties::empty(), |p, t| p | t.needs())
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        self.0.iter_mut().try_for_each(|t| t.observe(frame).map(drop))?;
        Ok(Flow::Continue)
    }
}

impl Observer for Trajectories {
    fn name(&self) -> &str {
        "trajectory"
    }
    fn due(&self, step: u64) -> bool {
        self.0.iter().any(|t| t.due(step))
    }
    fn needs(&self) -> Properties {
        self.0.iter().fold(Properties::empty(), |p, t| p | t.needs())
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        for t in self.0.iter_mut().filter(|t| frame.opening || t.due(frame.state.step)) {
            t.observe(frame)?;
        }
        Ok(Flow::Continue)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        self.0.iter_mut().try_for_each(|t| t.archive(archive))
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.0.iter_mut().try_for_each(Observer::finish)
    }
}
