//! XML as a tree of elements with their lines.
use super::text::{TextFile, real};
use caloron_engine::SpecError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Deepest nesting that is read.
const DEEPEST: usize = 32;

/// An element.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub name: String,
    pub line: usize,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

/// Reads the one element a file holds.
pub(crate) fn parse(file: &TextFile) -> Result<Node, SpecError> {
    let mut reader = Reader::from_str(&file.text);
    let mut open: Vec<Node> = vec![Node::default()];
    let (mut line, mut counted) = (1, 0);
    loop {
        let event = reader.read_event();
        let at = (reader.buffer_position() as usize).min(file.text.len());
        let seen = file.text.as_bytes()[counted..at].iter().filter(|b| **b == b'\n').count();
        (line, counted) = (line + seen, at);
        let event = event.map_err(|e| file.error(line, format!("this is no valid XML: {e}")))?;
        match event {
            Event::Start(start) => {
                if open.len() > DEEPEST {
                    return Err(file.error(line, "elements are nested too deeply"));
                }
                open.push(element(file, line, &start)?);
            }
            Event::Empty(start) => {
                let node = element(file, line, &start)?;
                if let Some(parent) = open.last_mut() {
                    parent.children.push(node);
                }
            }
            Event::End(_) => {
                if let Some(node) = open.pop()
                    && let Some(parent) = open.last_mut()
                {
                    parent.children.push(node);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match (open.len(), open.pop()) {
        (1, Some(mut root)) if root.children.len() == 1 => Ok(root.children.remove(0)),
        (1, _) => Err(file.whole("expected an XML file with one element at the top")),
        _ => Err(file.error(line, "the file ends within an element; it may be truncated")),
    }
}

fn element(file: &TextFile, line: usize, start: &BytesStart<'_>) -> Result<Node, SpecError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut node = Node { name: text(start.name().as_ref()), line, ..Node::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| file.error(line, format!("this is no valid XML: {e}")))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|e| file.error(line, format!("this is no valid XML: {e}")))?
            .into_owned();
        node.attributes.push((text(attribute.key.as_ref()), value));
    }
    Ok(node)
}

impl Node {
    /// A child by its name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }
    /// The children of a child; none where it is absent.
    pub fn list(&self, name: &str) -> &[Self] {
        self.child(name).map_or(&[], |c| &c.children)
    }
    /// An attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    fn need(&self, file: &TextFile, name: &str) -> Result<&str, SpecError> {
        let missing = || file.error(self.line, format!("<{}> has no attribute `{name}`", self.name));
        self.text(name).ok_or_else(missing)
    }
    /// An attribute that is a finite number.
    pub fn real(&self, file: &TextFile, name: &str) -> Result<f64, SpecError> {
        let text = self.need(file, name)?;
        let wrong = || file.error(self.line, format!("`{name}` of <{}> is no number: `{text}`", self.name));
        real(text).ok_or_else(wrong)
    }
    /// The same, or a default where it is absent.
    pub fn real_or(&self, file: &TextFile, name: &str, default: f64) -> Result<f64, SpecError> {
        if self.text(name).is_some() { self.real(file, name) } else { Ok(default) }
    }
    /// An attribute that is a whole number, not negative.
    pub fn index(&self, file: &TextFile, name: &str) -> Result<u32, SpecError> {
        let text = self.need(file, name)?;
        let wrong =
            |_| file.error(self.line, format!("`{name}` of <{}> is no whole number: `{text}`", self.name));
        text.parse().map_err(wrong)
    }
    /// An attribute that is 0 or 1.
    pub fn flag(&self, file: &TextFile, name: &str, default: bool) -> Result<bool, SpecError> {
        match self.text(name) {
            None => Ok(default),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => {
                Err(file
                    .error(self.line, format!("`{name}` of <{}> must be 0 or 1, not `{other}`", self.name)))
            }
        }
    }
    /// Atoms named by attributes.
    pub fn atoms<const N: usize>(
        &self,
        file: &TextFile,
        names: [&str; N],
        count: usize,
    ) -> Result<[u32; N], SpecError> {
        let mut out = [0; N];
        for (atom, name) in out.iter_mut().zip(names) {
            *atom = self.index(file, name)?;
            if *atom as usize >= count {
                let message = format!("`{name}` is atom {atom}, but there are {count} atoms, counted from 0");
                return Err(file.error(self.line, message));
            }
        }
        Ok(out)
    }
}
