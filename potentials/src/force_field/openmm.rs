//! OpenMM: a serialised `System` (XML), as OpenMM, OpenFF and espaloma write it.
//!
//! nm, kJ/mol, rad, u, e. Forces, elements, attributes and versions that are not known here are errors; thermostats and barostats within the file are
//! reported and left to the input.
use super::model::{Distinct, FileMethod, KJ_PER_MOL, MOST_TYPES, MolecularModel, NANOMETRE};
use super::text::TextFile;
use super::xml::{self, Node};
use crate::bonded::{AngleForm, BondForm, Bound, CmapForm, DihedralForm, Expression, Map, Table};
use crate::implicit::{ObcAtom, ObcModel};
use crate::nonbonded::{Combination, ExceptionPair, LennardJonesTypes, coefficients};
use caloron_engine::topology::{Angle, Bond, Constraint, SiteKind, VirtualSite};
use caloron_engine::{Cell, Mat3, SpecError, Vec3, elements};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

const KJ: f64 = KJ_PER_MOL;
const NM: f64 = NANOMETRE;
/// OpenMM's Coulomb constant, 138.93545764438198 kJ nm/mol, in eV Å.
const COULOMB: f64 = 138.935_457_644_381_98 * KJ * NM;

/// Reads a System.
///
/// # Errors
/// What is wrong or not supported, with file and line.
pub fn read(path: &Path) -> Result<MolecularModel, SpecError> {
    let file = TextFile::read("openmm", path)?;
    let root = xml::parse(&file)?;
    if root.name != "System" {
        let message = format!("expected the element <System>, found <{}>", root.name);
        return Err(file.error(root.line, message).hint("write it with XmlSerializer.serialize(system)"));
    }
    super::openmm_shape::check(&file, &root)?;
    let mut model = MolecularModel { format: "OpenMM", ..MolecularModel::default() };
    model.settings.constant = Some(COULOMB);
    model.settings.openmm_rules = true;
    particles(&file, &root, &mut model)?;
    let n = model.len();
    for c in root.list("Constraints") {
        let atoms = c.atoms(&file, ["p1", "p2"], n)?;
        model.topology.constraints.push(Constraint { atoms, length: NM * c.real(&file, "d")? });
    }
    let mut pairs = Pairs::new(n);
    // a CustomNonbondedForce is understood from the NonbondedForce, which may stand after it
    let custom = |force: &&Node| force.text("type") == Some("CustomNonbondedForce");
    let forces = root.list("Forces");
    for force in forces.iter().filter(|f| !custom(f)).chain(forces.iter().filter(custom)) {
        read_force(&file, force, &mut model, &mut pairs)?;
    }
    pairs.finish(&file, &mut model)?;
    let bonded = model.bonded.bonds.iter().map(|(atoms, form)| Bond {
        atoms: *atoms,
        length: match form {
            BondForm::Harmonic { r0, .. } if *r0 > 0.0 => Some(*r0),
            _ => None,
        },
    });
    let mut bonds: Vec<Bond> = bonded.collect();
    bonds.extend(model.topology.constraints.iter().map(|c| Bond { atoms: c.atoms, length: Some(c.length) }));
    let mut seen = std::collections::HashSet::new();
    bonds.retain(|b| seen.insert([b.atoms[0].min(b.atoms[1]), b.atoms[0].max(b.atoms[1])]));
    model.topology.bonds = bonds;
    model.topology.angles = model
        .bonded
        .angles
        .iter()
        .map(|(atoms, form)| Angle {
            atoms: *atoms,
            angle: match form {
                AngleForm::Harmonic { theta0, .. } => Some(*theta0),
                _ => None,
            },
        })
        .collect();
    let open = matches!(
        model.settings.method,
        None | Some(FileMethod::NoCutoff | FileMethod::ReactionField { periodic: false, .. })
    );
    if let Some(cell) = root.child("PeriodicBoxVectors").filter(|_| !open) {
        model.cell = Some(read_cell(&file, cell)?);
    }
    Ok(model)
}

