//! `caloron convert IN OUT`
use super::output::Output;
use crate::Failure;
use caloron_engine::UnitSystem;
use caloron_io::{ConvertOptions, Format, LammpsUnits, ReadOptions, WriteOptions, convert};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Structure or trajectory to read
    #[arg(required_unless_present = "formats")]
    input: Option<PathBuf>,
    /// File to write; the format follows from its name
    #[arg(required_unless_present = "formats")]
    output: Option<PathBuf>,
    /// Format of the input, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    from: Option<Format>,
    /// Format of the output, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    to: Option<Format>,
    /// First frame, counted from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// First frame that is left out again
    #[arg(long, value_name = "N")]
    end: Option<u64>,
    /// Every n-th frame
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    stride: u64,
    /// Move atoms into the cell
    #[arg(long)]
    wrap: bool,
    /// Group of particles to read, of an H5MD file with several
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Numbers are in reduced units and are copied as they are
    #[arg(long)]
    reduced: bool,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    /// List the formats and what each holds
    #[arg(long)]
    formats: bool,
}

fn format(name: &str) -> Result<Format, String> {
    Format::by_name(name).ok_or_else(|| {
        let known: Vec<_> = Format::all().map(Format::name).collect();
        format!("no such format; there are {}", known.join(", "))
    })
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let (Some(input), Some(output), false) = (&a.input, &a.output, a.formats) else {
        list();
        return Ok(());
    };
    let to = a.to.map_or_else(|| Format::from_path(output), Ok)?;
    caloron_io::check_writable(output, to)?;
    let written = Output::new(output, a.force, [input.as_path()])?;
    let units = if a.reduced { UnitSystem::Lj } else { UnitSystem::Physical };
    let source = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let provenance = vec![
        ("caloron".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("converted_from".to_owned(), source),
    ];
    let options = ConvertOptions {
        from: a.from,
        to: Some(to),
        read: ReadOptions {
            units: a.reduced.then_some(LammpsUnits::Lj),
            group: a.group.clone(),
            ..ReadOptions::default()
        },
        first: a.first,
        end: a.end,
        stride: a.stride,
        wrap: a.wrap,
        write: WriteOptions { provenance: provenance.clone(), units, ..WriteOptions::default() },
    };
    let done = convert(input, written.place(), &options).map_err(Failure::from)?;
    written.complete_with(to, &provenance)?;
    eprintln!("{} frames written to {}", done.frames, output.display());
    if !done.lost.is_empty() {
        eprintln!("warning: the format does not hold {}", done.lost.join(", "));
    }
    Ok(())
}

fn list() {
    say!("{:<16} {:<28} {:<6} {:<6} holds", "format", "extensions", "reads", "writes");
    for f in Format::all() {
        let yes = |b: bool| if b { "yes" } else { "-" };
        let h = f.holds();
        let holds: Vec<_> = [
            (h.frames, "frames"),
            (h.names, "names"),
            (h.cell, "cell"),
            (h.velocities, "velocities"),
            (h.forces, "forces"),
            (h.time, "time"),
        ]
        .into_iter()
        .filter_map(|(held, name)| held.then_some(name))
        .collect();
        say!(
            "{:<16} {:<28} {:<6} {:<6} {}",
            f.name(),
            f.extensions().join(" "),
            yes(f.reads()),
            yes(f.writes()),
            holds.join(" ")
        );
    }
}
