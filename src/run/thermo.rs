//! The thermo table: one CSV line of totals at regular steps.
use super::place::{Place, Rescue};
use crate::input::ThermoColumn as Column;
use caloron_engine::error::BoxError;
use caloron_engine::units::{ATOMIC_MASS, UnitSystem};
use caloron_engine::watch::{energy_spread, largest_force_spread};
use caloron_engine::{Archive, Flow, Frame, Interval, Observer, Properties, VOIGT};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// u/Å³ in g/cm³.
const GRAM_PER_CM3: f64 = ATOMIC_MASS * 1e27;
/// The headers of a column, with units, for example `time_ps`.
fn headers(column: Column, units: UnitSystem) -> Vec<String> {
    let named = |name: &str, unit: &str| match units {
        UnitSystem::Physical if !unit.is_empty() => format!("{name}_{unit}"),
        _ => name.to_owned(),
    };
    let one = |name: &str, unit: &str| vec![named(name, unit)];
    match column {
        Column::Step => one("step", ""),
        Column::Time => one("time", "ps"),
        Column::Temperature => one("temperature", "K"),
        Column::PotentialEnergy => one("potential_energy", "eV"),
        Column::KineticEnergy => one("kinetic_energy", "eV"),
        Column::TotalEnergy => one("total_energy", "eV"),
        Column::Conserved => one("conserved", "eV"),
        Column::Pressure => one("pressure", "bar"),
        Column::Volume => one("volume", "A3"),
        Column::Density => one("density", "g_cm3"),
        Column::Stress => VOIGT.iter().map(|v| named(&format!("stress_{}", v.2), "bar")).collect(),
        Column::Cell => ["a", "b", "c"]
            .map(|k| named(k, "A"))
            .into_iter()
            .chain(["alpha", "beta", "gamma"].map(|k| named(k, "deg")))
            .collect(),
        Column::MaxForce => one("max_force", "eV_A"),
        Column::ForceSpread => one("force_spread", "eV_A"),
        Column::EnergySpread => one("energy_spread", "eV_atom"),
    }
}

/// Calls `put` for every value of a column in reported units; `None` where it does not exist.
fn values(column: Column, frame: &Frame<'_>, units: UnitSystem, mut put: impl FnMut(Option<f64>)) {
    let cell = frame.state.cell();
    let periodic = cell.is_fully_periodic();
    match column {
        Column::Step => put(Some(frame.state.step as f64)),
        Column::Time => put(Some(frame.state.time / units.time())),
        Column::Temperature => put(Some(frame.kt() / units.boltzmann())),
        Column::PotentialEnergy => put(Some(frame.outputs.energy)),
        Column::KineticEnergy => put(Some(frame.kinetic)),
        Column::TotalEnergy => put(Some(frame.kinetic + frame.outputs.energy)),
        Column::Conserved => put(frame.conserved),
        Column::Pressure => put(frame.pressure().map(|p| p / units.pressure())),
        Column::Volume => put(periodic.then(|| cell.volume())),
        Column::Density => {
            let mass: f64 = frame.system.masses().iter().sum();
            let unit = if units == UnitSystem::Physical { GRAM_PER_CM3 } else { 1.0 };
            put(periodic.then(|| mass / cell.volume() * unit));
        }
        Column::Stress => {
            // positive under tension
            let pressure = frame.pressure_tensor();
            for (a, b, _) in VOIGT {
                put(pressure.map(|p| -p[(a, b)] / units.pressure()));
            }
        }
        Column::Cell => {
            let (lengths, angles) = cell.lengths_angles();
            lengths.into_iter().chain(angles).for_each(|x| put((!cell.is_open()).then_some(x)));
        }
        Column::MaxForce => {
            put(Some(frame.outputs.forces.iter().map(|f| f.norm_squared()).fold(0.0, f64::max).sqrt()));
        }
        Column::ForceSpread => put(largest_force_spread(frame).map(|s| s.1)),
        Column::EnergySpread => put(energy_spread(frame)),
    }
}

/// Writes the table.
pub struct Thermo {
    path: PathBuf,
    file: BufWriter<File>,
    interval: Interval,
    usual: u64,
    columns: Vec<Column>,
    units: UnitSystem,
    line: String,
    /// Step of the last line, and the length of the file before it.
    last: Option<(u64, u64)>,
    rescue: Option<Rescue>,
}

