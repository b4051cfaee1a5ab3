//! What a model file holds, in words: the architectures that are recognised, and how each states its elements, its cutoff
//! and its reference energies.
use super::checkpoint::{Fault, ModelFile};
use super::radial::{Basis, Transform};
use super::{chgnet, mace, sevennet, tensornet};
use caloron_engine::elements;
use serde_json::Value;

/// What a model says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Chemical symbols in the order of the model.
    pub species: Vec<String>,
    /// Radius within which an atom sees others in one step, Å.
    pub cutoff: f64,
    /// What the energy zero is.
    pub energy_reference: String,
    /// Energy that each element has by itself, eV, in the order of the species; empty when there is none. Of several heads or modalities that of
    /// the first.
    pub atomic_energies: Vec<f64>,
    /// Names and energies of elements of all heads or modalities, where there are several.
    pub heads: Vec<(String, Vec<f64>)>,
    /// Why no potential can be made of the file, when that is so.
    pub unusable: Option<String>,
    /// Whether the file does not say which units its numbers are in, so that cutoff and energies are in these.
    pub unknown_units: bool,
    /// Further settings: name and value.
    pub details: Vec<(&'static str, String)>,
}

/// An architecture that is recognised in model files.
#[derive(Clone, Copy)]
pub struct Architecture {
    /// Name in input files and in Caloron's own form.
    pub name: &'static str,
    /// Name in full.
    pub title: &'static str,
    /// Tensors that every such model has.
    tensors: [&'static str; 2],
    summary: fn(&ModelFile) -> Result<Summary, Fault>,
}

/// All architectures that are recognised.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "mace",
        title: "MACE (multi-atomic cluster expansion, equivariant)",
        tensors: ["node_embedding.linear.weight", "products.0.linear.weight"],
        summary: mace,
    },
    Architecture {
        name: "chgnet",
        title: "CHGNet (crystal Hamiltonian graph network)",
        tensors: ["atom_embedding.embedding.weight", "composition_model.fc.weight"],
        summary: chgnet,
    },
    Architecture {
        name: "sevennet",
        title: "SevenNet (NequIP)",
        tensors: ["onehot_to_feature_x.linear.weight", "0_self_interaction_1.linear.weight"],
        summary: sevennet,
    },
    Architecture {
        name: "tensornet",
        title: "TensorNet (TorchMD-Net, Cartesian tensors)",
        tensors: [
            "model.representation_model.tensor_embedding.emb2.weight",
            "model.representation_model.out_norm.weight",
        ],
        summary: tensornet,
    },
    Architecture {
        name: "nep",
        title: "NEP (neuroevolution potential)",
        tensors: ["c_angular", "q_scaler"],
        summary: nep,
    },
];

/// The architecture of a name.
pub fn find(name: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|a| a.name == name)
}

/// The architecture of a model, by the names of its tensors.
pub(super) fn recognise(model: &ModelFile) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|a| a.tensors.iter().all(|t| model.tensors.contains_key(*t)))
}

impl Architecture {
    /// What a model of this architecture says about itself.
    ///
    /// # Errors
    /// When it lacks what every such model states.
    pub fn summary(&self, model: &ModelFile) -> Result<Summary, Fault> {
        (self.summary)(model)
    }
}

fn symbols(numbers: &[i64]) -> Result<Vec<String>, Fault> {
    let symbol = |z: &i64| {
        let found = u8::try_from(*z).ok().and_then(elements::symbol);
        found
            .map(str::to_owned)
            .ok_or_else(|| Fault::Content(format!("the model has an element of number {z}")))
    };
    numbers.iter().map(symbol).collect()
}

