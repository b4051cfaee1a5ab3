//! From the objects of a pickle to named tensors and hyper-parameters.
//!
//! A pickled `torch.nn.Module` keeps its parts in the attributes `_modules`, `_parameters` and `_buffers`; the names of
//! its tensors are the paths to them, joined by dots, exactly as in `state_dict()`. Other attributes are the
//! hyper-parameters. A dictionary is either a `state_dict()` itself or holds one besides hyper-parameters.
use super::error::{Fault, Read};
use super::tensor::Tensor;
use super::tree::{Arena, Id, Node, Storage};
use super::zip::Archive;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Deepest nesting of modules and of hyper-parameters.
const DEEPEST: usize = 64;
/// Most modules and tensors.
const MOST: usize = 200_000;
/// Most values of one hyper-parameter.
const MOST_VALUES: usize = 50_000;
/// Longest text of a hyper-parameter; longer ones are source code.
const LONGEST: usize = 1000;
/// Entries beside the weights that say nothing about the model.
const TRAINING: [&str; 8] =
    ["optimizer", "scheduler", "history", "rng_state", "callbacks", "loops", "scaler", "ema"];
/// Entries that hold the weights.
const WEIGHTS: [&str; 5] = ["model_state_dict", "state_dict", "model", "module", "net"];

/// What a pickle says about a model.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat {
    pub tensors: BTreeMap<String, Tensor>,
    pub hyper_parameters: Map<String, Value>,
}

/// A number as JSON, which has no infinities.
pub(super) fn float(x: f64) -> Value {
    serde_json::Number::from_f64(x).map_or_else(|| Value::String(x.to_string()), Value::Number)
}

struct Reader<'a> {
    arena: &'a Arena,
    archive: &'a Archive<'a>,
    /// Folder of the storages in the archive.
    folder: String,
    storages: HashMap<&'a str, Cow<'a, [u8]>>,
    /// Bytes and names that may still be read.
    bytes: u64,
    names: usize,
    values: usize,
    flat: Flat,
}

