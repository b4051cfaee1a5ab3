//! What a run writes: `[output]`.
use super::files::format_by_name;
use super::visitors::OneOrMany;
use crate::run::RESERVED;
use caloron_engine::SpecError;
use caloron_engine::error::nearest;
use caloron_io::Format;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::path::{Component, Path, PathBuf};
use std::{borrow::Cow, fmt, time::Duration};

/// What is written, into the output folder of the run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// One trajectory, or a list of them; default none.
    #[serde(default)]
    pub trajectory: OneOrMany<TrajectorySpec>,
    /// Table of energies, temperature and the like; default none.
    pub thermo: Option<ThermoSpec>,
    /// Checkpoints; default every 5 minutes and at the end.
    pub checkpoint: Option<CheckpointSpec>,
    /// File that gets a copy of what the run prints; default `run.log`.
    pub log: Option<PathBuf>,
}

/// A trajectory file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrajectorySpec {
    /// File name, in the output folder. The format follows from the extension.
    pub file: PathBuf,
    /// Steps between two frames.
    pub every: u64,
    /// Format, where the name does not tell.
    pub format: Option<String>,
    /// Writes velocities, where the format holds them; default false.
    #[serde(default)]
    pub velocities: bool,
    /// Writes forces, where the format holds them; default false.
    #[serde(default)]
    pub forces: bool,
    /// Moves molecules (atoms where nothing is bonded) into the cell by lattice vectors; default false: positions are continuous in time.
    #[serde(default)]
    pub wrap: bool,
}

/// A table with one line per frame (CSV).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThermoSpec {
    /// File name, in the output folder.
    pub file: PathBuf,
    /// Steps between two lines.
    pub every: u64,
    /// The columns, in this order. Default: step, time, temperature, potential_energy, kinetic_energy,
    /// total_energy, conserved, in a periodic cell pressure and volume, and with a committee force_spread and energy_spread.
    pub columns: Option<Vec<ThermoColumn>>,
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThermoColumn {
    /// Steps since the start of the run.
    Step,
    /// Time since the start of the run.
    Time,
    /// Kinetic temperature.
    Temperature,
    /// Potential energy.
    PotentialEnergy,
    /// Kinetic energy.
    KineticEnergy,
    /// Potential plus kinetic energy.
    TotalEnergy,
    /// The conserved quantity of the ensemble.
    Conserved,
    /// Pressure.
    Pressure,
    /// Volume of the cell.
    Volume,
    /// Mass per volume.
    Density,
    /// The six stress components xx, yy, zz, yz, xz, xy, positive under tension.
    Stress,
    /// Lengths and angles of the cell.
    Cell,
    /// Largest force on an atom.
    MaxForce,
    /// Largest spread of the force on an atom of a committee.
    ForceSpread,
    /// Spread of the energy of a committee, for each atom.
    EnergySpread,
}

/// When checkpoints are written. One more is written at the end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSpec {
    /// Wall-clock time between two checkpoints; default "5 min".
    pub every: Option<WallTime>,
    /// Steps between two checkpoints, in addition to `every`; default none.
    pub every_steps: Option<u64>,
    /// How many are kept, the newest first; default 2.
    pub keep: Option<usize>,
}

/// A time of the clock on the wall: `"90 s"`, `"5 min"`, `"1.5 h"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WallTime(pub Duration);

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = WallTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with s, min or h, for example \"5 min\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let text = text.trim();
                let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
                let seconds = match text[split..].trim() {
                    "s" => 1.0,
                    "min" => 60.0,
                    "h" => 3600.0,
                    _ => return Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                };
                let number: Option<f64> = text[..split].trim().parse().ok();
                let duration = number.and_then(|n| Duration::try_from_secs_f64(n * seconds).ok());
                let positive = duration.filter(|d| !d.is_zero());
                positive.map(WallTime).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for WallTime {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "WallTime".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "wall-clock time", "examples": ["5 min", "90 s", "1 h"] })
    }
}

/// What a run writes, checked. File names are relative to the output folder.
#[derive(Clone, Debug)]
pub struct OutputPlan {
    /// Trajectories.
    pub trajectories: Vec<TrajectoryPlan>,
    /// The table.
    pub thermo: Option<ThermoPlan>,
    /// Wall-clock time between checkpoints.
    pub checkpoint_every: Duration,
    /// Steps between checkpoints, in addition.
    pub checkpoint_steps: Option<u64>,
    /// Checkpoints kept.
    pub checkpoints_kept: usize,
    /// Copy of what is printed.
    pub log: PathBuf,
}

