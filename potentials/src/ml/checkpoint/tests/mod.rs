//! Tests of the reader on crafted, hostile and real files.
mod forms;
mod garbage;
mod hostile;
mod real;

use super::*;

/// A zip archive of stored entries.
pub(super) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let at = file.len() as u32;
        // version, flags, method, time, date, checksum, sizes
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // comment, disk, attributes
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A pickle in the making.
#[derive(Default)]
pub(super) struct Script(pub Vec<u8>);

impl Script {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }
    pub fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    pub fn text(self, text: &str) -> Self {
        let n = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&n).op(text.as_bytes())
    }
    pub fn int(self, i: i64) -> Self {
        self.op(b"\x8a\x08").op(&i.to_le_bytes())
    }
    pub fn global(self, module: &str, name: &str) -> Self {
        self.op(b"c").op(module.as_bytes()).op(b"\n").op(name.as_bytes()).op(b"\n")
    }
    pub fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.op(b"("), |s, v| s.int(*v)).op(b"t")
    }
    /// A tensor as PyTorch writes it.
    pub fn tensor(
        self,
        kind: &str,
        key: &str,
        numel: i64,
        offset: i64,
        shape: &[i64],
        stride: &[i64],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", kind)
            .text(key)
            .text("cpu")
            .int(numel)
            .op(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(stride)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }
    /// A file with this pickle, whose value is the top of the stack, and storages.
    pub fn file(mut self, storages: &[(&str, &[u8])]) -> Vec<u8> {
        self.0.push(b'.');
        let mut entries = vec![("m/data.pkl".to_owned(), self.0.as_slice())];
        entries.extend(storages.iter().map(|(key, content)| (format!("m/data/{key}"), *content)));
        let entries: Vec<(&str, &[u8])> = entries.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        zip(&entries)
    }
}

/// A `state_dict()` with one tensor `w` whose storage `0` holds `storage`.
pub(super) fn one_tensor(
    kind: &str,
    numel: i64,
    offset: i64,
    shape: &[i64],
    stride: &[i64],
    storage: &[u8],
) -> Vec<u8> {
    Script::new()
        .op(b"}(")
        .text("w")
        .tensor(kind, "0", numel, offset, shape, stride)
        .op(b"u")
        .file(&[("0", storage)])
}

pub(super) fn read(bytes: &[u8]) -> Result<ModelFile, Refusal> {
    parse(bytes, Source::default())
}

/// The message of the refusal of a file.
pub(super) fn refusal(bytes: &[u8]) -> String {
    match read(bytes).expect_err("the file must be refused") {
        Refusal::Foreign(what, _) => what.to_owned(),
        Refusal::Fault(fault) => fault.to_string(),
    }
}

pub(super) fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}
