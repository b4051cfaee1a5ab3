//! A quantity of H5MD: one data set if it is fixed, a group of `value`, `step` and `time` if it changes.
use super::fault;
use super::unit::factor;
use crate::LammpsUnits;
use crate::error::Fault;
use caloron_engine::quantity::{Dimension, Time};
use hdf5_pure::{AttrValue, Dataset, Group};
use std::collections::HashMap;

/// Bytes of one reading of several frames; frames larger than this are read one by one.
const WINDOW: u64 = 1 << 22;

/// The largest ratio of compression (that of deflate): what a file of some length can hold at most.
const EXPANSION: u64 = 1032;

/// A group with the names of what is in it.
pub(super) struct Folder {
    pub group: Group,
    datasets: Vec<String>,
    groups: Vec<String>,
    /// Bytes of the file.
    length: u64,
}

impl Folder {
    pub fn new(group: Group, length: u64) -> Result<Self, Fault> {
        let datasets = group.datasets().map_err(fault)?;
        let groups = group.groups().map_err(fault)?;
        Ok(Self { group, datasets, groups, length })
    }
    pub fn folders(&self) -> &[String] {
        &self.groups
    }
    /// The group of a name, if it is there.
    pub fn folder(&self, name: &str) -> Result<Option<Self>, Fault> {
        if !self.groups.iter().any(|g| g == name) {
            return Ok(None);
        }
        Self::new(self.group.group(name).map_err(fault)?, self.length).map(Some)
    }
    pub fn has(&self, name: &str) -> bool {
        self.datasets.iter().chain(&self.groups).any(|n| n == name)
    }
    pub fn dataset(&self, name: &str) -> Result<Option<Dataset>, Fault> {
        if !self.datasets.iter().any(|d| d == name) {
            return Ok(None);
        }
        let dataset = self.group.dataset(name).map_err(fault)?;
        // a chunk is read as a whole
        let chunk = dataset.chunk_shape().map_err(fault)?.unwrap_or_default();
        bounded(name, &chunk, dataset.element_size().map_err(fault)?, self.length)?;
        let chunks = if dataset.is_chunked() { dataset.chunks().unwrap_or_default() } else { Vec::new() };
        if chunks.iter().any(|c| c.address.saturating_add(c.storage_size) > self.length) {
            let message = format!("`{name}` has data beyond the end of the file, at byte {}", self.length);
            return Err(Fault::new(message).hint("the file was cut off or is damaged"));
        }
        Ok(Some(dataset))
    }
    /// The quantity of a name, if it is there.
    pub fn element(&self, name: &str) -> Result<Option<Element>, Fault> {
        if let Some(value) = self.dataset(name)? {
            return Element::new(name, value, None, self.length).map(Some);
        }
        let Some(inner) = self.folder(name)? else { return Ok(None) };
        let value = inner.dataset("value")?;
        let value = value.ok_or_else(|| Fault::new(format!("`{name}` has no data set `value`")))?;
        Element::new(name, value, Some(&inner), self.length).map(Some)
    }
}

/// That a file of `length` bytes can hold `shape` values of `size` bytes.
fn bounded(name: &str, shape: &[u64], size: u64, length: u64) -> Result<u64, Fault> {
    let bytes = shape.iter().try_fold(size.max(1), |a, b| a.checked_mul(*b));
    let most = length.saturating_mul(EXPANSION);
    bytes.filter(|b| *b <= most).ok_or_else(|| {
        Fault::new(format!("`{name}` is of the shape {shape:?}, more than a file of {length} bytes can hold"))
    })
}

