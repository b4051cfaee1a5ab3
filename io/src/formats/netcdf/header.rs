//! The header of classic NetCDF files (magic `CDF` 1 and 2).
//!
//! Source: Unidata, "NetCDF Classic and 64-bit Offset File Formats".
use crate::binary::{Binary, put_i32};
use crate::error::Fault;

pub(super) const CHAR: i32 = 2;
pub(super) const FLOAT: i32 = 5;
pub(super) const DOUBLE: i32 = 6;
const DIMENSIONS: i32 = 10;
const VARIABLES: i32 = 11;
const ATTRIBUTES: i32 = 12;

/// A variable: where its data are and what they mean.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: String,
    /// Lengths of its dimensions, 0 for the one that counts frames.
    pub shape: Vec<u64>,
    pub kind: i32,
    pub begin: u64,
    pub units: Option<String>,
    pub scale: f64,
}

impl Variable {
    pub fn is_record(&self) -> bool {
        self.shape.first() == Some(&0)
    }
    /// Values in one frame.
    pub fn values(&self) -> u64 {
        self.shape.iter().skip(usize::from(self.is_record())).fold(1, |a: u64, b| a.saturating_mul(*b))
    }
    /// Bytes in one frame, without padding.
    pub fn bytes(&self) -> u64 {
        self.values().saturating_mul(size(self.kind))
    }
}

fn size(kind: i32) -> u64 {
    match kind {
        1 | CHAR => 1,
        3 => 2,
        DOUBLE => 8,
        _ => 4,
    }
}

#[derive(Debug)]
pub(super) struct Header {
    /// Frames, as far as the header knows.
    pub records: Option<u64>,
    pub conventions: String,
    pub variables: Vec<Variable>,
    /// Bytes from one frame to the next.
    pub stride: u64,
}

/// A count of things of at least `size` bytes each, which cannot exceed the file.
fn length(file: &mut Binary, size: u64) -> Result<u64, Fault> {
    let n = u64::from(file.u32()?);
    if n.saturating_mul(size) > file.left() {
        return Err(Fault::new(format!("the header announces {n} entries, more than the file can hold")));
    }
    Ok(n)
}

fn name(file: &mut Binary) -> Result<String, Fault> {
    let n = length(file, 1)?;
    let bytes = file.bytes(n.next_multiple_of(4).min(file.left()))?;
    Ok(String::from_utf8_lossy(&bytes[..(n as usize).min(bytes.len())]).into_owned())
}

/// Number of entries of a list with this tag; an absent list is two zeros.
fn list(file: &mut Binary, tag: i32) -> Result<u64, Fault> {
    let found = file.i32()?;
    let n = length(file, 8)?;
    if found == tag || (found == 0 && n == 0) {
        Ok(n)
    } else {
        Err(Fault::new("the NetCDF header is damaged"))
    }
}

/// The text attributes and the first number of numeric ones.
fn attributes(file: &mut Binary) -> Result<Vec<(String, String, Option<f64>)>, Fault> {
    let mut out = Vec::new();
    for _ in 0..list(file, ATTRIBUTES)? {
        let key = name(file)?;
        let kind = file.i32()?;
        let n = length(file, size(kind))?;
        let bytes = (n * size(kind)).next_multiple_of(4);
        let raw = file.bytes(bytes)?;
        let text = if kind == CHAR {
            String::from_utf8_lossy(&raw[..n as usize]).into_owned()
        } else {
            String::new()
        };
        let number = match (kind, raw.as_slice()) {
            (FLOAT, [a, b, c, d, ..]) => Some(f32::from_be_bytes([*a, *b, *c, *d]).into()),
            (DOUBLE, raw) => raw.first_chunk::<8>().map(|b| f64::from_be_bytes(*b)),
            _ => None,
        };
        out.push((key, text.trim_end_matches('\0').to_owned(), number));
    }
    Ok(out)
}