/// Reads the tensors and hyper-parameters below `root`; storages are in `folder` of the archive.
pub(super) fn flatten(
    arena: &Arena,
    root: Id,
    archive: &Archive<'_>,
    folder: &str,
    size: usize,
) -> Read<Flat> {
    let mut reader = Reader {
        arena,
        archive,
        folder: folder.to_owned(),
        storages: HashMap::new(),
        // views can show a storage several times, within reason
        bytes: 4 * size as u64 + (64 << 20),
        names: MOST,
        values: 0,
        flat: Flat::default(),
    };
    match &arena[root] {
        Node::Dict(_) => reader.dictionary(root, 0)?,
        Node::Object(object) if reader.is_module(root) => {
            let class = arena.global(object.class).unwrap_or("").to_owned();
            let mut modules = Map::new();
            reader.module(root, "", 0, &mut modules)?;
            reader.flat.hyper_parameters.insert("class".to_owned(), Value::String(class));
            reader.flat.hyper_parameters.insert("modules".to_owned(), Value::Object(modules));
        }
        other => {
            let what = match other {
                Node::Object(_) => format!("an object of class `{}`", arena.class(root).unwrap_or("?")),
                Node::Tensor(_) | Node::OtherTensor(_) => "a single tensor".to_owned(),
                Node::List(_) | Node::Tuple(_) | Node::Set(_) => "a list".to_owned(),
                _ => "a single value".to_owned(),
            };
            return Err(Fault::Content(format!("the file holds {what}, not a model or a dictionary")));
        }
    }
    Ok(reader.flat)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'a> Reader<'a> {
    fn count(&mut self, depth: usize) -> Read<()> {
        if depth > DEEPEST {
            return Err(Fault::Excessive(
                "its modules are nested too deeply, or contain themselves".to_owned(),
            ));
        }
        self.names = self
            .names
            .checked_sub(1)
            .ok_or_else(|| Fault::Excessive(format!("more than {MOST} modules and tensors")))?;
        Ok(())
    }
    /// The attributes of a module. A traced module, which is rebuilt from its attributes and code, has them too.
    fn attributes(&self, id: Id) -> Option<Id> {
        let object = self.arena.object(id)?;
        if let Some(state) = self.arena.attributes(id) {
            return Some(state);
        }
        let name = self.arena.global(object.class)?;
        let body = *self.arena.tuple(object.arguments)?.first()?;
        (name.contains(".fx.") && self.arena.dict(body).is_some()).then_some(body)
    }
    fn is_module(&self, id: Id) -> bool {
        self.attributes(id).is_some_and(|a| self.arena.get(a, "_modules").is_some())
    }
    fn tensor(&mut self, storage: &'a Storage, view: &super::tensor::View, name: &str) -> Read<Tensor> {
        let fault = |f: Fault| match f {
            Fault::Damaged(what) => Fault::Damaged(format!("tensor `{name}`: {what}")),
            other => other,
        };
        let bytes = view.elements().and_then(|n| n.checked_mul(view.dtype.size() as u64));
        let left = bytes.and_then(|b| self.bytes.checked_sub(b));
        let Some(left) = left else {
            return Err(Fault::Excessive(format!(
                "tensor `{name}` with shape {:?} in a file of this size",
                view.shape
            )));
        };
        self.bytes = left;
        match storage {
            Storage::Inline(data) => match &self.arena[*data] {
                Node::Bytes(bytes) => view.gather(bytes).map_err(fault),
                _ => Err(Fault::damaged(format!("tensor `{name}` has no data"))),
            },
            Storage::Entry(key) => {
                if !self.storages.contains_key(key.as_str()) {
                    let entry = format!("{}data/{key}", self.folder);
                    let content = self.archive.read(&entry)?.ok_or_else(|| {
                        Fault::damaged(format!(
                            "tensor `{name}` needs the entry `{entry}`, which is not there"
                        ))
                    })?;
                    self.storages.insert(key, content);
                }
                view.gather(&self.storages[key.as_str()]).map_err(fault)
            }
        }
    }
    /// Adds a tensor under its name.
    fn add(&mut self, id: Id, name: &str) -> Read<()> {
        match &self.arena[id] {
            Node::Tensor(t) => {
                let tensor = self.tensor(&t.0, &t.1, name)?;
                self.flat.tensors.insert(name.to_owned(), tensor);
                Ok(())
            }
            Node::OtherTensor(what) => Err(Fault::Unsupported(format!("tensor `{name}` is {what}"))),
            _ => Ok(()),
        }
    }
    fn module(&mut self, id: Id, path: &str, depth: usize, modules: &mut Map<String, Value>) -> Read<()> {
        self.count(depth)?;
        let arena = self.arena;
        let Some(attributes) = self.attributes(id) else { return Ok(()) };
        let Some(entries) = arena.dict(attributes) else { return Ok(()) };
        let class = arena.class(id).unwrap_or("").to_owned();
        let mut own = Map::new();
        // the weights behind a dictionary of modules may depend on the order of what it gives, which JSON does not keep
        let dictionary = class.ends_with(".ModuleDict");
        own.insert("class".to_owned(), Value::String(class));
        for &(key, value) in entries {
            let Some(key) = arena.text(key) else { continue };
            let hidden = key.starts_with("__")
                || key.ends_with("_hooks")
                || key.contains("_hooks_")
                || matches!(key, "_code" | "_graph" | "_tracer_cls" | "_is_full_backward_hook");
            if hidden {
                continue;
            }
            match key {
                "_parameters" | "_buffers" => {
                    for &(name, tensor) in arena.dict(value).unwrap_or(&[]) {
                        self.count(depth)?;
                        if let Some(name) = arena.text(name) {
                            self.add(tensor, &join(path, name))?;
                        }
                    }
                }
                "_modules" => {
                    let children = arena.dict(value).unwrap_or(&[]);
                    if dictionary {
                        let names = children.iter().filter_map(|(name, _)| arena.text(*name));
                        own.insert("order".to_owned(), names.map(Value::from).collect());
                    }
                    for &(name, child) in children {
                        if let Some(name) = arena.text(name) {
                            self.module(child, &join(path, name), depth + 1, modules)?;
                        }
                    }
                }
                _ => {
                    self.values = MOST_VALUES;
                    if let Some(json) = self.json(value, 0) {
                        own.insert(key.to_owned(), json);
                    }
                }
            }
        }
        modules.insert(path.to_owned(), Value::Object(own));
        Ok(())
    }
    fn is_state_dict(&self, dict: Id) -> bool {
        let mut any = false;
        for &(key, value) in self.arena.dict(dict).unwrap_or(&[]) {
            match &self.arena[value] {
                Node::Tensor(_) | Node::OtherTensor(_) => any = true,
                Node::Dict(_) | Node::Object(_) | Node::List(_) => return false,
                _ => {}
            }
            if self.arena.text(key).is_none() {
                return false;
            }
        }
        any
    }
    fn dictionary(&mut self, dict: Id, depth: usize) -> Read<()> {
        self.count(depth)?;
        let arena = self.arena;
        let entries = arena.dict(dict).unwrap_or(&[]);
        if self.is_state_dict(dict) {
            for &(key, value) in entries {
                self.count(depth)?;
                if let Some(key) = arena.text(key) {
                    self.add(value, key)?;
                }
            }
            return Ok(());
        }
        let holds = |id: Id| arena.dict(id).is_some() || self.is_module(id);
        let weights = WEIGHTS.iter().find_map(|w| arena.get(dict, w).filter(|id| holds(*id)));
        let Some(weights) = weights else {
            return Err(Fault::Content(
                "the file holds a dictionary without the weights of a model".to_owned(),
            ));
        };
        for &(key, value) in entries {
            let Some(key) = arena.text(key) else { continue };
            if value == weights || TRAINING.iter().any(|t| key.contains(t)) {
                continue;
            }
            self.values = MOST_VALUES;
            if let Some(json) = self.json(value, 0) {
                self.flat.hyper_parameters.insert(key.to_owned(), json);
            }
        }
        if arena.dict(weights).is_some() {
            return self.dictionary(weights, depth + 1);
        }
        let mut modules = Map::new();
        self.module(weights, "", depth + 1, &mut modules)?;
        let class = arena.class(weights).unwrap_or("").to_owned();
        self.flat.hyper_parameters.insert("class".to_owned(), Value::String(class));
        self.flat.hyper_parameters.insert("modules".to_owned(), Value::Object(modules));
        Ok(())
    }
    /// A value as JSON; `None` when it is too large or no data.
    fn json(&mut self, id: Id, depth: usize) -> Option<Value> {
        self.values = self.values.checked_sub(1)?;
        if depth > 16 {
            return None;
        }
        let arena = self.arena;
        Some(match &arena[id] {
            Node::None => Value::Null,
            Node::Bool(b) => Value::Bool(*b),
            Node::Int(i) => Value::from(*i),
            Node::Float(x) => float(*x),
            Node::Text(s) if s.len() <= LONGEST => Value::String(s.clone()),
            Node::Global(s) => Value::String(s.clone()),
            Node::Tuple(items) | Node::List(items) | Node::Set(items) => {
                Value::Array(items.iter().map(|i| self.json(*i, depth + 1)).collect::<Option<_>>()?)
            }
            Node::Dict(items) => self.map(items, depth)?,
            Node::Tensor(t) => {
                if t.1.elements()? > 4096 {
                    return None;
                }
                self.tensor(&t.0, &t.1, "").ok()?.to_json()?
            }
            Node::Object(_) => self.object(id, depth)?,
            Node::Text(_) | Node::Bytes(_) | Node::Long | Node::Storage { .. } | Node::OtherTensor(_) => {
                return None;
            }
        })
    }
    /// Entries that are data, with their keys as text.
    fn map(&mut self, items: &[(Id, Id)], depth: usize) -> Option<Value> {
        let mut map = Map::new();
        for &(key, value) in items {
            self.values = self.values.checked_sub(1)?;
            let key = match &self.arena[key] {
                Node::Text(s) if s.len() <= LONGEST => s.clone(),
                Node::Int(i) => i.to_string(),
                Node::Bool(b) => b.to_string(),
                Node::Float(x) => x.to_string(),
                _ => continue,
            };
            if let Some(json) = self.json(value, depth + 1) {
                map.insert(key, json);
            }
        }
        Some(Value::Object(map))
    }
    fn object(&mut self, id: Id, depth: usize) -> Option<Value> {
        let arena = self.arena;
        let object = arena.object(id)?;
        let class = arena.global(object.class)?;
        if class == "e3nn.o3._irreps.Irreps" {
            return irreps(arena, id).map(Value::String);
        }
        if class == "e3nn.o3._irreps.Irrep" {
            return irrep(arena, id).map(Value::String);
        }
        let mut map = Map::new();
        map.insert("class".to_owned(), Value::String(class.to_owned()));
        if let Some(arguments) = arena.tuple(object.arguments).filter(|a| !a.is_empty())
            && !class.contains(".fx.")
        {
            let values = arguments.iter().filter_map(|a| self.json(*a, depth + 1)).collect();
            map.insert("arguments".to_owned(), Value::Array(values));
        }
        if let Some(state) = arena.attributes(id).and_then(|a| arena.dict(a))
            && let Some(Value::Object(state)) = self.map(state, depth + 1)
        {
            map.extend(state);
        }
        if !object.items.is_empty() {
            map.insert("items".to_owned(), self.map(&object.items, depth + 1)?);
        }
        if !object.elements.is_empty() {
            let values = object.elements.iter().filter_map(|a| self.json(*a, depth + 1)).collect();
            map.insert("elements".to_owned(), Value::Array(values));
        }
        Some(Value::Object(map))
    }
}

/// The items of an instance of a subclass of `tuple`: its arguments, or the tuple that is its only argument.
fn items(arena: &Arena, id: Id) -> Option<&[Id]> {
    let arguments = arena.tuple(arena.object(id)?.arguments)?;
    match arguments {
        &[only] => arena.sequence(only).or(Some(arguments)),
        _ => Some(arguments),
    }
}

/// An irreducible representation as text: (1, -1) is `1o`.
fn irrep(arena: &Arena, id: Id) -> Option<String> {
    let &[l, parity] = items(arena, id)? else { return None };
    let parity = match arena.int(parity)? {
        1 => 'e',
        -1 => 'o',
        _ => return None,
    };
    Some(format!("{}{parity}", arena.int(l)?))
}

/// A sum of representations as text, such as `128x0e+128x1o`.
fn irreps(arena: &Arena, id: Id) -> Option<String> {
    let term = |id: &Id| {
        let &[times, irrep_id] = items(arena, *id)? else { return None };
        Some(format!("{}x{}", arena.int(times)?, irrep(arena, irrep_id)?))
    };
    let terms: Option<Vec<String>> = items(arena, id)?.iter().map(term).collect();
    terms.map(|t| t.join("+"))
}
