//! Embedded-atom potentials.
//!
//! E = Σ_i F_i(ρ_i) + ½ Σ_{i≠j} φ_ij(r_ij), ρ_i = Σ_{j≠i} ρ_ji(r_ij), where ρ_ji is the density that an atom of the
//! species of j makes at an atom of the species of i. In files of one element and in alloy files it depends on j alone, in
//! Finnis-Sinclair files on both. Beyond the largest tabulated density, F continues along its tangent there.
//!
//! The forces are F_i = Σ_j [F'_i ρ'_ji + F'_j ρ'_ij + φ'_ij] (r_j − r_i)/r.
//!
//! Sources: Daw and Baskes, Phys. Rev. B 29, 6443 (1984), doi 10.1103/PhysRevB.29.6443; Finnis and Sinclair, Phil. Mag. A
//! 50, 45 (1984), doi 10.1080/01418618408244210. Tables are interpolated as in [`crate::kernels::uniform_spline`].
pub(super) mod file;
mod kernel;

use super::files::{map_species, read};
use crate::BuildContext;
use caloron_engine::SpecError;
use file::{Funcfl, Setfl, Tables};
pub use kernel::Eam;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Format of an EAM file.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EamFormat {
    /// One element per file (DYNAMO funcfl): effective charge and density.
    Funcfl,
    /// Alloy (DYNAMO setfl).
    Setfl,
    /// Finnis-Sinclair: setfl with a density for each pair of elements.
    FinnisSinclair,
}

/// Embedded-atom potential from a file in the formats that LAMMPS reads.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EamSpec {
    /// The file, relative to the input file. A funcfl file here serves systems of one species; mixtures of funcfl
    /// elements use `files`.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// A funcfl file for each species, such as `{ Cu = "Cu_u3.eam", Ni = "Ni_u3.eam" }`; instead of `file`.
    #[serde(default)]
    pub files: Option<BTreeMap<String, PathBuf>>,
    /// Format. Default: by the ending of the name, `.fs` Finnis-Sinclair, `.alloy` or `.setfl` setfl, `.eam` or
    /// `.funcfl` funcfl; another ending is an error.
    #[serde(default)]
    pub format: Option<EamFormat>,
    /// Element of the file for a species, such as `{ Cu1 = "Cu" }`. Default: the element of the same name. (For setfl
    /// and Finnis-Sinclair files, which name their elements.)
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl EamSpec {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When the file is malformed or a species is not in it.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Eam, SpecError> {
        let tables = self.tables(context)?;
        let map: Vec<usize> = match tables.1 {
            true => (0..context.system.species().len()).collect(),
            false => {
                let file = self.file.as_deref().unwrap_or(Path::new(""));
                map_species(context.system, self.elements.as_ref(), &tables.0.elements, file)?
            }
        };
        Ok(Eam::new(&tables.0, &map))
    }
    fn format_of(&self, key: &str, file: &Path) -> Result<EamFormat, SpecError> {
        let compressed = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let bare = if compressed { file.with_extension("") } else { file.to_owned() };
        let ending = bare.extension().and_then(|e| e.to_str()).unwrap_or("");
        match (self.format, ending) {
            (Some(format), _) => Ok(format),
            (_, "fs") => Ok(EamFormat::FinnisSinclair),
            (_, "alloy" | "setfl") => Ok(EamFormat::Setfl),
            (_, "eam" | "funcfl") => Ok(EamFormat::Funcfl),
            _ => Err(SpecError::new(
                key,
                format!("the ending of `{}` does not tell its format", file.display()),
            )
            .hint("add `format = \"funcfl\"`, `\"setfl\"` or `\"finnis_sinclair\"`")),
        }
    }
    /// The tables, and whether their elements are the species in order.
    fn tables(&self, context: &mut BuildContext<'_>) -> Result<(Tables, bool), SpecError> {
        let names: Vec<String> = context.system.species().iter().map(|s| s.symbol.clone()).collect();
        match (&self.file, &self.files) {
            (Some(file), None) => match self.format_of("file", file)? {
                EamFormat::Funcfl if self.elements.is_some() => Err(SpecError::new(
                    "elements",
                    "a funcfl file holds one element without a name, so there is nothing to choose",
                )),
                EamFormat::Funcfl if names.len() > 1 => Err(SpecError::new(
                    "file",
                    format!(
                        "`{}` is a funcfl file of one element; the species are {}",
                        file.display(),
                        names.join(", ")
                    ),
                )
                .hint("give a file for each species with `files = { ... }`, or use an alloy file")),
                EamFormat::Funcfl => {
                    let text = read(context, "file", file)?;
                    Ok((file::from_funcfl(names, &[Funcfl::read("file", file, &text)?]), true))
                }
                format => {
                    let text = read(context, "file", file)?;
                    let kind = match format {
                        EamFormat::FinnisSinclair => Setfl::FinnisSinclair,
                        _ => Setfl::Alloy,
                    };
                    Ok((file::read_setfl("file", file, &text, kind)?, false))
                }
            },
            (None, Some(files)) => {
                if let Some(extra) = files.keys().find(|k| !names.contains(k)) {
                    let key = format!("files.{extra}");
                    return Err(SpecError::new(key, format!("no atom is of species `{extra}`"))
                        .hint(format!("the species are {}", names.join(", "))));
                }
                let mut read_files = Vec::new();
                for name in &names {
                    let path = files.get(name).ok_or_else(|| {
                        SpecError::new("files", format!("no funcfl file for species `{name}`"))
                    })?;
                    let key = format!("files.{name}");
                    if self.format_of(&key, path)? != EamFormat::Funcfl {
                        let message = format!("`{}` is not a funcfl file", path.display());
                        return Err(SpecError::new(key, message).hint("an alloy file is named with `file`"));
                    }
                    let text = read(context, &key, path)?;
                    read_files.push(Funcfl::read(&key, path, &text)?);
                }
                Ok((file::from_funcfl(names, &read_files), true))
            }
            _ => Err(SpecError::new("", "an EAM potential needs either `file` or `files`")),
        }
    }
}
