//! Structures in files that an input names.
use caloron_engine::SpecError;
use caloron_engine::error::nearest;
use caloron_io::{Format, Frame};
use std::collections::VecDeque;
use std::path::Path;

/// One frame of a file; the errors are at `structure`, `frame` or `format`.
pub(crate) fn read_frame(path: &Path, format: Option<&str>, index: i64) -> Result<Frame, SpecError> {
    check_exists("structure", path)?;
    let io = |e: caloron_io::IoError| {
        let source = e.source.as_ref().map_or(String::new(), |s| format!(" ({s})"));
        let error = SpecError::new("structure", format!("{e}{source}"));
        let hint = e
            .hint
            .unwrap_or_else(|| "check that the file is complete and of the format its name says".into());
        error.hint(hint)
    };
    let mut reader = match format {
        None => caloron_io::open(path).map_err(io)?,
        Some(name) => caloron_io::open_as(path, format_by_name(name)?).map_err(io)?,
    };
    let mut seen: usize = 0;
    // counted from the end: the last |index| frames are kept
    let keep = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let mut last = VecDeque::new();
    while let Some(frame) = reader.next_frame().map_err(io)? {
        seen += 1;
        if index >= 0 {
            if seen == keep.saturating_add(1) {
                return Ok(frame);
            }
        } else {
            if last.len() == keep {
                last.pop_front();
            }
            last.push_back(frame);
        }
    }
    match last.pop_front() {
        Some(frame) if last.len() + 1 == keep => Ok(frame),
        _ if seen == 0 => {
            Err(SpecError::new("structure", format!("`{}` holds no structure", path.display()))
                .hint("name a file with at least one frame"))
        }
        _ => {
            Err(SpecError::new("frame", format!("frame {index} does not exist: the file has {seen} frames"))
                .hint(format!("frames are counted from 0 to {}, or from -1 backwards", seen - 1)))
        }
    }
}

/// The format of a name such as `xtc`; the error is at `format`.
pub(crate) fn format_by_name(name: &str) -> Result<Format, SpecError> {
    Format::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Format::all().map(Format::name).collect();
        SpecError::new("format", format!("`{name}` is no known format")).hint(
            match nearest(name, names.iter().copied()) {
                Some(n) => format!("did you mean `{n}`?"),
                None => format!("known formats: {}", names.join(", ")),
            },
        )
    })
}

/// Refuses a file that does not exist, naming the nearest file of the folder.
pub(crate) fn check_exists(key: &str, path: &Path) -> Result<(), SpecError> {
    if path.is_file() {
        return Ok(());
    }
    if path.is_dir() {
        return Err(
            SpecError::new(key, format!("`{}` is a folder", path.display())).hint("name a file in it")
        );
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder);
    let Ok(entries) = entries else {
        return Err(SpecError::new(key, format!("the folder `{}` does not exist", folder.display()))
            .hint("file names are relative to the folder of the input file"));
    };
    let mut names: Vec<String> =
        entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).take(10_000).collect();
    names.sort();
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Err(SpecError::new(key, format!("there is no file `{}`", path.display())).hint(
        match nearest(&wanted, names.iter().map(String::as_str)) {
            Some(n) => format!("did you mean `{n}`?"),
            None => "file names are relative to the folder of the input file".into(),
        },
    ))
}
