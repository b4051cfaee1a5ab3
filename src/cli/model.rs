//! `caloron model info FILE` and `caloron model import FILE -o OUT.safetensors`
use crate::Failure;
use caloron_potentials::ml::architecture::{self, Summary};
use caloron_potentials::ml::checkpoint::{self, CheckpointError, ModelFile};
use clap::Subcommand;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a model file holds: architecture, elements, cutoff, energy reference, precision, size
    Info(Info),
    /// Write a model in Caloron's own form, one safetensors file
    Import(Import),
}

#[derive(Debug, clap::Args)]
struct Info {
    /// Model file: PyTorch (`.model`, `.pt`, `.pth`), safetensors, `nep.txt`
    file: PathBuf,
    /// List the tensors
    #[arg(long)]
    tensors: bool,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Model file: PyTorch (`.model`, `.pt`, `.pth`), safetensors, `nep.txt`
    file: PathBuf,
    /// File to write
    #[arg(long, short, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    /// Licence of the model, to be kept in the file
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    match &a.command {
        Command::Info(a) => info(a),
        Command::Import(a) => import(a),
    }
}

fn load(path: &Path) -> Result<ModelFile, Failure> {
    checkpoint::load(path).map_err(|e| {
        let failure = match &e {
            CheckpointError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
                Failure::other(e.to_string())
            }
            _ => Failure::input(e.to_string()),
        };
        match e.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// What a model says about itself, or why it cannot be said.
fn summary(model: &ModelFile, path: &Path) -> Result<Option<(&'static str, Summary)>, Failure> {
    let Some(found) = architecture::find(&model.architecture) else { return Ok(None) };
    let fault = |f| Failure::input(format!("`{}`: {f}", path.display()));
    Ok(Some((found.title, found.summary(model).map_err(fault)?)))
}

/// Types of the numbers and how many of each.
fn precision(model: &ModelFile) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tensor in model.tensors.values().filter(|t| t.dtype().is_float() && !t.is_empty()) {
        *counts.entry(tensor.dtype().name()).or_default() += tensor.len();
    }
    let all: Vec<String> = match counts.len() {
        0 | 1 => counts.keys().map(|k| (*k).to_owned()).collect(),
        _ => counts.iter().map(|(k, n)| format!("{k} ({n} numbers)")).collect(),
    };
    all.join(", ")
}

fn info(a: &Info) -> Result<(), Failure> {
    let model = load(&a.file)?;
    let line = |name: &str, value: &str| println!("{name:<22} {value}");
    line("file", &a.file.display().to_string());
    line("form", &model.form.to_string());
    match summary(&model, &a.file)? {
        Some((title, summary)) => {
            line("architecture", title);
            line("species", &format!("{} ({})", summary.species.join(" "), summary.species.len()));
            line("cutoff", &format!("{} Å", summary.cutoff));
            for (name, value) in &summary.details {
                line(name, value);
            }
            line("energy reference", &summary.energy_reference);
            if !summary.atomic_energies.is_empty() && summary.species.len() <= 16 {
                let each = summary.species.iter().zip(&summary.atomic_energies);
                line(
                    "energies of elements",
                    &format!("{} eV", each.map(|(s, e)| format!("{s} {e}")).collect::<Vec<_>>().join(", ")),
                );
            }
        }
        None => line("architecture", "not recognised"),
    }
    line("precision", &precision(&model));
    line("numbers", &format!("{} in {} tensors", model.parameters(), model.tensors.len()));
    line("licence", model.licence.as_deref().unwrap_or("not stated in the file"));
    if model.source.sha256 != model.source.file_sha256 {
        line("made from", &model.source.name);
        line("sha256 of that", &model.source.sha256);
    }
    line("sha256", &model.source.file_sha256);
    if a.tensors {
        for (name, tensor) in &model.tensors {
            println!("  {name} {tensor:?}");
        }
    }
    Ok(())
}

fn import(a: &Import) -> Result<(), Failure> {
    if a.output.exists() && !a.force {
        return Err(Failure::input(format!("`{}` already exists", a.output.display()))
            .hint("choose another name, or replace it with `--force`"));
    }
    let mut model = load(&a.file)?;
    let Some((title, summary)) = summary(&model, &a.file)? else {
        return Err(Failure::input(format!(
            "`{}` holds a model of an unknown architecture",
            a.file.display()
        ))
        .hint(format!(
            "known are {}",
            architecture::ARCHITECTURES.iter().map(|a| a.title).collect::<Vec<_>>().join(", ")
        )));
    };
    model.species = summary.species;
    model.licence = a.licence.clone().or(model.licence);
    model
        .save(&a.output)
        .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", a.output.display())))?;
    eprintln!("{}: {title}, {} numbers", a.output.display(), model.parameters());
    Ok(())
}