fn read_cell(file: &TextFile, node: &Node) -> Result<Cell, SpecError> {
    let mut vectors = [Vec3::zeros(); 3];
    for (v, name) in vectors.iter_mut().zip(["A", "B", "C"]) {
        let Some(node) = node.child(name) else {
            return Err(file.error(node.line, format!("the box vector <{name}> is missing")));
        };
        *v = NM * Vec3::new(node.real(file, "x")?, node.real(file, "y")?, node.real(file, "z")?);
    }
    Cell::from_matrix(Mat3::from_columns(&vectors), [true; 3]).map_err(|e| file.error(node.line, e))
}

fn particles(file: &TextFile, root: &Node, model: &mut MolecularModel) -> Result<(), SpecError> {
    let list = root.list("Particles");
    let n = list.len();
    if n == 0 {
        return Err(file.error(root.line, "the system has no particles"));
    }
    for (i, particle) in list.iter().enumerate() {
        let mass = particle.real(file, "mass")?;
        if mass < 0.0 {
            return Err(file.error(particle.line, format!("the mass {mass} is negative")));
        }
        model.masses.push(mass);
        model.symbols.push(elements::by_mass(mass).map(str::to_owned).filter(|_| mass > 0.0));
        if let Some(site) = particle.children.first() {
            let kind = site_kind(file, site, n)?;
            model.topology.virtual_sites.push(VirtualSite { site: i as u32, kind });
        }
    }
    Ok(())
}

fn site_kind(file: &TextFile, site: &Node, n: usize) -> Result<SiteKind, SpecError> {
    let real = |name: &str| site.real(file, name);
    Ok(match site.name.as_str() {
        "TwoParticleAverageSite" => SiteKind::TwoAverage {
            parents: site.atoms(file, ["p1", "p2"], n)?,
            weights: [real("w1")?, real("w2")?],
        },
        "ThreeParticleAverageSite" => SiteKind::ThreeAverage {
            parents: site.atoms(file, ["p1", "p2", "p3"], n)?,
            weights: [real("w1")?, real("w2")?, real("w3")?],
        },
        "OutOfPlaneSite" => SiteKind::OutOfPlane {
            parents: site.atoms(file, ["p1", "p2", "p3"], n)?,
            w12: real("w12")?,
            w13: real("w13")?,
            cross: real("wc")? / NM,
        },
        "LocalCoordinatesSite" => {
            let count = (1..).take_while(|k| site.text(&format!("p{k}")).is_some()).count();
            let weights = |name: &str| -> Result<Vec<f64>, SpecError> {
                (1..=count).map(|k| site.real(file, &format!("{name}{k}"))).collect()
            };
            let parents = (1..=count)
                .map(|k| Ok(site.atoms(file, [format!("p{k}").as_str()], n)?[0]))
                .collect::<Result<_, SpecError>>()?;
            SiteKind::LocalCoordinates {
                parents,
                origin: weights("wo")?,
                x: weights("wx")?,
                y: weights("wy")?,
                position: NM * Vec3::new(real("pos1")?, real("pos2")?, real("pos3")?),
            }
        }
        other => {
            return Err(file.error(site.line, format!("virtual sites of the kind {other} are not supported")));
        }
    })
}