/// A trajectory, checked.
#[derive(Clone, Debug)]
pub struct TrajectoryPlan {
    /// File name.
    pub file: PathBuf,
    /// Its format.
    pub format: Format,
    /// Steps between frames.
    pub every: u64,
    /// Writes velocities.
    pub velocities: bool,
    /// Writes forces.
    pub forces: bool,
    /// Moves atoms into the cell.
    pub wrap: bool,
}

/// A table, checked.
#[derive(Clone, Debug)]
pub struct ThermoPlan {
    /// File name.
    pub file: PathBuf,
    /// Steps between lines.
    pub every: u64,
    /// Columns.
    pub columns: Vec<ThermoColumn>,
}

impl OutputSpec {
    /// Checks everything that can be checked before the run; errors are relative to `[output]`.
    /// `saved` is the file of frames that the guard saves, if it may.
    pub(crate) fn build(
        &self,
        periodic: bool,
        committee: bool,
        saved: Option<&Path>,
        warnings: &mut Vec<String>,
    ) -> Result<OutputPlan, SpecError> {
        let mut names: Vec<(String, PathBuf)> = Vec::new();
        let mut trajectories = Vec::new();
        for (k, t) in self.trajectory.0.iter().enumerate() {
            // one trajectory may stand without a list around it: the place is found by either key
            let key = if self.trajectory.0.len() == 1 {
                "trajectory".to_owned()
            } else {
                format!("trajectory[{k}]")
            };
            trajectories.push(t.build(warnings).map_err(|e| e.within(&key))?);
            names.push((format!("{key}.file"), t.file.clone()));
        }
        let thermo = self
            .thermo
            .as_ref()
            .map(|t| t.build(periodic, committee))
            .transpose()
            .map_err(|e| e.within("thermo"))?;
        names.extend(self.thermo.iter().map(|t| ("thermo.file".to_owned(), t.file.clone())));
        let log = self.log.clone().unwrap_or_else(|| "run.log".into());
        names.push(("log".to_owned(), log.clone()));
        names.extend(saved.map(|f| ("guard.learned.frames.file".to_owned(), f.to_owned())));
        for (k, (key, file)) in names.iter().enumerate() {
            check_name(key, file)?;
            if let Some((other, _)) = names[..k].iter().find(|(_, f)| f.file_name() == file.file_name()) {
                return Err(SpecError::new(
                    key.clone(),
                    format!("`{}` is written by `{other}` too", file.display()),
                )
                .hint("give every output its own file"));
            }
        }
        let checkpoint = self.checkpoint.as_ref();
        if checkpoint.and_then(|c| c.keep) == Some(0) {
            return Err(SpecError::new("checkpoint.keep", "at least one checkpoint must be kept")
                .hint("write 1 or more; the default is 2"));
        }
        if checkpoint.and_then(|c| c.every_steps) == Some(0) {
            return Err(every_zero("checkpoint.every_steps"));
        }
        Ok(OutputPlan {
            trajectories,
            thermo,
            checkpoint_every: checkpoint.and_then(|c| c.every).map_or(Duration::from_secs(300), |w| w.0),
            checkpoint_steps: checkpoint.and_then(|c| c.every_steps),
            checkpoints_kept: checkpoint.and_then(|c| c.keep).unwrap_or(2),
            log,
        })
    }
}

fn every_zero(key: &str) -> SpecError {
    SpecError::new(key, "`every` counts steps and must be at least 1")
        .hint("remove the output to write nothing")
}

/// Output files stay in the output folder, and leave alone what every run writes there.
fn check_name(key: &str, file: &Path) -> Result<(), SpecError> {
    let shown = file.display();
    let normal = file.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    let Some(name) = file.file_name().filter(|_| normal) else {
        return Err(SpecError::new(key, format!("`{shown}` is not a file name inside the output folder"))
            .hint("write a relative name without `..`; `caloron run INPUT --out DIR` chooses the folder"));
    };
    if file.components().filter(|c| matches!(c, Component::Normal(_))).count() > 1 {
        return Err(SpecError::new(key, format!("`{shown}` lies in a folder inside the output folder"))
            .hint(format!("write `{}`: a run writes all its files into one folder", name.display())));
    }
    let kind = file.extension().and_then(|e| e.to_str());
    if RESERVED.iter().any(|r| name == *r) || kind.is_some_and(|e| e == "checkpoint" || e == "partial") {
        return Err(SpecError::new(key, format!("every run writes a `{}` of its own", name.display()))
            .hint("choose another name"));
    }
    Ok(())
}

