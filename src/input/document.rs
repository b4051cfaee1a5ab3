//! What an input file can say, as types: the schema and the reference are made from them.
use super::diagnostic::InputError;
use super::output::OutputSpec;
use super::source::Source;
use super::stage::StageSpec;
use super::system::SystemSpec;
use super::visitors::variants;
use caloron_engine::guard::LimitsSpec;
use caloron_engine::quantity::{Charge, Length, Mass, reading_in};
use caloron_engine::{Quantity, UnitSystem, neighbors};
use caloron_potentials::PotentialSpec;
use caloron_potentials::force_field::ForceFieldSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, EnumAccess, MapAccess, VariantAccess};
use serde::{Deserialize, Deserializer};
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// An input file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// A line that says what this is; it goes into the output files.
    pub title: Option<String>,
    /// Unit system; default "physical".
    #[serde(default)]
    pub units: UnitsSpec,
    /// Seed of all random numbers of the run; default 0. Equal seeds give equal results.
    pub seed: Option<u64>,
    /// Number of threads; default all cores. Results do not depend on it.
    pub threads: Option<usize>,
    /// What is simulated.
    pub system: SystemSpec,
    /// The interactions. Every `[[potential]]` adds its energy to the others.
    #[serde(default)]
    pub potential: Vec<PotentialTable>,
    /// Search for neighbours.
    #[serde(default)]
    pub neighbors: NeighborsSpec,
    /// What is done, one `[[stage]]` after the other; each starts from where the one before ended.
    #[serde(default)]
    pub stage: Vec<StageSpec>,
    /// What is written.
    #[serde(default)]
    pub output: OutputSpec,
    /// Limits that stop a run which leaves the physical domain: the step, the atom and its neighbours are reported.
    /// Energies, forces and positions that are not finite always stop it.
    #[serde(default)]
    pub guard: LimitsSpec,
    /// Thresholds of the verdict at the end of each stage.
    #[serde(default)]
    pub verdict: VerdictSpec,
}

/// How numbers are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitsSpec {
    /// Every physical value carries its unit: "2 fs", "300 K".
    #[default]
    Physical,
    /// Reduced Lennard-Jones units (epsilon = sigma = m = k_B = 1): values are plain numbers.
    Lj,
}

impl From<UnitsSpec> for UnitSystem {
    fn from(units: UnitsSpec) -> Self {
        match units {
            UnitsSpec::Physical => Self::Physical,
            UnitsSpec::Lj => Self::Lj,
        }
    }
}

/// An interaction, named by its one key, and what holds for any interaction.
#[derive(Clone, Debug)]
pub struct PotentialTable {
    /// Factor λ of the interaction; its derivative becomes an extra of the system.
    pub scale: Option<f64>,
    /// Species it is restricted to.
    pub species: Option<Vec<String>>,
    /// Groups it is restricted to.
    pub groups: Option<Vec<String>>,
    /// Where hydrogen atoms close the bonds that the groups cut, as a fraction of the bonds.
    pub link_ratio: Option<f64>,
    /// Force group for multiple time steps; default 0, the slowest.
    pub force_group: Option<u8>,
    /// Name of the interaction, as written.
    pub name: String,
    /// The interaction.
    pub term: PotentialSpec,
}

/// Keys of a potential table besides the name of the interaction.
const SHARED_KEYS: [&str; 5] = ["force_group", "scale", "species", "groups", "link_ratio"];

/// A key of a potential table, checked where it stands so that an error has its place.
enum PotentialKey {
    Shared(&'static str),
    Term(String),
}

impl<'de> Deserialize<'de> for PotentialKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = PotentialKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an interaction")
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
                if let Some(key) = SHARED_KEYS.into_iter().find(|k| *k == key) {
                    return Ok(PotentialKey::Shared(key));
                }
                let terms = variants::<PotentialSpec>();
                if terms.contains(&key) {
                    return Ok(PotentialKey::Term(key.to_owned()));
                }
                let known: Vec<String> =
                    terms.iter().chain(&SHARED_KEYS).map(|name| format!("`{name}`")).collect();
                Err(E::custom(format!("unknown field `{key}`, expected one of {}", known.join(", "))))
            }
        }
        deserializer.deserialize_identifier(Visitor)
    }
}