fn read_force(
    file: &TextFile,
    force: &Node,
    model: &mut MolecularModel,
    pairs: &mut Pairs,
) -> Result<(), SpecError> {
    let n = model.len();
    let bonded = &mut model.bonded;
    let real = |node: &Node, name: &str| node.real(file, name);
    let kind = force.text("type").unwrap_or_default();
    match kind {
        "HarmonicBondForce" => {
            for b in force.list("Bonds") {
                let form = BondForm::Harmonic { k: real(b, "k")? * KJ / (NM * NM), r0: real(b, "d")? * NM };
                bonded.bonds.push((b.atoms(file, ["p1", "p2"], n)?, form));
            }
        }
        "HarmonicAngleForce" => {
            for a in force.list("Angles") {
                let form = AngleForm::Harmonic { k: real(a, "k")? * KJ, theta0: real(a, "a")? };
                bonded.angles.push((a.atoms(file, ["p1", "p2", "p3"], n)?, form));
            }
        }
        "PeriodicTorsionForce" => {
            for t in force.list("Torsions") {
                let form = DihedralForm::Periodic {
                    k: real(t, "k")? * KJ,
                    n: t.index(file, "periodicity")?,
                    phase: real(t, "phase")?,
                };
                bonded.dihedrals.push((t.atoms(file, ["p1", "p2", "p3", "p4"], n)?, form));
            }
        }
        "RBTorsionForce" => {
            for t in force.list("Torsions") {
                let mut c = [0.0; 6];
                for (k, c) in c.iter_mut().enumerate() {
                    *c = KJ * real(t, &format!("c{k}"))?;
                }
                let form = DihedralForm::RyckaertBellemans { c };
                bonded.dihedrals.push((t.atoms(file, ["p1", "p2", "p3", "p4"], n)?, form));
            }
        }
        "CMAPTorsionForce" => {
            let mut maps = Vec::new();
            for m in force.list("Maps") {
                let energies: Result<Vec<f64>, SpecError> =
                    m.children.iter().map(|e| Ok(KJ * real(e, "e")?)).collect();
                let map = Map::new(m.index(file, "size")? as usize, &energies?);
                maps.push(Arc::new(map.map_err(|e| file.error(m.line, e.message))?));
            }
            for t in force.list("Torsions") {
                let names = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"];
                let index = t.index(file, "map")?;
                let map = maps.get(index as usize);
                let map = map.ok_or_else(|| file.error(t.line, format!("there is no map {index}")))?;
                bonded.cmaps.push((t.atoms(file, names, n)?, CmapForm(map.clone())));
            }
        }
        "CustomBondForce" => {
            let custom = Custom::read(file, force, "r", "PerBondParameters", &BTreeMap::new())?;
            for b in force.list("Bonds") {
                let atoms = b.atoms(file, ["p1", "p2"], n)?;
                pairs.custom_bonds.push((atoms, custom.bound(file, b, 1.0 / NM)?, b.line));
            }
        }
        "CustomAngleForce" => {
            let custom = Custom::read(file, force, "theta", "PerAngleParameters", &BTreeMap::new())?;
            for a in force.list("Angles") {
                let form = AngleForm::Expression(custom.bound(file, a, 1.0)?);
                bonded.angles.push((a.atoms(file, ["p1", "p2", "p3"], n)?, form));
            }
        }
        "CustomTorsionForce" => {
            let custom = Custom::read(file, force, "theta", "PerTorsionParameters", &BTreeMap::new())?;
            for t in force.list("Torsions") {
                let form = DihedralForm::Expression(custom.bound(file, t, 1.0)?);
                bonded.dihedrals.push((t.atoms(file, ["p1", "p2", "p3", "p4"], n)?, form));
            }
        }
        "NonbondedForce" => pairs.nonbonded(file, force, model)?,
        "CustomNonbondedForce" => pairs.custom(file, force, model)?,
        "GBSAOBCForce" => solvent(file, force, model)?,
        "CMMotionRemover" => {}
        "AndersenThermostat"
        | "MonteCarloBarostat"
        | "MonteCarloAnisotropicBarostat"
        | "MonteCarloMembraneBarostat"
        | "MonteCarloFlexibleBarostat" => {
            model.warnings.push(format!(
                "{kind} in `{}` is not used: the stages of the input say how temperature and pressure are kept",
                file.path.display()
            ));
        }
        other => {
            let supported = "supported are HarmonicBondForce, HarmonicAngleForce, PeriodicTorsionForce, \
                 RBTorsionForce, CMAPTorsionForce, NonbondedForce, GBSAOBCForce, CustomBondForce, CustomAngleForce, \
                 CustomTorsionForce, CustomNonbondedForce of Lennard-Jones form";
            return Err(file
                .error(force.line, format!("the force {other} is not supported"))
                .hint(supported));
        }
    }
    Ok(())
}

