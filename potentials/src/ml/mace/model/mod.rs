//! What a MACE model file says, as plain numbers with all normalisations in them.
//!
//! A file per concept, each with what it says (the types) and how it is read.
mod embedding;
mod interaction;
mod product;
mod radial;
mod reader;
mod readout;

pub use embedding::{Conditions, Encoding, Joint, Quantity};
pub use interaction::{ConvolutionPath, Division, Gate, Interaction, Skip};
pub use product::{Order, Product};
pub use radial::{Radial, Zbl};
pub use readout::{Head, Readout};

use crate::ml::checkpoint::{Dtype, Fault, ModelFile};
use crate::ml::equivariant::Irreps;
use crate::ml::equivariant::weights::part;
use crate::ml::radial::Dense;
use serde_json::Value;

type Read<T> = Result<T, Fault>;

fn content<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Content(message.into()))
}

/// A MACE model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Atomic numbers, ascending.
    pub elements: Vec<u8>,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Channels C of features and messages.
    pub channels: usize,
    /// Largest degree of the spherical harmonics.
    pub lmax: usize,
    /// Distances to inputs of the radial networks.
    pub radial: Radial,
    /// Nuclear repulsion.
    pub zbl: Option<Zbl>,
    /// Scalars of every element before the first layer, (elements, C).
    pub embedding: Dense,
    /// What total charge and spin add to them.
    pub joint: Option<Joint>,
    /// Layers.
    pub layers: Vec<Layer>,
    /// Heads.
    pub heads: Vec<Head>,
    /// True when the coupling coefficients were rounded to single precision as the weights were.
    pub rounded: bool,
}

/// One interaction with its product and readout.
#[derive(Clone, Debug)]
pub struct Layer {
    /// From the features that come in to messages.
    pub interaction: Interaction,
    /// From messages to the features that go out, one product for each degree.
    pub products: Vec<Product>,
    /// Energies from the features that go out.
    pub readout: Option<Readout>,
}

impl Model {
    /// Understands a model file.
    ///
    /// # Errors
    /// When it is no MACE model, is damaged, or has parts that are not supported.
    pub fn new(file: &ModelFile) -> Read<Self> {
        let class = file.hyper_parameters.get("class").and_then(Value::as_str).unwrap_or("");
        match class.rsplit('.').next().unwrap_or("") {
            "ScaleShiftMACE" | "MACE" => {}
            "" => {
                return content(
                    "the file holds weights without the description of the model: give the whole model, as `torch.save(model)` writes it",
                );
            }
            other => return Err(Fault::Unsupported(format!("a model of class `{other}`"))),
        }
        let mut reader = reader::Reader { file, elements: 0, channels: 0 };
        let numbers = reader.numbers("atomic_numbers")?;
        let elements: Vec<u8> =
            numbers.iter().filter(|z| (1.0..=118.0).contains(*z)).map(|z| *z as u8).collect();
        if elements.is_empty() || elements.len() != numbers.len() || elements.windows(2).any(|w| w[0] >= w[1])
        {
            return content("`atomic_numbers` should be ascending numbers from 1 to 118");
        }
        let e = elements.len();
        let cutoff = reader.scalar("r_max")?;
        if !(cutoff > 0.0 && cutoff < 100.0) {
            return content(format!("the cutoff {cutoff} Å is out of range"));
        }
        let count = reader.scalar("num_interactions")?;
        if !(1.0..=16.0).contains(&count) {
            return content(format!("{count} interactions"));
        }
        let embedding = reader.numbers("node_embedding.linear.weight")?;
        let channels = embedding.len() / e;
        if channels == 0 || channels * e != embedding.len() {
            return content("`node_embedding.linear.weight` does not fit the number of elements");
        }
        (reader.elements, reader.channels) = (e, channels);
        let embedding = part(&embedding, 0, e, channels, 1.0 / (e as f64).sqrt());
        let Some(sh) = reader
            .attribute("interactions.0", "edge_attrs_irreps")
            .and_then(Value::as_str)
            .and_then(Irreps::parse)
        else {
            return content("`interactions.0` does not state its `edge_attrs_irreps`");
        };
        let lmax = sh.0.len() - 1;
        if sh != Irreps::spherical_harmonics(lmax) || lmax > 6 {
            return Err(Fault::Unsupported(format!("spherical harmonics `{sh}`")));
        }
        let radial = reader.radial(cutoff, &elements)?;
        let heads = reader.heads()?;
        let readouts = reader.readouts(count as usize, heads.len())?;
        let layers = readouts.into_iter().enumerate().map(|(t, readout)| {
            let interaction = reader.interaction(t, lmax, radial.basis.len())?;
            let products = reader.products(t, &interaction.output, lmax)?;
            Ok(Layer { interaction, products, readout })
        });
        let layers: Vec<Layer> = layers.collect::<Read<_>>()?;
        let fits = layers.windows(2).all(|w| w[0].interaction.output == w[1].interaction.input);
        if !fits || layers[0].interaction.input != [0] {
            return content("the features of the interactions do not fit each other");
        }
        let joint = reader.joint(heads.len())?;
        let zbl = reader.zbl(&elements)?;
        let rounded = file.tensor("node_embedding.linear.weight")?.dtype() == Dtype::F32;
        Ok(Self { elements, cutoff, channels, lmax, radial, zbl, embedding, joint, layers, heads, rounded })
    }
    /// Symbols of the elements.
    pub fn symbols(&self) -> Vec<String> {
        let symbol = |z: &u8| caloron_engine::elements::symbol(*z).unwrap_or("?").to_owned();
        self.elements.iter().map(symbol).collect()
    }
}