/// The text of an attribute, if it is there and not empty.
fn text(attributes: &HashMap<String, AttrValue>, name: &str) -> Option<String> {
    let text = attributes.get(name)?.as_str()?.trim_matches(['\0', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

/// One `unit` of the quantity `name` in internal units; reduced numbers stay as they are, whatever the file says.
fn in_units<D: Dimension>(
    unit: Option<&str>,
    name: &str,
    told: Option<LammpsUnits>,
    default: f64,
) -> Result<f64, Fault> {
    match unit {
        _ if told == Some(LammpsUnits::Lj) => Ok(1.0),
        Some(unit) => factor::<D>(unit, name),
        None => Ok(default),
    }
}

/// Steps or times of the rows of a quantity.
#[derive(Debug)]
enum Series {
    Each(Vec<f64>),
    Regular { first: f64, interval: f64 },
}

impl Series {
    fn open(folder: &Folder, name: &str) -> Result<Option<(Self, Option<String>)>, Fault> {
        let Some(data) = folder.dataset(name)? else { return Ok(None) };
        let attributes = data.attrs().map_err(fault)?;
        let shape = data.shape().map_err(fault)?;
        bounded(name, &shape, 8, folder.length)?;
        let values = data.read_f64().map_err(fault)?;
        let series = match (shape.len(), values.as_slice()) {
            (0, &[interval]) => {
                let first = attributes.get("offset").and_then(AttrValue::as_f64);
                let whole = || attributes.get("offset").and_then(AttrValue::as_i64).map(|n| n as f64);
                Self::Regular { first: first.or_else(whole).unwrap_or(0.0), interval }
            }
            (1, _) => Self::Each(values),
            _ => return Err(Fault::new(format!("`{name}` is neither one number nor a list"))),
        };
        Ok(Some((series, text(&attributes, "unit"))))
    }
    fn at(&self, row: u64) -> Option<f64> {
        match self {
            Self::Each(values) => values.get(usize::try_from(row).ok()?).copied(),
            Self::Regular { first, interval } => Some(first + interval * row as f64),
        }
    }
    /// The row of a value, if it is there; values increase.
    fn find(&self, value: f64) -> Option<u64> {
        let row = match self {
            Self::Each(values) => values.partition_point(|v| *v < value) as u64,
            Self::Regular { first, interval } => ((value - first) / interval).round().max(0.0) as u64,
        };
        (self.at(row)? == value).then_some(row)
    }
}

/// A quantity.
pub(super) struct Element {
    pub name: String,
    pub value: Dataset,
    /// Its dimensions in one frame.
    pub shape: Vec<u64>,
    /// Frames of a quantity that changes.
    pub rows: Option<u64>,
    unit: Option<String>,
    time_unit: Option<String>,
    steps: Option<Series>,
    times: Option<Series>,
    /// Rows read ahead: the first of them, and their values.
    window: (u64, Vec<f64>),
}

impl Element {
    fn new(name: &str, value: Dataset, changing: Option<&Folder>, length: u64) -> Result<Self, Fault> {
        let mut shape = value.shape().map_err(fault)?;
        let mut rows = None;
        let (mut steps, mut times, mut time_unit) = (None, None, None);
        if let Some(folder) = changing {
            if shape.is_empty() {
                return Err(Fault::new(format!("`{name}/value` is one number, not one for each frame")));
            }
            rows = Some(shape.remove(0));
            steps = Series::open(folder, "step")?.map(|(s, _)| s);
            if let Some((series, unit)) = Series::open(folder, "time")? {
                (times, time_unit) = (Some(series), unit);
            }
        }
        let size = value.element_size().map_err(fault)?;
        bounded(name, &shape, size.max(8), length)?;
        let unit = text(&value.attrs().map_err(fault)?, "unit");
        let window = (0, Vec::new());
        Ok(Self { name: name.to_owned(), value, shape, rows, unit, time_unit, steps, times, window })
    }
    /// Step of a row.
    pub fn step(&self, row: u64) -> Option<u64> {
        let step = self.steps.as_ref()?.at(row)?;
        (step >= 0.0 && step.fract() == 0.0).then_some(step as u64)
    }
    /// Time of a row in internal units, `default` those of a file that does not say; none where the file has none.
    pub fn time(&self, row: u64, told: Option<LammpsUnits>, default: f64) -> Result<Option<f64>, Fault> {
        let time = self.times.as_ref().and_then(|t| t.at(row)).filter(|t| t.is_finite());
        let scale = || in_units::<Time>(self.time_unit.as_deref(), "time", told, default);
        time.map(|t| scale().map(|s| t * s)).transpose()
    }
    /// One unit of the values in internal units: that which the file names, else `default`.
    pub fn scale<D: Dimension>(&self, told: Option<LammpsUnits>, default: f64) -> Result<f64, Fault> {
        in_units::<D>(self.unit.as_deref(), &self.name, told, default)
    }
    /// The row that belongs to a row of the positions: that of the same step.
    pub fn row(&self, positions: &Self, row: u64) -> Option<u64> {
        let Some(rows) = self.rows else { return Some(0) };
        let at = match (&self.steps, &positions.steps) {
            (Some(own), Some(steps)) => {
                let step = steps.at(row)?;
                if own.at(row) == Some(step) { row } else { own.find(step)? }
            }
            _ => row,
        };
        (at < rows).then_some(at)
    }
    /// The numbers of a row.
    pub fn numbers(&mut self, row: u64) -> Result<Vec<f64>, Fault> {
        let count = self.shape.iter().product::<u64>();
        let Some(rows) = self.rows else { return self.value.read_f64().map_err(fault) };
        let start = self.window.0;
        let held = (self.window.1.len() as u64).checked_div(count).unwrap_or(0);
        if row < start || row - start >= held {
            // rows that follow are read with it: finding their chunks costs a walk over the index
            let several = (WINDOW / (8 * count).max(1)).clamp(1, rows.saturating_sub(row).max(1));
            self.window = (row, self.value.read_f64_rows(row, several).map_err(fault)?);
        }
        let from = ((row - self.window.0) * count) as usize;
        let numbers = self.window.1.get(from..from + count as usize);
        numbers.map(<[f64]>::to_vec).ok_or_else(|| Fault::new(format!("`{}` ends too early", self.name)))
    }
    /// The texts of a row.
    pub fn texts(&self, row: u64) -> Result<Vec<String>, Fault> {
        match self.rows {
            None => self.value.read_string().map_err(fault),
            Some(_) => self.value.read_string_rows(row, 1).map_err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_step() {
        let each = Series::Each(vec![0.0, 10.0, 30.0]);
        assert_eq!(
            (each.find(10.0), each.find(30.0), each.find(20.0), each.find(40.0)),
            (Some(1), Some(2), None, None)
        );
        let regular = Series::Regular { first: 5.0, interval: 10.0 };
        assert_eq!((regular.at(2), regular.find(25.0), regular.find(26.0)), (Some(25.0), Some(2), None));
        assert_eq!(Series::Regular { first: 0.0, interval: 0.0 }.find(1.0), None);
    }
}
