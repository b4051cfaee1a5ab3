//! Objects of a pickle as plain data.
//!
//! Objects live in an arena and refer to each other by number, so that an object that is shared stays one object, and
//! one that is filled after it was shared is seen full from everywhere.
use super::tensor::View;

/// Number of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(pub u32);

/// Where the numbers of a tensor lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Storage {
    /// An entry of the archive.
    Entry(String),
    /// In the pickle itself (numpy arrays).
    Inline(Id),
}

/// An instance of a class, or the result of a call that is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    /// The class, or what was called.
    pub class: Id,
    /// A tuple.
    pub arguments: Id,
    /// What `BUILD` gave.
    pub state: Option<Id>,
    /// What `SETITEMS` gave.
    pub items: Vec<(Id, Id)>,
    /// What `APPENDS` gave.
    pub elements: Vec<Id>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits.
    Long,
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Set(Vec<Id>),
    /// A class or a function: `module.name`.
    Global(String),
    Object(Box<Object>),
    /// A storage that tensors refer to: key, type (unknown for untyped ones), number of elements.
    Storage {
        key: String,
        dtype: Option<super::Dtype>,
        elements: u64,
    },
    Tensor(Box<(Storage, View)>),
    /// A tensor of a kind that is not read.
    OtherTensor(String),
}

/// All objects of a pickle.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
}

impl std::ops::Index<Id> for Arena {
    type Output = Node;
    fn index(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }
}
impl std::ops::IndexMut<Id> for Arena {
    fn index_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }
}

impl Arena {
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
    pub fn push(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id((self.nodes.len() - 1) as u32)
    }
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self[id] {
            Node::Text(s) => Some(s),
            _ => None,
        }
    }
    pub fn global(&self, id: Id) -> Option<&str> {
        match &self[id] {
            Node::Global(s) => Some(s),
            _ => None,
        }
    }
    pub fn int(&self, id: Id) -> Option<i64> {
        match self[id] {
            Node::Int(i) => Some(i),
            Node::Bool(b) => Some(i64::from(b)),
            _ => None,
        }
    }
    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match &self[id] {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }
    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match &self[id] {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match &self[id] {
            Node::Dict(items) => Some(items),
            _ => None,
        }
    }
    /// The value of a key in a dictionary; a later one replaces an earlier one.
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        self.dict(dict)?.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }
    pub fn object(&self, id: Id) -> Option<&Object> {
        match &self[id] {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }
    /// Class of an instance.
    pub fn class(&self, id: Id) -> Option<&str> {
        self.global(self.object(id)?.class)
    }
    /// The attributes of an instance: its state, or the dictionary in a state of two parts.
    pub fn attributes(&self, id: Id) -> Option<Id> {
        let state = self.object(id)?.state?;
        match &self[state] {
            Node::Dict(_) => Some(state),
            Node::Tuple(parts) => parts.iter().copied().find(|p| self.dict(*p).is_some()),
            _ => None,
        }
    }
}