impl Thermo {
    /// A new table with its header; an existing file is replaced (the output directory is new).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, every: u64, columns: &[Column], units: UnitSystem) -> Result<Self, BoxError> {
        let file = File::create(path).map_err(|e| at(path, e))?;
        let mut thermo = Self::with_file(path, file, every, columns, units);
        let header: Vec<_> = columns.iter().flat_map(|c| headers(*c, units)).collect();
        writeln!(thermo.file, "{}", header.join(",")).map_err(|e| at(path, e))?;
        Ok(thermo)
    }
    /// The table of an earlier run, to be cut back by [`Observer::archive`].
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reopen(path: &Path, every: u64, columns: &[Column], units: UnitSystem) -> Result<Self, BoxError> {
        let file = OpenOptions::new().write(true).open(path).map_err(|e| at(path, e))?;
        Ok(Self::with_file(path, file, every, columns, units))
    }
    fn with_file(path: &Path, file: File, every: u64, columns: &[Column], units: UnitSystem) -> Self {
        let file = BufWriter::new(file);
        let (path, columns) = (path.to_owned(), columns.to_vec());
        let interval = Interval { every, origin: 0 };
        let line = String::new();
        Self { path, file, interval, usual: every, columns, units, line, last: None, rescue: None }
    }
    /// A stage begins at step `origin`: uses another interval during it (0: no lines), or the usual one again.
    pub fn set_stage(&mut self, every: Option<u64>, origin: u64) {
        self.interval = Interval { every: every.unwrap_or(self.usual), origin };
    }
    /// From now on, or no longer, nothing is written and checkpoints hold what is in memory.
    pub fn set_rescue(&mut self, rescue: Option<Rescue>) {
        self.rescue = rescue;
    }
    /// Length with what is still in memory.
    fn length(&mut self) -> io::Result<u64> {
        Ok(self.file.get_mut().stream_position()? + self.file.buffer().len() as u64)
    }
    fn place(&mut self) -> io::Result<Place> {
        let Some(rescue) = self.rescue else {
            return Ok(Place { bytes: self.sync()?, ..Place::default() });
        };
        self.file.get_ref().sync_all()?;
        let all = self.length()?;
        Ok(Place::within(0, rescue.end(self.last, all), all, self.file.buffer()))
    }
    fn sync(&mut self) -> io::Result<u64> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        self.file.stream_position()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        let file = self.file.get_mut();
        if file.metadata()?.len() < length {
            return Err(io::Error::other("the file is shorter than the checkpoint says"));
        }
        file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

fn at(path: &Path, error: io::Error) -> BoxError {
    format!("cannot write `{}`: {error}", path.display()).into()
}

impl Observer for Thermo {
    fn name(&self) -> &str {
        "thermo"
    }
    fn due(&self, step: u64) -> bool {
        self.interval.is_due(step)
    }
    fn needs(&self) -> Properties {
        self.columns.iter().fold(Properties::empty(), |all, c| match c {
            Column::Pressure | Column::Stress => all | Properties::VIRIAL,
            Column::ForceSpread | Column::EnergySpread => all | Properties::EXTRAS,
            _ => all,
        })
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        self.line.clear();
        let line = &mut self.line;
        for column in &self.columns {
            values(*column, frame, self.units, |x| {
                if let Some(x) = x {
                    // writing to a string does not fail
                    let _ = write!(line, "{x}");
                }
                line.push(',');
            });
        }
        self.line.pop();
        self.line.push('\n');
        self.last = Some((frame.state.step, self.length().map_err(|e| at(&self.path, e))?));
        self.file.write_all(self.line.as_bytes()).map_err(|e| at(&self.path, e))?;
        Ok(Flow::Continue)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("thermo")?;
        let path = self.path.clone();
        let failed = |e| at(&path, e);
        let mut place = if archive.is_reading() { Place::default() } else { self.place().map_err(failed)? };
        place.archive(archive)?;
        if archive.is_reading() {
            place.complete(&path).and_then(|()| self.cut(place.length())).map_err(failed)?;
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.sync().map(|_| ()).map_err(|e| at(&self.path, e))
    }
}
