//! The potential of a model that gives energies of nodes and derivatives with respect to the vectors of edges.
use super::Mode;
use crate::many_body::site_energy::check_species;
use crate::ml::graph::Graph;
use caloron_engine::{Domain, Input, Outputs, Potential, PotentialError, Properties};

/// Energies of nodes, eV, and derivatives with respect to the vectors of edges, eV/Å.
pub type Evaluation<'a> = candle_core::Result<(&'a [f64], &'a [[f64; 3]])>;

/// A model in one precision for the species of a system.
pub trait Kernel: Send {
    /// Energies of the nodes of a graph, eV, and derivatives with respect to the vectors of its edges, eV/Å (which mean
    /// nothing without `derivatives`).
    ///
    /// # Errors
    /// When a device fails.
    fn evaluate(&mut self, graph: &Graph, derivatives: bool) -> Evaluation<'_>;
    /// Evaluates radial networks for every edge instead of interpolating them, where there are tables.
    fn set_mode(&mut self, _mode: Mode) {}
    /// How it is evaluated, in words.
    fn describe(&self) -> String;
    /// Memory held, bytes.
    fn bytes(&self) -> usize;
}

/// What a potential says about itself.
pub(crate) struct About {
    /// Name in input files.
    pub name: &'static str,
    /// Paper.
    pub citation: &'static str,
    /// The model.
    pub model: String,
    /// Whether it is in single precision.
    pub single: bool,
    /// What is worth knowing of this model.
    pub note: Option<&'static str>,
    /// What its constants lack in symmetry under rotations.
    pub rotation_error: f64,
}

/// The potential of a model.
pub struct GraphPotential {
    kernel: Box<dyn Kernel>,
    graph: Graph,
    cutoff: f64,
    species: usize,
    about: About,
    domain: Domain,
}

impl GraphPotential {
    /// Of a model with a cutoff, Å, for a number of species.
    pub(crate) fn new(kernel: Box<dyn Kernel>, cutoff: f64, species: usize, about: About) -> Self {
        Self { kernel, graph: Graph::default(), cutoff, species, about, domain: Domain::default() }
    }
    /// Evaluates the radial networks for every edge instead of interpolating them.
    pub fn set_mode(&mut self, mode: Mode) {
        self.kernel.set_mode(mode);
    }
    /// States where the model was trained.
    pub(crate) fn set_domain(&mut self, domain: Domain) {
        self.domain = domain;
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        self.graph.bytes() + self.kernel.bytes()
    }
}

impl Potential for GraphPotential {
    fn name(&self) -> &'static str {
        self.about.name
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        check_species(self.about.name, self.species, &input)?;
        self.graph.build(&input, self.cutoff);
        let derivatives = want.intersects(Properties::FORCES | Properties::VIRIAL | Properties::ATOM_VIRIALS);
        let (energies, g) = self.kernel.evaluate(&self.graph, derivatives).map_err(|e| {
            PotentialError::Geometry { potential: self.about.name, reason: format!("the device failed: {e}") }
        })?;
        self.graph.add(energies, g, want, out);
        Ok(())
    }
    fn domain(&self) -> Option<&Domain> {
        Some(&self.domain)
    }
    fn single_precision(&self) -> bool {
        self.about.single
    }
    fn rotation_error(&self) -> f64 {
        self.about.rotation_error
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![self.about.citation]
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = vec![self.about.model.clone(), self.kernel.describe()];
        lines.extend(self.about.note.map(str::to_owned));
        lines
    }
}
