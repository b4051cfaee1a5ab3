//! Copying from one format to another.
use crate::error::Fault;
use crate::{Format, Frame, IoError, ReadOptions, WriteOptions, create, open_with};
use std::path::Path;

/// Which frames are copied and how.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// Format of the input; by its name if absent.
    pub from: Option<Format>,
    /// Format of the output; by its name if absent.
    pub to: Option<Format>,
    /// What the reader is told about the input.
    pub read: ReadOptions,
    /// First frame, from 0.
    pub first: u64,
    /// First frame that is left out again; all to the end if absent.
    pub end: Option<u64>,
    /// Every n-th frame from the first; 0 and 1 both mean every frame.
    pub stride: u64,
    /// Move atoms into the cell.
    pub wrap: bool,
    /// How the output is written.
    pub write: WriteOptions,
}

/// What a conversion did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Frames written.
    pub frames: u64,
    /// What frames had and the output format cannot hold.
    pub lost: Vec<&'static str>,
}

/// Copies frames from `input` to `output`.
///
/// # Errors
/// Those of reading and writing; equal input and output; no frame in the range.
pub fn convert(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &ConvertOptions,
) -> Result<Converted, IoError> {
    let (input, output) = (input.as_ref(), output.as_ref());
    let from = options.from.map_or_else(|| Format::from_path(input), Ok)?;
    let to = options.to.map_or_else(|| Format::from_path(output), Ok)?;
    let mut reader = open_with(input, from, &options.read)?;
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(input, output) {
        return Err(IoError::new(
            output,
            Some(to),
            Fault::new("this is the input file; it would be overwritten"),
        ));
    }
    // the first frame is read before the output is created, so that a bad input leaves nothing behind
    let (mut index, mut writer, mut done) = (0, None, Converted::default());
    while options.end.is_none_or(|end| index < end) {
        let Some(mut frame) = reader.next_frame()? else { break };
        let wanted = index >= options.first && (index - options.first).is_multiple_of(options.stride.max(1));
        index += 1;
        if !wanted {
            continue;
        }
        if options.wrap {
            frame.wrap();
        }
        note_losses(&frame, to, &mut done.lost);
        let writer = match &mut writer {
            Some(w) => w,
            None => writer.insert(create(output, to, &options.write)?),
        };
        writer.write(&frame)?;
        done.frames += 1;
    }
    match writer {
        Some(mut w) => w.sync().map(|_| done),
        None => {
            let fault = Fault::new(format!("no frame in the range that starts at {}", options.first));
            Err(IoError::new(input, Some(from), fault.hint(format!("the file has {index} frames"))))
        }
    }
}

fn note_losses(frame: &Frame, to: Format, lost: &mut Vec<&'static str>) {
    let holds = to.holds();
    let losses = [
        ("names", !holds.names && !frame.symbols.is_empty()),
        ("cell", !holds.cell && !frame.cell.is_open()),
        (
            "periodic directions",
            holds.cell && !holds.pbc && !frame.cell.is_open() && !frame.cell.is_fully_periodic(),
        ),
        ("velocities", !holds.velocities && frame.velocities.is_some()),
        ("forces", !holds.forces && frame.forces.is_some()),
        ("time", !holds.time && (frame.time.is_some() || frame.step.is_some())),
    ];
    for (what, is_lost) in losses {
        if is_lost && !lost.contains(&what) {
            lost.push(what);
        }
    }
}