/// A formula with per-term parameters.
struct Custom {
    expression: Arc<Expression>,
    parameters: usize,
    /// Values of the global parameters, which follow the others.
    globals: Vec<f64>,
}

impl Custom {
    fn read(
        file: &TextFile,
        force: &Node,
        variable: &str,
        list: &str,
        tables: &BTreeMap<String, Arc<Table>>,
    ) -> Result<Self, SpecError> {
        let mut names = vec![variable.to_owned()];
        for p in force.list(list) {
            names.push(p.text("name").unwrap_or_default().to_owned());
        }
        let parameters = names.len() - 1;
        let globals = globals(file, force, &mut names)?;
        let text = force.text("energy").unwrap_or_default();
        let expression = Expression::parse(text, &names, tables)
            .map_err(|e| file.error(force.line, format!("the energy `{text}`: {e}")))?;
        Ok(Self { expression: Arc::new(expression), parameters, globals })
    }
    fn bound(&self, file: &TextFile, node: &Node, variable: f64) -> Result<Bound, SpecError> {
        let mut inputs = vec![0.0];
        for k in 1..=self.parameters {
            inputs.push(node.real(file, &format!("param{k}"))?);
        }
        inputs.extend(&self.globals);
        Ok(Bound { expression: self.expression.clone(), inputs, variable, energy: KJ })
    }
}

fn globals(file: &TextFile, force: &Node, names: &mut Vec<String>) -> Result<Vec<f64>, SpecError> {
    let mut values = Vec::new();
    for p in force.list("GlobalParameters") {
        names.push(p.text("name").unwrap_or_default().to_owned());
        values.push(p.real(file, "default")?);
    }
    Ok(values)
}

/// Refuses lists that are not empty.
fn empty(file: &TextFile, force: &Node, lists: &[&str]) -> Result<(), SpecError> {
    for name in lists {
        if let Some(node) = force.list(name).first() {
            let kind = force.text("type").unwrap_or_default();
            return Err(file.error(node.line, format!("<{name}> of {kind} are not supported")));
        }
    }
    Ok(())
}

/// How pairs are cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    open: bool,
    cutoff: Option<f64>,
    switch: Option<f64>,
    correction: bool,
}

/// What the non-bonded forces say, until all of them are read.
struct Pairs {
    atoms: usize,
    line: usize,
    /// σ (Å) and ε (eV) of the NonbondedForce.
    own: Vec<[f64; 2]>,
    cut: Option<Cut>,
    exceptions: HashMap<[u32; 2], ExceptionPair>,
    /// Parameters of the CustomNonbondedForce by atom.
    custom: Vec<Vec<f64>>,
    expression: Option<(Expression, Vec<f64>, String)>,
    custom_cut: Option<Cut>,
    custom_bonds: Vec<([u32; 2], Bound, usize)>,
}

fn sorted([i, j]: [u32; 2]) -> [u32; 2] {
    [i.min(j), i.max(j)]
}

