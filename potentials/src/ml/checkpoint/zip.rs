//! Zip archives in memory, as `torch.save` writes them.
//!
//! Entries are found through the central directory by their exact name; nothing is ever written, so names with `..` or
//! `/` mean nothing. Entries must not overlap, so that a small file cannot pretend to be large.
//!
//! Format: PKWARE, APPNOTE.TXT 6.3 (sections 4.3 and 4.5.3).
use super::error::{Fault, Read};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

/// The most that a compressed entry may expand to, bytes.
const LARGEST_INFLATED: u64 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Entry {
    compressed: bool,
    crc: u32,
    /// Bytes of the content, as stored and as read.
    start: usize,
    stored: usize,
    size: u64,
}

/// An archive and where its entries lie.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<String, Entry>,
    names: Vec<String>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?)))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Place and number of the records of the central directory.
struct Directory {
    at: usize,
    size: usize,
    count: u64,
}

fn directory(bytes: &[u8]) -> Option<Directory> {
    let from = bytes.len().saturating_sub(22 + 65_535);
    let end = (from..=bytes.len().checked_sub(22)?).rev().find(|&k| bytes[k..].starts_with(b"PK\x05\x06"))?;
    let (mut count, mut size, mut at) =
        (u16_at(bytes, end + 10)?, u32_at(bytes, end + 12)?, u32_at(bytes, end + 16)?);
    if let Some(locator) = end.checked_sub(20).filter(|&k| bytes[k..].starts_with(b"PK\x06\x07")) {
        let record = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
        if bytes.get(record..)?.starts_with(b"PK\x06\x06") {
            count = u64_at(bytes, record.checked_add(32)?)?;
            size = u64_at(bytes, record.checked_add(40)?)?;
            at = u64_at(bytes, record.checked_add(48)?)?;
        }
    }
    let (at, size) = (usize::try_from(at).ok()?, usize::try_from(size).ok()?);
    (at.checked_add(size)? <= end).then_some(Directory { at, size, count })
}

/// Sizes and offset that did not fit into 32 bits, from the extra field of a record.
fn zip64(extra: &[u8], size: &mut u64, stored: &mut u64, offset: &mut u64) -> Option<()> {
    let mut at = 0;
    while at + 4 <= extra.len() {
        let (id, len) = (u16_at(extra, at)?, u16_at(extra, at + 2)? as usize);
        let field = extra.get(at + 4..at + 4 + len)?;
        if id == 1 {
            let mut k = 0;
            for value in [size, stored, offset] {
                if *value == 0xffff_ffff {
                    *value = u64_at(field, k)?;
                    k += 8;
                }
            }
            return Some(());
        }
        at += 4 + len;
    }
    Some(())
}

impl<'a> Archive<'a> {
    /// Finds the entries of an archive.
    pub fn open(bytes: &'a [u8]) -> Read<Self> {
        let lost = || Fault::damaged("it has no list of contents where a zip archive ends");
        let directory = directory(bytes).ok_or_else(lost)?;
        let records = &bytes[directory.at..directory.at + directory.size];
        // a record has at least 46 bytes
        if directory.count > (records.len() / 46) as u64 {
            return Err(Fault::damaged(format!(
                "its list of contents is too short for {} entries",
                directory.count
            )));
        }
        let mut archive = Self { bytes, entries: HashMap::new(), names: Vec::new() };
        let mut at = 0;
        for k in 0..directory.count {
            let torn = || Fault::damaged(format!("entry {k} of its list of contents is torn"));
            at += archive.record(records.get(at..).ok_or_else(torn)?).ok_or_else(torn)??;
        }
        archive.check_overlaps()?;
        Ok(archive)
    }
    /// Reads one record and gives its length.
    fn record(&mut self, r: &[u8]) -> Option<Read<usize>> {
        if !r.starts_with(b"PK\x01\x02") {
            return None;
        }
        let (flags, method) = (u16_at(r, 8)?, u16_at(r, 10)?);
        let crc = u32_at(r, 16)? as u32;
        let (mut stored, mut size, mut offset) = (u32_at(r, 20)?, u32_at(r, 24)?, u32_at(r, 42)?);
        let lengths = [28, 30, 32].map(|k| u16_at(r, k).map(|n| n as usize));
        let fields = 46 + lengths[0]?;
        let comment = fields + lengths[1]?;
        let end = comment + lengths[2]?;
        let name = String::from_utf8_lossy(r.get(46..fields)?).into_owned();
        zip64(r.get(fields..comment)?, &mut size, &mut stored, &mut offset)?;
        r.get(..end)?;
        if flags & 1 != 0 {
            return Some(Err(Fault::Unsupported(format!("entry `{name}` is encrypted"))));
        }
        if method != 0 && method != 8 {
            return Some(Err(Fault::Unsupported(format!(
                "entry `{name}` is compressed with method {method}"
            ))));
        }
        let local = usize::try_from(offset).ok()?;
        let header = self.bytes.get(local..).filter(|h| h.starts_with(b"PK\x03\x04"))?;
        let skip = 30 + u16_at(header, 26)? as usize + u16_at(header, 28)? as usize;
        let (start, stored) = (local.checked_add(skip)?, usize::try_from(stored).ok()?);
        if start.checked_add(stored)? > self.bytes.len() || (method == 0 && size != stored as u64) {
            return Some(Err(Fault::damaged(format!("entry `{name}` is longer than the file"))));
        }
        let entry = Entry { compressed: method == 8, crc, start, stored, size };
        if self.entries.insert(name.clone(), entry).is_some() {
            return Some(Err(Fault::damaged(format!("it has two entries `{name}`"))));
        }
        self.names.push(name);
        Some(Ok(end))
    }
    fn check_overlaps(&self) -> Read<()> {
        let mut spans: Vec<(usize, usize, &str)> = self
            .entries
            .iter()
            .map(|(name, e)| (e.start, e.start + e.stored, name.as_str()))
            .filter(|s| s.1 > s.0)
            .collect();
        spans.sort_unstable();
        match spans.windows(2).find(|w| w[1].0 < w[0].1) {
            Some(w) => Err(Fault::damaged(format!("its entries `{}` and `{}` overlap", w[0].2, w[1].2))),
            None => Ok(()),
        }
    }
    /// Names of the entries in the order of the list of contents.
    pub fn names(&self) -> &[String] {
        &self.names
    }
    /// The content of an entry, its checksum compared.
    pub fn read(&self, name: &str) -> Read<Option<Cow<'a, [u8]>>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let stored = &self.bytes[entry.start..entry.start + entry.stored];
        let content =
            if entry.compressed { Cow::Owned(inflate(name, entry, stored)?) } else { Cow::Borrowed(stored) };
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        // PyTorch can be told to leave the checksum out
        if entry.crc != 0 && crc.sum() != entry.crc {
            return Err(Fault::damaged(format!("the checksum of entry `{name}` does not fit")));
        }
        Ok(Some(content))
    }
}

fn inflate(name: &str, entry: &Entry, stored: &[u8]) -> Read<Vec<u8>> {
    // deflate expands at most 1032 times
    if entry.size > LARGEST_INFLATED || entry.size > 1032 * (stored.len() as u64 + 1) {
        return Err(Fault::Excessive(format!("entry `{name}` says it expands to {} bytes", entry.size)));
    }
    let mut content = Vec::new();
    let mut decoder = flate2::read::DeflateDecoder::new(stored).take(entry.size + 1);
    match decoder.read_to_end(&mut content) {
        Ok(n) if n as u64 == entry.size => Ok(content),
        _ => Err(Fault::damaged(format!("entry `{name}` cannot be decompressed"))),
    }
}