/// Text of a value; lists of numbers without blanks.
fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Adds values that are there.
fn add(details: &mut Vec<(&'static str, String)>, name: &'static str, value: Option<&Value>) {
    if let Some(value) = value.filter(|v| !v.is_null()) {
        details.push((name, text(value)));
    }
}

fn class(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn mace(file: &ModelFile) -> Result<Summary, Fault> {
    let species = symbols(&file.tensor("atomic_numbers")?.to_i64())?;
    let scalar = |name: &str| file.tensors.get(name).and_then(|t| t.scalar());
    let cutoff =
        scalar("r_max").ok_or_else(|| Fault::Content("the model does not state its cutoff".to_owned()))?;
    let own = file.tensor("atomic_energies_fn.atomic_energies")?.to_f64();
    let at = |path: &str, key: &str| file.hyper_parameter(&["modules", path, key]);
    let mut details = Vec::new();
    if let Some(Value::String(name)) = file.hyper_parameter(&["class"]) {
        details.push(("class", class(name).to_owned()));
    }
    let layers =
        (0..).take_while(|k| file.tensors.contains_key(&format!("products.{k}.linear.weight"))).count();
    details.push(("interactions", layers.to_string()));
    let understood = mace::Model::new(file);
    for t in 0..layers {
        let module = format!("interactions.{t}");
        let mut words =
            vec![at(&module, "class").map_or_else(|| "?".to_owned(), |c| class(&text(c)).to_owned())];
        if let Some(features) = at(&module, "hidden_irreps") {
            words.push(format!("features {}", text(features)));
        }
        if let Ok(model) = &understood
            && let Some(layer) = model.layers.get(t)
        {
            let interaction = &layer.interaction;
            if interaction.edge_channels != model.channels {
                words.push(format!("{} channels along edges", interaction.edge_channels));
            }
            words.push(match &interaction.division {
                mace::model::Division::Constant(n) => format!("sums over neighbours divided by {n}"),
                mace::model::Division::Density { .. } => {
                    "sums over neighbours divided by a density".to_owned()
                }
            });
            if interaction.gate.is_some() {
                words.push("gated messages".to_owned());
            }
            if layer.products.iter().all(|p| p.agnostic) && model.elements.len() > 1 {
                words.push("products for all elements alike".to_owned());
            }
            words.push(match &layer.readout {
                None => "no readout".to_owned(),
                Some(mace::model::Readout(network)) => match network.layers.len() {
                    1 => "linear readout".to_owned(),
                    n => {
                        let activation = format!("{:?}", network.activation).to_lowercase();
                        let layers = if n > 2 { format!("{} layers of ", n - 1) } else { String::new() };
                        format!(
                            "readout of {layers}{} hidden numbers ({activation})",
                            network.layers[0].outputs
                        )
                    }
                },
            });
        }
        details.push(("interaction", format!("{}: {}", t + 1, words.join(", "))));
    }
    if let Some(n) = at("interactions.0", "avg_num_neighbors") {
        details.push(("average neighbours", text(n)));
    }
    add(&mut details, "edge features", at("interactions.0", "edge_attrs_irreps"));
    let correlation = file.tensors.keys().filter_map(|k| {
        k.strip_prefix("products.0.symmetric_contractions.contractions.0.U_matrix_")?.parse::<usize>().ok()
    });
    if let Some(order) = correlation.max() {
        details.push(("correlation", order.to_string()));
    }
    if let Ok(model) = &understood {
        let kind = match &model.radial.basis {
            Basis::Bessel { .. } => "Bessel functions",
            Basis::Gaussian { .. } => "Gaussians",
            Basis::Chebyshev { .. } => "Chebyshev polynomials",
            Basis::ExpNormal { .. } => "exponentials",
        };
        let of = match model.radial.transform {
            Transform::None => "the distance",
            Transform::Agnesi { .. } => "the Agnesi transform of the distance",
            Transform::Soft { .. } | Transform::FormerSoft { .. } => "the soft transform of the distance",
        };
        details.push(("radial functions", format!("{} {kind} of {of}", model.radial.basis.len())));
        let place = if model.radial.on_basis { "on the functions" } else { "on what the networks give" };
        details.push(("cutoff power", format!("{} ({place})", model.radial.power)));
    }
    if let Ok(model) = &understood
        && let Some(joint) = &model.joint
    {
        let words: Vec<String> = joint.inputs.iter().map(|(q, e)| format!("{q} ({})", e.range())).collect();
        details.push(("depends on", words.join(", ")));
    }
    if file.tensors.contains_key("pair_repulsion_fn.a_exp") {
        details.push(("pair repulsion", "ZBL".to_owned()));
    }
    if let (Some(scale), Some(shift)) =
        (file.tensors.get("scale_shift.scale"), file.tensors.get("scale_shift.shift"))
    {
        details.push(("scale, shift", format!("{:?}, {:?} eV", scale.to_f64(), shift.to_f64())));
    }
    let count = own.len() / species.len().max(1);
    let heads = match &understood {
        Ok(model) if model.heads.len() > 1 => {
            model.heads.iter().map(|h| (h.name.clone(), h.atomic_energies.clone())).collect()
        }
        _ => Vec::new(),
    };
    if count > 1 {
        add(&mut details, "heads", at("", "heads"));
    }
    Ok(Summary {
        energy_reference: match count {
            0 | 1 => "sum of the energies of the elements in the model (E0)".to_owned(),
            n => format!("sum of the energies of the elements in the model (E0), for each of {n} heads"),
        },
        atomic_energies: own.into_iter().take(species.len()).collect(),
        species,
        cutoff,
        unknown_units: false,
        heads,
        unusable: understood.err().map(|fault| fault.to_string()),
        details,
    })
}

fn chgnet(model: &ModelFile) -> Result<Summary, Fault> {
    let argument = |key: &str| model.hyper_parameter(&["model_args", key]);
    let cutoff = argument("atom_graph_cutoff").and_then(Value::as_f64);
    let cutoff =
        cutoff.ok_or_else(|| Fault::Content("the model does not state `atom_graph_cutoff`".to_owned()))?;
    let own = model.tensor("composition_model.fc.weight")?.to_f64();
    let species = symbols(&(1..=own.len() as i64).collect::<Vec<_>>())?;
    let mut details = Vec::new();
    if let Some(r) = argument("bond_graph_cutoff") {
        details.push(("bond graph cutoff", format!("{} Å", text(r))));
    }
    for (name, key) in [
        ("convolutions", "n_conv"),
        ("atom features", "atom_fea_dim"),
        ("bond features", "bond_fea_dim"),
        ("angle features", "angle_fea_dim"),
        ("radial functions", "num_radial"),
        ("angular functions", "num_angular"),
        ("cutoff exponent", "cutoff_coeff"),
    ] {
        add(&mut details, name, argument(key));
    }
    let name = argument("composition_model").map_or_else(|| "a composition model".to_owned(), text);
    Ok(Summary {
        species,
        cutoff,
        energy_reference: format!("sum of the energies of the elements in the model ({name})"),
        atomic_energies: own,
        unknown_units: false,
        heads: Vec::new(),
        unusable: chgnet::check(model).err().map(|fault| fault.to_string()),
        details,
    })
}

fn sevennet(model: &ModelFile) -> Result<Summary, Fault> {
    let config = |key: &str| model.hyper_parameter(&["config", key]);
    let missing = |what: &str| Fault::Content(format!("the model does not state `{what}`"));
    let cutoff = config("cutoff").and_then(Value::as_f64).ok_or_else(|| missing("cutoff"))?;
    let species: Option<Vec<String>> = config("chemical_species")
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(|s| s.as_str().map(str::to_owned)).collect());
    let mut details = Vec::new();
    for (name, key) in [
        ("version", "version"),
        ("convolutions", "num_convolution_layer"),
        ("features", "irreps_manual"),
        ("channels", "channel"),
        ("l_max", "lmax"),
        ("parity", "is_parity"),
        ("modalities", "modal_list"),
    ] {
        add(&mut details, name, config(key));
    }
    let shift = ["rescale_atomic_energy.shift", "rescale atomic energy.shift"];
    let shift = shift.iter().find_map(|n| model.tensors.get(*n)).map(|t| t.to_f64()).unwrap_or_default();
    let species = species.ok_or_else(|| missing("chemical_species"))?;
    let each = !species.is_empty() && shift.len().is_multiple_of(species.len());
    let understood = sevennet::Model::new(model);
    let modalities = understood.as_ref().map(|m| m.modalities.clone()).unwrap_or_default();
    Ok(Summary {
        cutoff,
        energy_reference: match shift.len() / species.len().max(1) {
            0 | 1 => "shift of each element in the model".to_owned(),
            n => format!("shift of each element in the model, for each of {n} modalities"),
        },
        heads: if each && modalities.len() > 1 && shift.len() == modalities.len() * species.len() {
            modalities.into_iter().zip(shift.chunks(species.len()).map(<[f64]>::to_vec)).collect()
        } else {
            Vec::new()
        },
        atomic_energies: if each { shift.into_iter().take(species.len()).collect() } else { Vec::new() },
        species,
        unknown_units: false,
        unusable: understood.err().map(|fault| fault.to_string()),
        details,
    })
}

fn tensornet(file: &ModelFile) -> Result<Summary, Fault> {
    let stated = tensornet::Units::stated(file)?;
    let model = tensornet::Model::new(file, stated.unwrap_or(tensornet::Units::INTERNAL))?;
    let mut details = Vec::new();
    details.push((
        "units",
        match stated {
            Some(units) => {
                format!("energies in {} eV, lengths in {} Å; converted here", units.energy, units.length)
            }
            None => "not stated in the file: give `units` in the input".to_owned(),
        },
    ));
    for (name, key) in [
        ("group", "equivariance_invariance_group"),
        ("layers", "num_layers"),
        ("channels", "embedding_dimension"),
        ("radial functions", "num_rbf"),
        ("radial basis", "rbf_type"),
        ("activation", "activation"),
        ("total charge", "charge"),
        ("priors", "prior_model"),
        ("training data", "dataset"),
    ] {
        add(&mut details, name, file.hyper_parameter(&["hyper_parameters", key]));
    }
    let unit = if stated.is_some() { " eV" } else { "" };
    details.push(("scale, mean", format!("{}, {}{unit}", model.scale, model.mean)));
    let own = model.atomic_energies.iter().any(|e| *e != 0.0);
    Ok(Summary {
        species: model.symbols(),
        cutoff: model.cutoff,
        energy_reference: if own {
            "sum of the energies of the elements in the model (Atomref)".to_owned()
        } else {
            "that of the training data".to_owned()
        },
        atomic_energies: if own { model.atomic_energies } else { Vec::new() },
        unknown_units: stated.is_none(),
        heads: Vec::new(),
        unusable: None,
        details,
    })
}

fn nep(model: &ModelFile) -> Result<Summary, Fault> {
    let cutoffs = model.hyper_parameter(&["cutoffs"]).and_then(Value::as_array);
    let largest = |range: usize| {
        let of = |pair: &Value| pair.get(range).and_then(Value::as_f64);
        cutoffs.into_iter().flatten().filter_map(of).fold(0.0, f64::max)
    };
    let mut details = Vec::new();
    for (name, key) in [
        ("version", "version"),
        ("n_max", "n_max"),
        ("basis_size", "basis_size"),
        ("l_max", "l_max"),
        ("four-body descriptors", "four_body"),
        ("five-body descriptors", "five_body"),
        ("neurons", "neurons"),
        ("ZBL core", "zbl"),
    ] {
        add(&mut details, name, model.hyper_parameter(&[key]));
    }
    details.push(("angular cutoff", format!("{} Å", largest(1))));
    Ok(Summary {
        species: model.species.clone(),
        cutoff: largest(0),
        energy_reference: "that of the training data".to_owned(),
        atomic_energies: Vec::new(),
        unknown_units: false,
        heads: Vec::new(),
        unusable: None,
        details,
    })
}