impl Pairs {
    fn new(atoms: usize) -> Self {
        Self {
            atoms,
            line: 1,
            own: vec![],
            cut: None,
            exceptions: HashMap::new(),
            custom: vec![],
            expression: None,
            custom_cut: None,
            custom_bonds: vec![],
        }
    }
    fn cut(file: &TextFile, force: &Node, open: bool, correction: &str) -> Result<Cut, SpecError> {
        let switched = force.flag(file, "useSwitchingFunction", false)?;
        let cutoff = NM * force.real(file, "cutoff")?;
        Ok(Cut {
            open,
            cutoff: (!open).then_some(cutoff),
            switch: if switched && !open { Some(NM * force.real(file, "switchingDistance")?) } else { None },
            correction: force.flag(file, correction, false)? && !open,
        })
    }
    fn nonbonded(
        &mut self,
        file: &TextFile,
        force: &Node,
        model: &mut MolecularModel,
    ) -> Result<(), SpecError> {
        if self.cut.is_some() {
            return Err(file.error(force.line, "more than one NonbondedForce is not supported"));
        }
        self.line = force.line;
        empty(file, force, &["ParticleOffsets", "ExceptionOffsets"])?;
        let method = force.index(file, "method")?;
        let dielectric = force.real_or(file, "rfDielectric", 78.3)?;
        let settings = &mut model.settings;
        settings.method = Some(match method {
            0 => FileMethod::NoCutoff,
            1 => FileMethod::ReactionField { dielectric, periodic: false },
            2 => FileMethod::ReactionField { dielectric, periodic: true },
            3 => FileMethod::Ewald,
            4 => FileMethod::Pme,
            5 => FileMethod::LjPme,
            m => return Err(file.error(force.line, format!("the method {m} of NonbondedForce is not known"))),
        });
        if !force.flag(file, "includeDirectSpace", true)? {
            return Err(file.error(force.line, "includeDirectSpace = 0 is not supported"));
        }
        let cut = Self::cut(file, force, method == 0, "dispersionCorrection")?;
        (settings.cutoff, settings.switch) = (cut.cutoff, cut.switch);
        settings.dispersion_correction = Some(cut.correction && method != 1);
        settings.tolerance = Some(force.real_or(file, "ewaldTolerance", 5e-4)?);
        for (k, (alpha, grid)) in
            [("alpha", ["nx", "ny", "nz"]), ("ljAlpha", ["ljnx", "ljny", "ljnz"])].into_iter().enumerate()
        {
            let value = force.real_or(file, alpha, 0.0)?;
            if value > 0.0 {
                settings.alpha[k] = Some(value / NM);
                let mut points = [0; 3];
                for (p, name) in points.iter_mut().zip(grid) {
                    *p = force.index(file, name)? as usize;
                }
                settings.grid[k] = Some(points).filter(|p| p.iter().all(|n| *n > 0));
            }
        }
        self.cut = Some(cut);
        let particles = force.list("Particles");
        if particles.len() != self.atoms {
            let message = format!("{} particles of NonbondedForce for {}", particles.len(), self.atoms);
            return Err(file.error(force.line, message));
        }
        for p in particles {
            model.charges.push(p.real(file, "q")?);
            self.own.push([NM * p.real(file, "sig")?, KJ * p.real(file, "eps")?]);
        }
        for e in force.list("Exceptions") {
            let atoms = sorted(e.atoms(file, ["p1", "p2"], self.atoms)?);
            let numbers = [NM * e.real(file, "sig")?, KJ * e.real(file, "eps")?];
            let [c12, c6] = if numbers[1] == 0.0 { [0.0; 2] } else { coefficients(numbers) };
            let pair = ExceptionPair { atoms, charges: e.real(file, "q")?, c12, c6 };
            if self.exceptions.insert(atoms, pair).is_some() {
                return Err(file.error(e.line, format!("the exception of {atoms:?} is given twice")));
            }
        }
        Ok(())
    }
    fn custom(&mut self, file: &TextFile, force: &Node, model: &MolecularModel) -> Result<(), SpecError> {
        if self.expression.is_some() {
            return Err(file.error(force.line, "more than one CustomNonbondedForce is not supported"));
        }
        if self.cut.is_none() {
            return Err(
                file.error(force.line, "a CustomNonbondedForce without a NonbondedForce is not supported")
            );
        }
        empty(file, force, &["ComputedValues", "EnergyParameterDerivatives", "InteractionGroups"])?;
        let mut tables = BTreeMap::new();
        for f in force.list("Functions") {
            let name = f.text("name").unwrap_or_default().to_owned();
            let size = match f.text("type") {
                Some("Discrete1DFunction") => vec![f.list("Values").len()],
                Some("Discrete2DFunction") => {
                    vec![f.index(file, "xsize")? as usize, f.index(file, "ysize")? as usize]
                }
                other => {
                    let message = format!("the function `{name}` of type {other:?} is not supported");
                    return Err(file.error(f.line, message));
                }
            };
            let values: Result<Vec<f64>, SpecError> =
                f.list("Values").iter().map(|v| v.real(file, "v")).collect();
            let values = values?;
            if size.iter().product::<usize>() != values.len() {
                return Err(file.error(f.line, format!("the function `{name}` has {} values", values.len())));
            }
            tables.insert(name, Arc::new(Table { size, values }));
        }
        let mut names = vec!["r".to_owned()];
        let own: Vec<&str> =
            force.list("PerParticleParameters").iter().filter_map(|p| p.text("name")).collect();
        for atom in ["1", "2"] {
            names.extend(own.iter().map(|n| format!("{n}{atom}")));
        }
        let globals = globals(file, force, &mut names)?;
        let text = force.text("energy").unwrap_or_default();
        let expression = Expression::parse(text, &names, &tables)
            .map_err(|e| file.error(force.line, format!("the energy `{text}`: {e}")))?;
        for p in force.list("Particles") {
            let values: Result<Vec<f64>, SpecError> =
                (1..=own.len()).map(|k| p.real(file, &format!("param{k}"))).collect();
            self.custom.push(values?);
        }
        if self.custom.len() != self.atoms {
            let message =
                format!("{} particles of CustomNonbondedForce for {}", self.custom.len(), self.atoms);
            return Err(file.error(force.line, message));
        }
        let method = force.index(file, "method")?;
        let periodic = !matches!(
            model.settings.method,
            Some(FileMethod::NoCutoff | FileMethod::ReactionField { periodic: false, .. })
        );
        if method > 2 || (method == 2) != periodic {
            return Err(
                file.error(force.line, "CustomNonbondedForce and NonbondedForce differ in their boundaries")
            );
        }
        self.custom_cut = Some(Self::cut(file, force, method == 0, "useLongRangeCorrection")?);
        let mut excluded = 0;
        for e in force.list("Exclusions") {
            let atoms = sorted(e.atoms(file, ["p1", "p2"], self.atoms)?);
            if !self.exceptions.contains_key(&atoms) {
                let message = format!("the pair {atoms:?} is excluded from CustomNonbondedForce alone");
                return Err(file.error(e.line, message));
            }
            excluded += 1;
        }
        if excluded != self.exceptions.len() {
            let message =
                "CustomNonbondedForce excludes other pairs than NonbondedForce, which is not supported";
            return Err(file.error(force.line, message));
        }
        self.expression = Some((expression, globals, text.to_owned()));
        Ok(())
    }
    /// The Lennard-Jones numbers of all pairs of types, and the exceptions.
    fn finish(mut self, file: &TextFile, model: &mut MolecularModel) -> Result<(), SpecError> {
        if self.cut.is_none() {
            model.charges = vec![0.0; self.atoms];
            self.own = vec![[0.0; 2]; self.atoms];
            model.settings.method = Some(FileMethod::NoCutoff);
            model.settings.dispersion_correction = Some(false);
        }
        for ([i, j], bound, _) in std::mem::take(&mut self.custom_bonds) {
            // a Lennard-Jones interaction of an excluded pair is one of the pair's own numbers
            let exception = self.exceptions.get_mut(&sorted([i, j]));
            match (lennard_jones(|r| bound.at(NM * r).0), exception) {
                (Some([c12, c6]), Some(pair)) => {
                    pair.c12 += c12 * NM.powi(12);
                    pair.c6 += c6 * NM.powi(6);
                }
                _ => model.bonded.bonds.push(([i, j], BondForm::Expression(bound))),
            }
        }
        let mut exceptions: Vec<ExceptionPair> = self.exceptions.into_values().collect();
        exceptions.sort_unstable_by_key(|e| e.atoms);
        model.exceptions = exceptions;
        let mut distinct = Distinct::default();
        for i in 0..self.atoms {
            // without ε the radius says nothing
            let [s, e] = self.own[i];
            let mut key = if e == 0.0 { vec![0.0; 2] } else { vec![s, e] };
            key.extend(self.custom.get(i).into_iter().flatten());
            model.types.push(distinct.place(&key));
        }
        let types = distinct.items;
        if types.len() > MOST_TYPES {
            let message = format!("{} Lennard-Jones types; at most {MOST_TYPES} are supported", types.len());
            return Err(file.error(self.line, message));
        }
        let own: Vec<[f64; 2]> = types.iter().map(|t| [t[0], t[1]]).collect();
        let mut table = LennardJonesTypes::mixed(&own, Combination::LorentzBerthelot);
        if let Some((expression, globals, text)) = &self.expression {
            for i in 0..types.len() {
                for j in 0..=i {
                    let mut inputs = vec![0.0];
                    inputs.extend(&types[i][2..]);
                    inputs.extend(&types[j][2..]);
                    inputs.extend(globals);
                    let numbers = lennard_jones(|r| {
                        inputs[0] = r;
                        expression.at(&inputs).0
                    });
                    let Some([c12, c6]) = numbers else {
                        let message = format!(
                            "the energy `{text}` of CustomNonbondedForce is not of the form a/r^12 - b/r^6"
                        );
                        return Err(file
                            .error(self.line, message)
                            .hint("Lennard-Jones interactions in any notation are supported"));
                    };
                    let [a, c] = table.get(i, j);
                    table.set(i, j, [a + c12 * KJ * NM.powi(12), c + c6 * KJ * NM.powi(6)]);
                }
            }
            let plain = own.iter().all(|o| o[1] == 0.0);
            if plain {
                let cut = self.custom_cut.unwrap_or(Cut {
                    open: true,
                    cutoff: None,
                    switch: None,
                    correction: false,
                });
                if cut.cutoff != self.cut.and_then(|c| c.cutoff) {
                    let message = "CustomNonbondedForce and NonbondedForce have different cutoffs";
                    return Err(file.error(self.line, message));
                }
                model.settings.switch = cut.switch;
                model.settings.dispersion_correction = Some(cut.correction);
            } else if self.custom_cut != self.cut {
                let message = "CustomNonbondedForce and NonbondedForce truncate differently";
                return Err(file.error(self.line, message));
            }
        }
        // custom functions have no rule that is known
        model.rule = self.expression.is_none().then_some(Combination::LorentzBerthelot);
        model.lennard_jones = table;
        Ok(())
    }
}

