//! `caloron model info FILE`, `caloron model import FILE -o OUT.safetensors` and `caloron model calibrate STRUCTURES`
use super::calibrate;
use super::output::Output;
use crate::Failure;
use caloron_engine::neighbors::Search;
use caloron_engine::{NeighborList, Species, System};
use caloron_potentials::ml::architecture::{self, Summary};
use caloron_potentials::ml::checkpoint::{self, CheckpointError, ModelFile};
use caloron_potentials::ml::domain::SHORTEST_DISTANCES;
use caloron_potentials::ml::tensornet::units::{UNITS, UnitsSpec};
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
    /// Make the spreads of a committee the errors it has on average for labelled structures
    Calibrate(calibrate::Arguments),
}

#[derive(Debug, clap::Args)]
struct Info {
    /// Model file: PyTorch (`.model`, `.pt`, `.pth`, `.ckpt`), safetensors, `nep.txt`
    file: PathBuf,
    /// List the tensors
    #[arg(long)]
    tensors: bool,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Model file: PyTorch (`.model`, `.pt`, `.pth`, `.ckpt`), safetensors, `nep.txt`
    file: PathBuf,
    /// File to write
    #[arg(long, short, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    /// Structures the model was trained on: the shortest distance of each pair of elements is kept in the file, and runs warn
    /// where atoms come closer
    #[arg(long, value_name = "STRUCTURES")]
    training: Option<PathBuf>,
    /// Unit of the energies of a model whose file does not say it, such as `kcal/mol` (TorchMD-Net)
    #[arg(long, value_name = "UNIT", requires = "length_unit")]
    energy_unit: Option<String>,
    /// Unit of its lengths, such as `Å`
    #[arg(long, value_name = "UNIT", requires = "energy_unit")]
    length_unit: Option<String>,
    /// Licence of the model, to be kept in the file
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    match &a.command {
        Command::Info(a) => info(a),
        Command::Import(a) => import(a),
        Command::Calibrate(a) => calibrate::execute(a),
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
    let line = |name: &str, value: &str| say!("{name:<22} {value}");
    line("file", &a.file.display().to_string());
    line("form", &model.form.to_string());
    match summary(&model, &a.file)? {
        Some((title, summary)) => {
            line("architecture", title);
            line("species", &format!("{} ({})", summary.species.join(" "), summary.species.len()));
            let [length, energy] =
                if summary.unknown_units { ["in the model's unit"; 2] } else { ["Å", "eV"] };
            line("cutoff", &format!("{} {length}", summary.cutoff));
            for (name, value) in &summary.details {
                line(name, value);
            }
            line("energy reference", &summary.energy_reference);
            let energies = |of: &[f64]| {
                let each = summary.species.iter().zip(of).map(|(s, e)| format!("{s} {e}"));
                format!("{} {energy}", each.collect::<Vec<_>>().join(", "))
            };
            if summary.species.len() <= 16 {
                for (name, own) in &summary.heads {
                    line("energies of elements", &format!("{name}: {}", energies(own)));
                }
                if summary.heads.is_empty() && !summary.atomic_energies.is_empty() {
                    line("energies of elements", &energies(&summary.atomic_energies));
                }
            }
            if let Some(why) = &summary.unusable {
                line("usable", &format!("no: {why}"));
            }
        }
        None => line("architecture", "not recognised"),
    }
    if let Some(table) = model.hyper_parameters.get(SHORTEST_DISTANCES).and_then(|t| t.as_object()) {
        let pairs: Vec<String> = table
            .iter()
            .take(24)
            .map(|(p, d)| format!("{p} {:.3}", d.as_f64().unwrap_or(f64::NAN)))
            .collect();
        line("shortest distances", &format!("{} Å", pairs.join(", ")));
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
            say!("  {name} {tensor:?}");
        }
    }
    Ok(())
}

fn import(a: &Import) -> Result<(), Failure> {
    let inputs = a.training.iter().chain([&a.file]).map(PathBuf::as_path);
    let output = Output::new(&a.output, a.force, inputs)?;
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
    if let Some(why) = &summary.unusable {
        return Err(Failure::input(format!("`{}`: {why}", a.file.display()))
            .hint("a copy could not be used either; `caloron model info` says what the file holds"));
    }
    if let (Some(energy), Some(length)) = (&a.energy_unit, &a.length_unit) {
        let units = UnitsSpec { energy: energy.clone(), length: length.clone() };
        if model.architecture != "tensornet" {
            return Err(Failure::input(format!("the units of {title} are known: eV and Å"))
                .hint("leave `--energy-unit` and `--length-unit` out"));
        }
        UnitsSpec::choose(Some(&units), &model).map_err(|e| Failure::input(e.to_string()))?;
        let table = serde_json::json!({ "energy": units.energy, "length": units.length });
        model.hyper_parameters.insert(UNITS.to_owned(), table);
    }
    model.species = summary.species;
    model.licence = a.licence.clone().or(model.licence);
    if let Some(training) = &a.training {
        let shortest = shortest_distances(training)?;
        let table = shortest.iter().map(|(pair, d)| (pair.clone(), serde_json::json!(d))).collect();
        model.hyper_parameters.insert(SHORTEST_DISTANCES.to_owned(), serde_json::Value::Object(table));
    }
    model
        .save(output.place())
        .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", a.output.display())))?;
    output.complete()?;
    eprintln!("{}: {title}, {} numbers", a.output.display(), model.parameters());
    Ok(())
}

/// Distances beyond this are not looked for, Å.
const LONGEST: f64 = 4.0;

/// The shortest distance, Å, of each pair of elements in the structures of a file, by "A-B" in alphabetical order.
fn shortest_distances(path: &Path) -> Result<BTreeMap<String, f64>, Failure> {
    let mut shortest: BTreeMap<String, f64> = BTreeMap::new();
    let mut reader = caloron_io::open(path)?;
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        frames += 1;
        let mut symbols: Vec<&String> = frame.symbols.iter().collect();
        symbols.sort();
        symbols.dedup();
        let species = symbols.iter().map(|s| Species { symbol: (*s).clone(), number: None, mass: 1.0 });
        let kind = |s: &String| symbols.binary_search(&s).unwrap_or(0) as u16;
        let system = System::new(species.collect(), frame.symbols.iter().map(kind).collect());
        let mut list = NeighborList::new(LONGEST, 0.0, Search::Auto);
        list.update(&system, &frame.positions, &frame.cell);
        for (k, &center) in list.centers().iter().enumerate() {
            let a = list.atom(center);
            for &site in list.row(k) {
                let b = list.atom(site);
                let (x, y) = (list.sites()[center as usize].position, list.sites()[site as usize].position);
                let d = (0..3).map(|c| (x[c] - y[c]).powi(2)).sum::<f64>().sqrt();
                let (s, t) = (&frame.symbols[a], &frame.symbols[b]);
                if s <= t {
                    let known = shortest.entry(format!("{s}-{t}")).or_insert(d);
                    *known = known.min(d);
                }
            }
        }
    }
    if frames == 0 {
        return Err(Failure::input(format!("`{}` holds no structure", path.display())));
    }
    Ok(shortest)
}
