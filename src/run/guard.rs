//! The guard of learned potentials: warns, saves frames to be labelled, or stops, as `[guard.learned]` says.
use super::directory::Record;
use crate::frames;
use caloron_engine::error::BoxError;
use caloron_engine::watch::{Action, Finding, Kind, Watch};
use caloron_engine::{Archive, Flow, Frame, Observer, Properties, System, UnitSystem};
use caloron_io::{Format, Position, Value, WriteOptions, Writer};
use std::path::{Path, PathBuf};

/// A learned potential was used outside of its domain, and that stops the run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OutsideDomain {
    message: String,
    /// File that holds the frame.
    pub frames: PathBuf,
}

/// What was found of one kind in the present stage.
#[derive(Default)]
struct Count {
    steps: u64,
    worst: f64,
    message: String,
}

/// The watch with what it says and saves.
pub struct Guard {
    watch: Watch,
    path: PathBuf,
    options: WriteOptions,
    frame: caloron_io::Frame,
    writer: Option<Box<dyn Writer>>,
    saved: u64,
    last_saved: Option<u64>,
    counts: [Count; 4],
    /// Warnings that nobody has shown yet.
    messages: Vec<String>,
}

/// A finding is shown the first times it is made in a stage, and then each time that there are ten times as many.
fn shown(times: u64) -> bool {
    times <= 3 || times == 10u64.pow(times.ilog10())
}

impl Guard {
    /// A guard that saves frames in `directory`.
    pub fn new(watch: Watch, directory: &Path, record: &Record, units: UnitSystem, system: &System) -> Self {
        Self {
            path: directory.join(&watch.settings().file),
            options: WriteOptions { provenance: record.pairs(), units, ..WriteOptions::default() },
            frame: frames::template(system),
            watch,
            writer: None,
            saved: 0,
            last_saved: None,
            counts: Default::default(),
            messages: Vec::new(),
        }
    }
    /// A stage begins, or goes on after a restart.
    pub fn begin_stage(&mut self, dynamics: bool, resumed: bool) {
        if resumed {
            self.watch.continue_stage(dynamics);
        } else {
            self.watch.begin_stage(dynamics);
            self.counts = Default::default();
        }
    }
    /// Warnings since the last call.
    pub fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }
    /// One line for each kind of finding of the stage that ends.
    pub fn summary(&self) -> Vec<String> {
        let found = Kind::ALL.iter().zip(&self.counts).filter(|(_, c)| c.steps > 0);
        let mut lines: Vec<String> = found
            .map(|(kind, c)| {
                let plural = if c.steps == 1 { "" } else { "s" };
                format!("guard: {} at {} step{plural}; the worst, {}", kind.name(), c.steps, c.message)
            })
            .collect();
        if !lines.is_empty() && self.saved > 0 {
            let name = self.watch.settings().file.display();
            lines.push(format!("guard: {} frames to be labelled are in `{name}`", self.saved));
        }
        lines
    }
    fn save(&mut self, seen: &Frame<'_>, findings: &[Finding]) -> Result<(), BoxError> {
        frames::set_state(&mut self.frame, seen.state, false);
        frames::set_velocities(&mut self.frame, seen.state);
        frames::set_outputs(&mut self.frame, seen.state, seen.outputs, true, false);
        let reasons: Vec<&str> = findings.iter().map(|f| f.kind.name()).collect();
        self.frame.info.insert("guard", Value::Text(reasons.join(" ")));
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                none.insert(caloron_io::create(&self.path, Format::from_path(&self.path)?, &self.options)?)
            }
        };
        writer.write(&self.frame)?;
        self.saved += 1;
        self.last_saved = Some(seen.state.step);
        Ok(())
    }
    fn sync(&mut self) -> Result<Position, BoxError> {
        self.writer.as_mut().map_or(Ok(Position::default()), |w| Ok(w.sync()?))
    }
}

impl Observer for Guard {
    fn name(&self) -> &str {
        "guard"
    }
    fn due(&self, _step: u64) -> bool {
        true
    }
    fn needs(&self) -> Properties {
        if self.watch.needs_extras() { Properties::EXTRAS } else { Properties::empty() }
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        let mut findings = Vec::new();
        self.watch.look(frame, |f| findings.push(f));
        if findings.is_empty() {
            return Ok(Flow::Continue);
        }
        let settings = self.watch.settings();
        let action = |f: &Finding| settings.actions[f.kind as usize];
        let (spacing, most) = (settings.spacing, settings.most);
        let stop = findings.iter().find(|f| action(f) == Action::Stop).cloned();
        let wanted = findings.iter().any(|f| action(f) == Action::Save);
        for f in &findings {
            let count = &mut self.counts[f.kind as usize];
            count.steps += 1;
            if f.severity > count.worst || count.steps == 1 {
                (count.worst, count.message) = (f.severity, f.message.clone());
            }
            if shown(count.steps) {
                let times = match count.steps {
                    1 => String::new(),
                    n => format!(" (seen at {n} steps)"),
                };
                self.messages.push(format!("{f}{times}"));
            }
        }
        let step = frame.state.step;
        let far = self.last_saved.is_none_or(|last| step >= last + spacing);
        if stop.is_some() && self.last_saved != Some(step) || wanted && far && self.saved < most {
            self.save(frame, &findings)?;
        }
        match stop {
            Some(f) => {
                self.sync()?;
                Err(Box::new(OutsideDomain { message: f.message, frames: self.path.clone() }))
            }
            None => Ok(Flow::Continue),
        }
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("guard")?;
        self.watch.archive(archive)?;
        let mut at = if archive.is_reading() { Position::default() } else { self.sync()? };
        archive.u64(&mut at.frames)?;
        archive.u64(&mut at.bytes)?;
        archive.u64(&mut self.saved)?;
        let mut last = self.last_saved.map_or(u64::MAX, |l| l);
        archive.u64(&mut last)?;
        self.last_saved = (last != u64::MAX).then_some(last);
        for count in &mut self.counts {
            archive.u64(&mut count.steps)?;
            archive.f64(&mut count.worst)?;
            archive.string(&mut count.message)?;
        }
        if archive.is_reading() {
            self.writer = None;
            if at.frames > 0 {
                let format = Format::from_path(&self.path)?;
                self.writer = Some(caloron_io::resume(&self.path, format, at, &self.options)?);
            } else if self.path.exists() {
                // written after the checkpoint
                std::fs::remove_file(&self.path)?;
            }
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.sync().map(|_| ())
    }
}