/// c12 and c6 of a function c12/r¹² - c6/r⁶; `None` when it is another.
fn lennard_jones(mut u: impl FnMut(f64) -> f64) -> Option<[f64; 2]> {
    let (at_one, at_half) = (u(1.0), u(0.5));
    let c12 = (at_half - 64.0 * at_one) / (4096.0 - 64.0);
    let c6 = c12 - at_one;
    let fits = [0.21, 0.3, 0.37, 0.71, 1.3].into_iter().all(|r: f64| {
        let (a, c) = (c12 * r.powi(-12), c6 * r.powi(-6));
        (u(r) - (a - c)).abs() <= 1e-9 * (a.abs() + c.abs())
    });
    (fits && c12.is_finite() && c6.is_finite()).then_some([c12, c6])
}

fn solvent(file: &TextFile, force: &Node, model: &mut MolecularModel) -> Result<(), SpecError> {
    if force.index(file, "method")? != 0 {
        return Err(file
            .error(force.line, "GBSAOBCForce with a cutoff is not supported")
            .hint("use NoCutoff"));
    }
    let mut atoms = Vec::new();
    for p in force.list("Particles") {
        atoms.push(ObcAtom {
            charge: p.real(file, "q")?,
            radius: NM * p.real(file, "r")?,
            scale: p.real(file, "scale")?,
        });
    }
    if atoms.len() != model.len() {
        let message = format!("{} particles of GBSAOBCForce for {}", atoms.len(), model.len());
        return Err(file.error(force.line, message));
    }
    model.solvent = Some(ObcModel {
        atoms,
        solute: force.real_or(file, "soluteDielectric", 1.0)?,
        solvent: force.real_or(file, "solventDielectric", 78.5)?,
        surface: force.real_or(file, "surfaceAreaEnergy", 2.25936)? * KJ / (NM * NM),
        constant: COULOMB,
    });
    Ok(())
}