pub(super) fn read(file: &mut Binary) -> Result<Header, Fault> {
    let magic = file.bytes(4)?;
    let wide = match *magic.as_slice() {
        [b'C', b'D', b'F', 1] => false,
        [b'C', b'D', b'F', 2] => true,
        [0x89, b'H', b'D', b'F'] => {
            return Err(Fault::new("this is NetCDF-4 (HDF5); only classic NetCDF is read")
                .hint("nccopy -k 'classic' converts it"));
        }
        _ => return Err(Fault::new("this is no classic NetCDF file")),
    };
    let records = file.u32()?;
    let mut dimensions = Vec::new();
    for _ in 0..list(file, DIMENSIONS)? {
        name(file)?;
        dimensions.push(u64::from(file.u32()?));
    }
    let conventions = attributes(file)?.into_iter().find(|(k, ..)| k == "Conventions").map(|(_, v, _)| v);
    let mut variables = Vec::new();
    for _ in 0..list(file, VARIABLES)? {
        let name = name(file)?;
        let rank = length(file, 4)?;
        let mut shape = Vec::new();
        for _ in 0..rank {
            let id = file.u32()?;
            let length = dimensions.get(id as usize).copied();
            shape.push(
                length.ok_or_else(|| Fault::new(format!("`{name}` has a dimension that does not exist")))?,
            );
        }
        let attributes = attributes(file)?;
        let kind = file.i32()?;
        file.skip(4)?;
        let begin = if wide { file.u64()? } else { file.u32()?.into() };
        let units = attributes.iter().find(|(k, ..)| k == "units").map(|(_, v, _)| v.clone());
        let scale = attributes.iter().find(|(k, ..)| k == "scale_factor").and_then(|a| a.2).unwrap_or(1.0);
        variables.push(Variable { name, shape, kind, begin, units, scale });
    }
    let of_frames: Vec<&Variable> = variables.iter().filter(|v| v.is_record()).collect();
    // a single variable of the unlimited dimension is not padded
    let pad = |v: &&Variable| if of_frames.len() == 1 { v.bytes() } else { v.bytes().saturating_add(3) & !3 };
    let stride = of_frames.iter().map(pad).fold(0, u64::saturating_add);
    let records = (records != u32::MAX).then_some(u64::from(records));
    Ok(Header { records, conventions: conventions.unwrap_or_default(), variables, stride })
}

/// A variable to be written: name, ids of its dimensions, type, attributes, bytes in one frame.
pub(super) struct Definition {
    pub name: &'static str,
    pub dimensions: &'static [i32],
    pub kind: i32,
    pub attributes: Vec<(String, String)>,
    pub bytes: u64,
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    put_i32(out, name.len() as i32);
    out.extend_from_slice(name.as_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

fn put_attributes(out: &mut Vec<u8>, attributes: &[(String, String)]) {
    put_i32(out, if attributes.is_empty() { 0 } else { ATTRIBUTES });
    put_i32(out, attributes.len() as i32);
    for (name, value) in attributes {
        put_name(out, name);
        put_i32(out, CHAR);
        put_name(out, value);
    }
}

/// Appends a header of no frames. `out` must be empty: offsets count from its start. Variables whose first dimension
/// has the id 0 (the frames) must come last.
pub(super) fn put(
    out: &mut Vec<u8>,
    dimensions: &[(&str, i32)],
    attributes: &[(String, String)],
    variables: &[Definition],
) {
    out.extend_from_slice(b"CDF\x02");
    put_i32(out, 0);
    put_i32(out, DIMENSIONS);
    put_i32(out, dimensions.len() as i32);
    for (name, length) in dimensions {
        put_name(out, name);
        put_i32(out, *length);
    }
    put_attributes(out, attributes);
    put_i32(out, VARIABLES);
    put_i32(out, variables.len() as i32);
    let mut offsets = Vec::new();
    for v in variables {
        put_name(out, v.name);
        put_i32(out, v.dimensions.len() as i32);
        v.dimensions.iter().for_each(|d| put_i32(out, *d));
        put_attributes(out, &v.attributes);
        put_i32(out, v.kind);
        put_i32(out, v.bytes.next_multiple_of(4).min(i32::MAX as u64) as i32);
        offsets.push(out.len());
        out.extend_from_slice(&[0; 8]);
    }
    let mut begin = out.len() as u64;
    for (v, offset) in variables.iter().zip(offsets) {
        out[offset..offset + 8].copy_from_slice(&begin.to_be_bytes());
        begin += v.bytes.next_multiple_of(4);
    }
}