impl<'de> Deserialize<'de> for PotentialTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PotentialTable;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with the name of one interaction")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut force_group, mut scale, mut species, mut groups) = (None, None, None, None);
                let mut link_ratio = None;
                let mut term = None;
                while let Some(key) = map.next_key::<PotentialKey>()? {
                    match key {
                        PotentialKey::Shared("scale") => scale = Some(map.next_value()?),
                        PotentialKey::Shared("species") => species = Some(map.next_value()?),
                        PotentialKey::Shared("groups") => groups = Some(map.next_value()?),
                        PotentialKey::Shared("link_ratio") => link_ratio = Some(map.next_value()?),
                        PotentialKey::Shared(_) => force_group = Some(map.next_value()?),
                        PotentialKey::Term(name) => {
                            if let Some((first, _)) = &term {
                                return Err(de::Error::custom(format!(
                                    "`{first}` and `{name}` stand in one [[potential]]; \
                                     hint: every interaction has its own [[potential]] table"
                                )));
                            }
                            let spec = PotentialSpec::deserialize(Named { name: &name, map: &mut map })?;
                            term = Some((name, spec));
                        }
                    }
                }
                let Some((name, term)) = term else {
                    let known = variants::<PotentialSpec>().join(", ");
                    return Err(de::Error::custom(format!(
                        "this [[potential]] names no interaction; hint: add a table such as \
                         [potential.NAME] with one of {known}"
                    )));
                };
                Ok(PotentialTable { scale, species, groups, link_ratio, force_group, name, term })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// An entry of a map as the variant of an enum: its key is the name, its value the content.
struct Named<'a, A> {
    name: &'a str,
    map: &'a mut A,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Named<'_, A> {
    type Error = A::Error;
    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Named<'_, A> {
    type Error = A::Error;
    type Variant = Self;
    fn variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), A::Error> {
        let name = de::value::StrDeserializer::<A::Error>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Named<'_, A> {
    type Error = A::Error;
    fn unit_variant(self) -> Result<(), A::Error> {
        self.map.next_value()
    }
    fn newtype_variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
    fn tuple_variant<V: de::Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(AsSequence(visitor))
    }
    fn struct_variant<V: de::Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(AsMap(visitor))
    }
}

/// Reads a value as a list with the visitor of a tuple variant.
struct AsSequence<V>(V);

impl<'de, V: de::Visitor<'de>> de::DeserializeSeed<'de> for AsSequence<V> {
    type Value = V::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_seq(self.0)
    }
}

/// Reads a value as a table with the visitor of a struct variant.
struct AsMap<V>(V);

impl<'de, V: de::Visitor<'de>> de::DeserializeSeed<'de> for AsMap<V> {
    type Value = V::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_map(self.0)
    }
}

impl JsonSchema for PotentialTable {
    fn schema_name() -> Cow<'static, str> {
        "Potential".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let group = json_schema!({
            "type": "integer", "minimum": 0, "maximum": 255,
            "description": "Force group for multiple time steps; default 0, the slowest.",
        });
        let scale = json_schema!({
            "type": "number",
            "description": "Factor of the interaction; the derivative of the energy with respect to it is the extra \
                            `du_dscale_N` of the system, N the place of this [[potential]] counted from 0. Default 1, \
                            without the extra.",
        });
        let names = |what: &str| {
            json_schema!({
                "type": "array", "items": { "type": "string" },
                "description": what,
            })
        };
        let species = names(
            "Species the interaction is restricted to: it acts between their atoms alone, and needs parameters for them \
             alone. Default all.",
        );
        let groups = names(
            "Groups the interaction is restricted to: it acts between the atoms that are in at least one of them. Instead \
             of `species`; default all atoms.",
        );
        let links = json_schema!({
            "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1,
            "description": "Closes every bond that the groups cut with a hydrogen atom at this fraction of the bond, from the atom inside; \
                            forces on it go to both atoms of the bond. 0.71 makes a C-H bond of a C-C bond. Default: nothing is closed.",
        });
        let mut schema = PotentialSpec::json_schema(generator);
        let choices = schema.get_mut("oneOf").and_then(|v| v.as_array_mut());
        for choice in choices.into_iter().flatten() {
            if let Some(properties) = choice.get_mut("properties").and_then(|p| p.as_object_mut()) {
                for (key, value) in SHARED_KEYS.into_iter().zip([&group, &scale, &species, &groups, &links]) {
                    properties.insert(key.into(), value.clone().into());
                }
            }
        }
        schema.insert(
            "description".into(),
            "An interaction, named by its one key, and optionally its force group, a factor and the atoms it acts between.".into(),
        );
        schema
    }
}

/// Search for neighbours: `[neighbors]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeighborsSpec {
    /// Distance beyond the cutoff up to which neighbours are listed; a wider skin means fewer but longer lists,
    /// results do not depend on it. Default 1 Å, in reduced units 0.3.
    pub skin: Option<Quantity<Length>>,
    /// How neighbours are searched; default "auto".
    #[serde(default)]
    pub search: SearchSpec,
}