impl TrajectorySpec {
    fn build(&self, warnings: &mut Vec<String>) -> Result<TrajectoryPlan, SpecError> {
        if self.every == 0 {
            return Err(every_zero("every"));
        }
        let writable = || Format::all().filter(|f| f.writes());
        let format = match &self.format {
            Some(name) => format_by_name(name)?,
            None => Format::from_path(&self.file).map_err(|e| {
                let known: Vec<&str> = writable().flat_map(|f| f.extensions().iter().copied()).collect();
                let extension =
                    self.file.extension().map(|x| x.to_string_lossy().into_owned()).unwrap_or_default();
                SpecError::new("file", e.message).hint(match nearest(&extension, known.iter().copied()) {
                    Some(n) if !extension.is_empty() => format!("did you mean `.{n}`?"),
                    _ => format!("extensions that are written: {}", known.join(", ")),
                })
            })?,
        };
        let key = if self.format.is_some() { "format" } else { "file" };
        if !format.writes() {
            let names: Vec<&str> = writable().map(Format::name).collect();
            return Err(SpecError::new(key, format!("{format} files are read but not written"))
                .hint(format!("formats that are written: {}", names.join(", "))));
        }
        caloron_io::check_writable(&self.file, format).map_err(|e| {
            let hint = e.hint.unwrap_or_default();
            SpecError::new("file", e.message).hint(hint)
        })?;
        if !format.holds().frames {
            return Err(SpecError::new(
                key,
                format!("a {format} file holds one structure, not a trajectory"),
            )
            .hint("choose a trajectory format such as extxyz, xtc or dcd"));
        }
        if !format.resumes() {
            warnings.push(format!(
                "{}: a {format} file cannot be continued by `resume` after an interruption",
                self.file.display()
            ));
        }
        for (wanted, held, what) in [
            (self.velocities, format.holds().velocities, "velocities"),
            (self.forces, format.holds().forces, "forces"),
        ] {
            if wanted && !held {
                return Err(SpecError::new(what, format!("{format} files hold no {what}"))
                    .hint(format!("remove `{what}`, or choose a format that holds them, such as extxyz")));
            }
        }
        let Self { file, every, velocities, forces, wrap, .. } = self.clone();
        Ok(TrajectoryPlan { file, format, every, velocities, forces, wrap })
    }
}

impl ThermoSpec {
    fn build(&self, periodic: bool, committee: bool) -> Result<ThermoPlan, SpecError> {
        use ThermoColumn as C;
        if self.every == 0 {
            return Err(every_zero("every"));
        }
        let needs_volume = [C::Pressure, C::Volume, C::Density, C::Stress];
        let columns = match &self.columns {
            None => {
                let mut all = vec![
                    C::Step,
                    C::Time,
                    C::Temperature,
                    C::PotentialEnergy,
                    C::KineticEnergy,
                    C::TotalEnergy,
                    C::Conserved,
                ];
                if periodic {
                    all.extend([C::Pressure, C::Volume]);
                }
                if committee {
                    all.extend([C::ForceSpread, C::EnergySpread]);
                }
                all
            }
            Some(columns) if columns.is_empty() => {
                return Err(SpecError::new("columns", "the table has no columns")
                    .hint("name some, or remove `columns`"));
            }
            Some(columns) => {
                for (k, c) in columns.iter().enumerate() {
                    if columns[..k].contains(c) {
                        return Err(SpecError::new(format!("columns[{k}]"), "this column is named twice")
                            .hint("keep one of them"));
                    }
                    if !periodic && needs_volume.contains(c) {
                        return Err(SpecError::new(
                            format!("columns[{k}]"),
                            "this column needs a cell that is periodic in all directions",
                        )
                        .hint("remove it"));
                    }
                    if !committee && [C::ForceSpread, C::EnergySpread].contains(c) {
                        return Err(SpecError::new(
                            format!("columns[{k}]"),
                            "this column needs a committee of potentials",
                        )
                        .hint("remove it, or add a [potential.committee]"));
                    }
                }
                columns.clone()
            }
        };
        Ok(ThermoPlan { file: self.file.clone(), every: self.every, columns })
    }
}
