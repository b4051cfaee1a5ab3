//! The grammar of CIF: data blocks of tags with values and of loops.
//!
//! Source: International Union of Crystallography, "CIF version 1.1 working specification".
use crate::error::Fault;
use crate::text::Lines;
use std::collections::HashMap;

/// A data block: its name, single values and the columns of its loops by tag (lower case), with the line of the loop.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub name: String,
    pub line: u64,
    values: HashMap<String, String>,
    columns: HashMap<String, Vec<String>>,
}

impl Block {
    /// The value of the first of these tags that the block has; of a loop its first row.
    pub fn value(&self, tags: &[&str]) -> Option<&str> {
        tags.iter().find_map(|t| {
            let single = self.values.get(*t).map(String::as_str);
            single
                .or_else(|| self.columns.get(*t)?.first().map(String::as_str))
                .filter(|v| !matches!(*v, "?" | "."))
        })
    }
    /// The column of the first of these tags; a single value counts as a loop of one row.
    pub fn column(&self, tags: &[&str]) -> Option<Vec<&str>> {
        tags.iter().find_map(|t| {
            let column = self.columns.get(*t).map(|c| c.iter().map(String::as_str).collect());
            column.or_else(|| self.values.get(*t).map(|v| vec![v.as_str()]))
        })
    }
}

enum Token {
    Data(String),
    Loop,
    Tag(String),
    Value(String),
}

/// Reads blocks from lines.
#[derive(Default)]
pub(super) struct Blocks {
    /// Tokens of the current line that are still to come, last first.
    pending: Vec<Token>,
    started: Option<(String, u64)>,
}

impl Blocks {
    fn token(&mut self, lines: &mut Lines) -> Result<Option<Token>, Fault> {
        loop {
            if let Some(t) = self.pending.pop() {
                return Ok(Some(t));
            }
            let Some(line) = lines.next()? else { return Ok(None) };
            if let Some(first) = line.strip_prefix(';') {
                return text_field(first.to_owned(), lines).map(|t| Some(Token::Value(t)));
            }
            let mut tokens = split(line).map_err(|e| Fault::line(lines.number(), e))?;
            tokens.reverse();
            self.pending = tokens;
        }
    }

    /// The next block, or `None` at the end of the file.
    pub fn next(&mut self, lines: &mut Lines) -> Result<Option<Block>, Fault> {
        let mut block = Block::default();
        while self.started.is_none() {
            match self.token(lines)? {
                None => return Ok(None),
                Some(Token::Data(name)) => self.started = Some((name, lines.number())),
                Some(_) => {
                    return Err(Fault::line(lines.number(), "expected `data_` and the name of a block")
                        .hint("a CIF file begins with a line such as data_quartz"));
                }
            }
        }
        if let Some((name, line)) = self.started.take() {
            (block.name, block.line) = (name, line);
        }
        while let Some(token) = self.token(lines)? {
            let at = lines.number();
            match token {
                Token::Data(name) => {
                    self.started = Some((name, at));
                    break;
                }
                Token::Tag(tag) => match self.token(lines)? {
                    Some(Token::Value(v)) => drop(block.values.insert(tag, v)),
                    _ => return Err(Fault::line(at, format!("`{tag}` has no value"))),
                },
                Token::Loop => self.read_loop(&mut block, lines)?,
                Token::Value(v) => {
                    let message = format!("{} stands where a tag was expected", crate::text::quote(&v));
                    return Err(Fault::line(at, message));
                }
            }
        }
        Ok(Some(block))
    }

    fn read_loop(&mut self, block: &mut Block, lines: &mut Lines) -> Result<(), Fault> {
        let at = lines.number();
        let mut tags = Vec::new();
        let mut values = Vec::new();
        loop {
            match self.token(lines)? {
                Some(Token::Tag(tag)) if values.is_empty() => tags.push(tag),
                Some(Token::Value(v)) => values.push(v),
                Some(other) => {
                    self.pending.push(other);
                    break;
                }
                None => break,
            }
        }
        if tags.is_empty() || values.len() % tags.len() != 0 {
            let message = format!("a loop of {} columns has {} values", tags.len(), values.len());
            return Err(Fault::line(at, message));
        }
        let mut columns: Vec<Vec<String>> = vec![Vec::new(); tags.len()];
        for (k, v) in values.into_iter().enumerate() {
            columns[k % tags.len()].push(v);
        }
        block.columns.extend(tags.into_iter().zip(columns));
        Ok(())
    }
}

/// A text between lines that begin with semicolons.
fn text_field(first: String, lines: &mut Lines) -> Result<String, Fault> {
    let at = lines.number();
    let mut text = first;
    loop {
        let Some(line) = lines.next()? else {
            return Err(Fault::line(at, "the text that begins with `;` here does not end"));
        };
        if line.starts_with(';') {
            return Ok(text);
        }
        text.push('\n');
        text.push_str(line);
    }
}

/// The tokens of a line.
fn split(line: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '#' => break,
            '\'' | '"' => {
                // a quote ends where white space or the end of the line follows it
                let body = &rest[1..];
                let ends = body.match_indices(first).map(|(k, _)| k);
                let mut ends =
                    ends.filter(|k| body[k + 1..].chars().next().is_none_or(|c| c.is_ascii_whitespace()));
                let end = ends.next().ok_or_else(|| format!("the closing {first} is missing"))?;
                tokens.push(Token::Value(body[..end].to_owned()));
                rest = body[end + 1..].trim_start();
            }
            _ => {
                let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
                tokens.push(word(&rest[..end]));
                rest = rest[end..].trim_start();
            }
        }
    }
    Ok(tokens)
}

fn word(word: &str) -> Token {
    let lower = word.to_lowercase();
    if lower.starts_with('_') {
        Token::Tag(lower)
    } else if lower == "loop_" {
        Token::Loop
    } else if lower.starts_with("data_") {
        Token::Data(word[5..].to_owned())
    } else {
        Token::Value(word.to_owned())
    }
}
