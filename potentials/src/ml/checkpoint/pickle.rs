//! The stack machine of pickles, protocols 0 to 5, without the part that runs code.
//!
//! Classes and functions are names. A call of a function that PyTorch and numpy use to put data together is carried
//! out here (`rebuild`); every other instance becomes an object with its arguments and its state. Names must be on a
//! list.
//!
//! Sources: Python's `pickletools` documentation; PEP 307, PEP 3154, PEP 574.
use super::error::{Fault, Read};
use super::rebuild;
use super::tree::{Arena, Id, Node, Object};
use std::collections::HashMap;

/// More objects than this are no model.
const MOST_OBJECTS: usize = 8_000_000;
/// Deepest nesting of marks.
const DEEPEST: usize = 100_000;

/// What a pickle holds.
pub(super) struct Pickle {
    pub arena: Arena,
    pub root: Id,
}

/// Reads a pickle.
pub(super) fn read(bytes: &[u8]) -> Read<Pickle> {
    let mut machine = Machine {
        bytes,
        at: 0,
        arena: Arena::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        names: HashMap::new(),
        constants: HashMap::new(),
    };
    let root = machine.run()?;
    Ok(Pickle { arena: machine.arena, root })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: Arena,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Classes and functions that were named, once each.
    names: HashMap<String, Id>,
    /// None, True, False and ().
    constants: HashMap<u8, Id>,
}