/// How neighbours are searched. All give the same neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchSpec {
    /// The fastest for the geometry.
    #[default]
    Auto,
    /// A grid of cells: dense systems.
    CellGrid,
    /// A k-d tree: open, sparse or strongly inhomogeneous systems.
    KdTree,
    /// Every pair of all images: slow, for checks.
    BruteForce,
}

impl From<SearchSpec> for neighbors::Search {
    fn from(search: SearchSpec) -> Self {
        match search {
            SearchSpec::Auto => Self::Auto,
            SearchSpec::CellGrid => Self::CellGrid,
            SearchSpec::KdTree => Self::KdTree,
            SearchSpec::BruteForce => Self::BruteForce,
        }
    }
}

/// Thresholds of the verdict: `[verdict]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictSpec {
    /// Drift of the conserved quantity that warns, in kT per nanosecond (in reduced units: per time unit) and
    /// degree of freedom; default 0.001 (in reduced units 2e-6).
    pub drift_warn: Option<f64>,
    /// Drift that fails, same unit; default 0.1 (in reduced units 2e-4), or ten times `drift_warn` when that is given.
    pub drift_fail: Option<f64>,
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(source: &Source) -> Result<Self, InputError> {
        let mut document: Self = read(source)?;
        document.system.elements = elements_of(source.text());
        Ok(document)
    }
}

/// What `--potential FILE.toml` of `eval` and `relax` holds: the interactions and what they need to know of
/// the atoms. An input file without its run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PotentialDocument {
    /// A line that says what this is.
    pub title: Option<String>,
    /// Unit system; default "physical".
    #[serde(default)]
    pub units: UnitsSpec,
    /// The interactions. Every `[[potential]]` adds its energy to the others.
    #[serde(default)]
    pub potential: Vec<PotentialTable>,
    /// A molecular force field of all structures, whose file lists their atoms.
    pub force_field: Option<ForceFieldSpec>,
    /// Search for neighbours.
    #[serde(default)]
    pub neighbors: NeighborsSpec,
    /// Mass of each species. Default: those of the file, else the standard atomic weights, also of elements that an interaction names
    /// for a species (`elements = { O1 = "O" }`); 1 with `units = "lj"`.
    #[serde(default)]
    pub masses: BTreeMap<String, Quantity<Mass>>,
    /// Charge of each species. Default: those of the file, else 0.
    #[serde(default)]
    pub charges: BTreeMap<String, Quantity<Charge>>,
    /// Elements of species that the interactions name.
    #[serde(skip)]
    pub(crate) elements: BTreeMap<String, String>,
}

impl PotentialDocument {
    /// The interactions of a run.
    pub fn of_run(run: Document) -> Self {
        let Document { title, units, potential, neighbors, system, .. } = run;
        let SystemSpec { force_field, masses, charges, elements, .. } = system;
        Self { title, units, potential, force_field, neighbors, masses, charges, elements }
    }
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(source: &Source) -> Result<Self, InputError> {
        let mut document: Self = read(source)?;
        document.elements = elements_of(source.text());
        Ok(document)
    }
}

/// Elements of species by the keys `elements = { O1 = "O" }` of the interactions; none for a species of which they say different things.
fn elements_of(text: &str) -> BTreeMap<String, String> {
    fn collect(value: &toml::Value, found: &mut BTreeMap<String, Option<String>>) {
        match value {
            toml::Value::Table(table) => {
                for (species, element) in
                    table.get("elements").and_then(toml::Value::as_table).into_iter().flatten()
                {
                    let Some(element) = element.as_str() else { continue };
                    let known = found.entry(species.clone()).or_insert_with(|| Some(element.to_owned()));
                    if known.as_deref() != Some(element) {
                        *known = None;
                    }
                }
                table.values().for_each(|v| collect(v, found));
            }
            toml::Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    if let Some(potentials) = toml::from_str::<toml::Table>(text).ok().and_then(|mut t| t.remove("potential"))
    {
        collect(&potentials, &mut found);
    }
    found.into_iter().filter_map(|(species, element)| Some((species, element?))).collect()
}

/// Reads a text in the unit system it names.
fn read<T: de::DeserializeOwned>(source: &Source) -> Result<T, InputError> {
    let units = match source.top_level_string("units").as_deref() {
        Some("lj") => UnitSystem::Lj,
        _ => UnitSystem::Physical,
    };
    reading_in(units, || toml::from_str(source.text())).map_err(|e| InputError::from_toml(source, &e))
}