fn damaged(what: &str) -> Fault {
    Fault::damaged(format!("{what} in its pickle"))
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or_else(|| damaged("an item reaches beyond the end"))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }
    fn byte(&mut self) -> Read<u64> {
        Ok(u64::from(self.array::<1>()?[0]))
    }
    fn u32(&mut self) -> Read<u64> {
        Ok(u64::from(u32::from_le_bytes(self.array()?)))
    }
    /// Bytes after their length.
    fn counted(&mut self, length: u64) -> Read<&'a [u8]> {
        self.take(usize::try_from(length).map_err(|_| damaged("a length beyond the end"))?)
    }
    fn line(&mut self) -> Read<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n').ok_or_else(|| damaged("a line without end"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| damaged("a line that is not text"))
    }
    fn push(&mut self, node: Node) -> Read<()> {
        if self.arena.len() >= MOST_OBJECTS {
            return Err(Fault::Excessive(format!("its pickle holds more than {MOST_OBJECTS} objects")));
        }
        let id = self.arena.push(node);
        self.stack.push(id);
        Ok(())
    }
    fn constant(&mut self, code: u8, node: Node) {
        let arena = &mut self.arena;
        let id = *self.constants.entry(code).or_insert_with(|| arena.push(node));
        self.stack.push(id);
    }
    /// The lowest place of the stack above the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }
    fn pop(&mut self) -> Read<Id> {
        if self.stack.len() <= self.floor() {
            return Err(damaged("a missing operand"));
        }
        self.stack.pop().ok_or_else(|| damaged("a missing operand"))
    }
    fn top(&self) -> Read<Id> {
        if self.stack.len() <= self.floor() {
            return Err(damaged("a missing operand"));
        }
        self.stack.last().copied().ok_or_else(|| damaged("a missing operand"))
    }
    fn pop_mark(&mut self) -> Read<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("a missing mark"))?;
        Ok(self.stack.split_off(mark))
    }
    fn last<const N: usize>(&mut self) -> Read<Vec<Id>> {
        let mut items = vec![Id(0); N];
        for k in (0..N).rev() {
            items[k] = self.pop()?;
        }
        Ok(items)
    }
    fn text(&mut self, bytes: &[u8]) -> Read<()> {
        // lone surrogates, which Python lets through, are not worth a refusal
        self.push(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }
    fn global(&mut self, module: &str, name: &str) -> Read<Id> {
        let full = format!("{module}.{name}");
        if let Some(id) = self.names.get(&full) {
            return Ok(*id);
        }
        if !rebuild::is_allowed(module, name) {
            return Err(Fault::Forbidden(full));
        }
        let id = self.arena.push(Node::Global(full.clone()));
        self.names.insert(full, id);
        Ok(id)
    }
    fn remember(&mut self, key: u64) -> Read<()> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }
    fn recall(&mut self, key: u64) -> Read<()> {
        let id = *self.memo.get(&key).ok_or_else(|| damaged("a reference to nothing"))?;
        self.stack.push(id);
        Ok(())
    }
    fn pairs(items: &[Id]) -> Read<Vec<(Id, Id)>> {
        if !items.len().is_multiple_of(2) {
            return Err(damaged("a key without value"));
        }
        Ok(items.chunks_exact(2).map(|p| (p[0], p[1])).collect())
    }
    fn set_items(&mut self, items: &[Id]) -> Read<()> {
        let pairs = Self::pairs(items)?;
        let target = self.top()?;
        match &mut self.arena[target] {
            Node::Dict(entries) => entries.extend(pairs),
            Node::Object(object) => object.items.extend(pairs),
            _ => return Err(damaged("items for something that holds none")),
        }
        Ok(())
    }
    fn append(&mut self, items: Vec<Id>) -> Read<()> {
        let target = self.top()?;
        match &mut self.arena[target] {
            Node::List(elements) | Node::Set(elements) => elements.extend(items),
            Node::Object(object) => object.elements.extend(items),
            _ => return Err(damaged("elements for something that holds none")),
        }
        Ok(())
    }
    fn instance(&mut self, class: Id, arguments: Id) -> Read<()> {
        if self.arena.global(class).is_none() || self.arena.tuple(arguments).is_none() {
            return Err(damaged("an instance of something that is no class"));
        }
        let object = Object { class, arguments, state: None, items: Vec::new(), elements: Vec::new() };
        self.push(Node::Object(Box::new(object)))
    }
    fn call(&mut self, function: Id, arguments: Id) -> Read<()> {
        match rebuild::call(&mut self.arena, function, arguments)? {
            Some(node) => self.push(node),
            None => self.instance(function, arguments),
        }
    }
    fn build(&mut self, state: Id) -> Read<()> {
        let target = self.top()?;
        rebuild::build(&mut self.arena, target, state)
    }
    fn persistent(&mut self, id: Id) -> Read<()> {
        let node = rebuild::storage(&self.arena, id)?;
        self.push(node)
    }
    fn integer(&mut self, bytes: &[u8]) -> Read<()> {
        let sign = if bytes.last().is_some_and(|b| b >> 7 == 1) { 0xff } else { 0 };
        let mut value = [sign; 8];
        let fits = bytes.iter().skip(8).all(|b| *b == sign)
            && (bytes.len() <= 8 || (bytes[7] >> 7 == 1) == (sign == 0xff));
        for (v, b) in value.iter_mut().zip(bytes) {
            *v = *b;
        }
        self.push(if fits { Node::Int(i64::from_le_bytes(value)) } else { Node::Long })
    }
    fn run(&mut self) -> Read<Id> {
        loop {
            let code = self.array::<1>()?[0];
            match code {
                // PROTO, FRAME
                0x80 => {
                    let protocol = self.byte()?;
                    if protocol > 5 {
                        return Err(Fault::Unsupported(format!("pickles of protocol {protocol}")));
                    }
                }
                0x95 => {
                    self.array::<8>()?;
                }
                b'.' => return self.pop(),
                // marks and the stack
                b'(' => {
                    if self.marks.len() >= DEEPEST {
                        return Err(Fault::Excessive("its pickle is nested too deeply".to_owned()));
                    }
                    self.marks.push(self.stack.len());
                }
                b'0' => {
                    if self.stack.len() == self.floor() && !self.marks.is_empty() {
                        self.marks.pop();
                    } else {
                        self.pop()?;
                    }
                }
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                // memo
                b'p' | b'g' => {
                    let key = self.line()?.trim().parse().map_err(|_| damaged("a memo without number"))?;
                    if code == b'p' { self.remember(key)? } else { self.recall(key)? }
                }
                b'q' => {
                    let key = self.byte()?;
                    self.remember(key)?;
                }
                b'r' => {
                    let key = self.u32()?;
                    self.remember(key)?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'h' => {
                    let key = self.byte()?;
                    self.recall(key)?;
                }
                b'j' => {
                    let key = self.u32()?;
                    self.recall(key)?;
                }
                // constants and numbers
                b'N' => self.constant(code, Node::None),
                0x88 => self.constant(code, Node::Bool(true)),
                0x89 => self.constant(code, Node::Bool(false)),
                b')' => self.constant(code, Node::Tuple(Vec::new())),
                b'I' => {
                    let node = match self.line()?.trim() {
                        "00" => Node::Bool(false),
                        "01" => Node::Bool(true),
                        text => text.parse().map_or(Node::Long, Node::Int),
                    };
                    self.push(node)?;
                }
                b'L' => {
                    let text = self.line()?.trim().trim_end_matches('L');
                    self.push(text.parse().map_or(Node::Long, Node::Int))?;
                }
                b'F' => {
                    let x = self.line()?.trim().parse().map_err(|_| damaged("a malformed number"))?;
                    self.push(Node::Float(x))?;
                }
                b'J' => {
                    let x = i64::from(i32::from_le_bytes(self.array()?));
                    self.push(Node::Int(x))?;
                }
                b'K' => {
                    let x = self.byte()? as i64;
                    self.push(Node::Int(x))?;
                }
                b'M' => {
                    let x = i64::from(u16::from_le_bytes(self.array()?));
                    self.push(Node::Int(x))?;
                }
                b'G' => {
                    let x = f64::from_be_bytes(self.array()?);
                    self.push(Node::Float(x))?;
                }
                0x8a => {
                    let n = self.byte()?;
                    let bytes = self.counted(n)?;
                    self.integer(bytes)?;
                }
                0x8b => {
                    let n = self.u32()?;
                    let bytes = self.counted(n)?;
                    self.integer(bytes)?;
                }
                // text and bytes
                b'S' => {
                    let text = self.line()?.trim();
                    let quoted = text.len() >= 2
                        && ["'", "\""].iter().any(|q| text.starts_with(q) && text.ends_with(q));
                    if !quoted || text.contains('\\') {
                        return Err(damaged("a malformed string"));
                    }
                    self.text(&text.as_bytes()[1..text.len() - 1])?;
                }
                b'V' => {
                    let text = self.line()?;
                    self.text(text.as_bytes())?;
                }
                b'U' | 0x8c => {
                    let n = self.byte()?;
                    let bytes = self.counted(n)?;
                    self.text(bytes)?;
                }
                b'T' | b'X' => {
                    let n = self.u32()?;
                    let bytes = self.counted(n)?;
                    self.text(bytes)?;
                }
                0x8d => {
                    let n = u64::from_le_bytes(self.array()?);
                    let bytes = self.counted(n)?;
                    self.text(bytes)?;
                }
                b'C' => {
                    let n = self.byte()?;
                    let bytes = self.counted(n)?.to_vec();
                    self.push(Node::Bytes(bytes))?;
                }
                b'B' => {
                    let n = self.u32()?;
                    let bytes = self.counted(n)?.to_vec();
                    self.push(Node::Bytes(bytes))?;
                }
                0x8e | 0x96 => {
                    let n = u64::from_le_bytes(self.array()?);
                    let bytes = self.counted(n)?.to_vec();
                    self.push(Node::Bytes(bytes))?;
                }
                // containers
                b']' => self.push(Node::List(Vec::new()))?,
                b'}' => self.push(Node::Dict(Vec::new()))?,
                0x8f => self.push(Node::Set(Vec::new()))?,
                b'l' => {
                    let items = self.pop_mark()?;
                    self.push(Node::List(items))?;
                }
                b't' => {
                    let items = self.pop_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                0x91 => {
                    let items = self.pop_mark()?;
                    self.push(Node::Set(items))?;
                }
                b'd' => {
                    let items = self.pop_mark()?;
                    self.push(Node::Dict(Self::pairs(&items)?))?;
                }
                0x85 => {
                    let items = self.last::<1>()?;
                    self.push(Node::Tuple(items))?;
                }
                0x86 => {
                    let items = self.last::<2>()?;
                    self.push(Node::Tuple(items))?;
                }
                0x87 => {
                    let items = self.last::<3>()?;
                    self.push(Node::Tuple(items))?;
                }
                b'a' => {
                    let items = self.last::<1>()?;
                    self.append(items)?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let items = self.last::<2>()?;
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(&items)?;
                }
                // classes, instances, calls
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let id = self.global(module, name)?;
                    self.stack.push(id);
                }
                0x93 => {
                    let names = self.last::<2>()?;
                    let name = |id| {
                        self.arena.text(id).map(str::to_owned).ok_or_else(|| damaged("a nameless class"))
                    };
                    let (module, name) = (name(names[0])?, name(names[1])?);
                    let id = self.global(&module, &name)?;
                    self.stack.push(id);
                }
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let class = self.global(module, name)?;
                    let items = self.pop_mark()?;
                    let arguments = self.arena.push(Node::Tuple(items));
                    self.call(class, arguments)?;
                }
                b'o' => {
                    let mut items = self.pop_mark()?;
                    if items.is_empty() {
                        return Err(damaged("an instance without class"));
                    }
                    let class = items.remove(0);
                    let arguments = self.arena.push(Node::Tuple(items));
                    self.call(class, arguments)?;
                }
                b'R' => {
                    let p = self.last::<2>()?;
                    self.call(p[0], p[1])?;
                }
                0x81 => {
                    let p = self.last::<2>()?;
                    self.call(p[0], p[1])?;
                }
                0x92 => {
                    let p = self.last::<3>()?;
                    self.call(p[0], p[1])?;
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                b'P' => {
                    let text = self.line()?.to_owned();
                    let id = self.arena.push(Node::Text(text));
                    self.persistent(id)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.persistent(id)?;
                }
                0x82..=0x84 => return Err(Fault::Unsupported("extension codes of pickles".to_owned())),
                0x97 | 0x98 => {
                    return Err(Fault::Unsupported("pickles with buffers outside of them".to_owned()));
                }
                _ => return Err(damaged(&format!("the unknown code {code:#04x}"))),
            }
        }
    }
}
