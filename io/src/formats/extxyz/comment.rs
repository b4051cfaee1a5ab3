//! The line of `key=value` pairs.
use crate::{Map, Value};

/// How a value was delimited.
#[derive(Clone, Copy, PartialEq)]
enum Delimiter {
    None,
    Quote,
    Braces,
    Brackets,
}

/// Keys and values of a comment line. A key without value is true, as in ASE.
pub(super) fn parse(line: &str) -> Result<Map<Value>, String> {
    let mut map = Map::default();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (key, after) = key(rest)?;
        let next = after.trim_start();
        let Some(value_text) = next.strip_prefix('=') else {
            map.insert(key, Value::Bool(true));
            rest = next;
            continue;
        };
        let (text, delimiter, after) =
            value(value_text.trim_start()).map_err(|e| format!("value of `{key}`: {e}"))?;
        let parsed = interpret(&text, delimiter).map_err(|e| format!("value of `{key}`: {e}"))?;
        map.insert(key, parsed);
        rest = after.trim_start();
    }
    Ok(map)
}

fn key(text: &str) -> Result<(String, &str), String> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return quoted(&text[1..], quote);
    }
    let end = text.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(text.len());
    if end == 0 {
        return Err("a `=` without a key before it".into());
    }
    Ok((text[..end].to_owned(), &text[end..]))
}

fn value(text: &str) -> Result<(String, Delimiter, &str), String> {
    match text.chars().next() {
        Some(q @ ('"' | '\'')) => quoted(&text[1..], q).map(|(v, rest)| (v, Delimiter::Quote, rest)),
        Some('{') => enclosed(text, '{', '}').map(|(v, rest)| (v, Delimiter::Braces, rest)),
        Some('[') => enclosed(text, '[', ']').map(|(v, rest)| (v, Delimiter::Brackets, rest)),
        _ => {
            let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
            Ok((text[..end].to_owned(), Delimiter::None, &text[end..]))
        }
    }
}

/// Text up to the closing quote, with `\n` and other escaped characters resolved.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, escaped)) => out.push(escaped),
                None => break,
            },
            c if c == quote => return Ok((out, &text[at + c.len_utf8()..])),
            c => out.push(c),
        }
    }
    Err(format!("the closing {quote} is missing"))
}

/// Text with its outermost brackets, up to the one that closes the first; brackets inside strings do not count.
fn enclosed(text: &str, open: char, close: char) -> Result<(String, &str), String> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            c if c == open && !in_string => depth += 1,
            c if c == close && !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Ok((text[..=at].to_owned(), &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    Err(format!("the closing {close} is missing"))
}

fn interpret(text: &str, delimiter: Delimiter) -> Result<Value, String> {
    match delimiter {
        Delimiter::None | Delimiter::Quote => {
            if let Some(json) = text.strip_prefix("_JSON ") {
                return Ok(match serde_json::from_str::<String>(json) {
                    Ok(text) => Value::Text(text),
                    Err(_) => Value::Json(json.to_owned()),
                });
            }
            let fields = || text.split_ascii_whitespace();
            Ok(match numbers(&mut fields()) {
                Some(list) if fields().nth(1).is_some() => list,
                Some(list) => first(list),
                None => Value::Text(text.to_owned()),
            })
        }
        Delimiter::Braces | Delimiter::Brackets => {
            let inner = text[1..text.len() - 1].trim();
            let commas = inner.contains(',');
            let split = |c: char| if commas { c == ',' } else { c.is_ascii_whitespace() };
            let mut fields = inner.split(split).map(str::trim).filter(|f| commas || !f.is_empty());
            match numbers(&mut fields) {
                Some(list) => Ok(list),
                None if delimiter == Delimiter::Brackets => Ok(Value::Json(text.to_owned())),
                None => Ok(Value::Text(inner.to_owned())),
            }
        }
    }
}

fn first(list: Value) -> Value {
    match list {
        Value::Bools(v) => Value::Bool(v[0]),
        Value::Ints(v) => Value::Int(v[0]),
        Value::Reals(v) => Value::Real(v[0]),
        other => other,
    }
}

/// Logicals, integers or numbers, if all fields are such; `None` for texts and for no field at all.
fn numbers<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Value> {
    let mut list: Option<Value> = None;
    for f in fields {
        list = Some(match list {
            None => scalar_list(f)?,
            Some(Value::Bools(mut v)) => {
                v.push(logical(f)?);
                Value::Bools(v)
            }
            Some(Value::Ints(mut v)) => match f.parse() {
                Ok(i) => {
                    v.push(i);
                    Value::Ints(v)
                }
                Err(_) => {
                    let mut reals: Vec<f64> = v.iter().map(|&i| i as f64).collect();
                    reals.push(f.parse().ok()?);
                    Value::Reals(reals)
                }
            },
            Some(Value::Reals(mut v)) => {
                v.push(f.parse().ok()?);
                Value::Reals(v)
            }
            Some(_) => return None,
        });
    }
    list
}

fn scalar_list(field: &str) -> Option<Value> {
    if let Ok(i) = field.parse() {
        return Some(Value::Ints(vec![i]));
    }
    if let Ok(x) = field.parse() {
        return Some(Value::Reals(vec![x]));
    }
    logical(field).map(|b| Value::Bools(vec![b]))
}

/// A logical as ASE writes and reads it.
pub(super) fn logical(field: &str) -> Option<bool> {
    match field {
        "T" | "True" | "TRUE" | "true" => Some(true),
        "F" | "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

/// Appends ` key=value` so that [`parse`] and ASE read the same value back.
pub(super) fn write(out: &mut Vec<u8>, key: &str, value: &Value, number: &mut super::write::Number) {
    let plain_key = !key.is_empty()
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '@'));
    if plain_key {
        out.extend_from_slice(key.as_bytes());
    } else {
        quote(out, key);
    }
    out.push(b'=');
    match value {
        Value::Bool(b) => out.push(if *b { b'T' } else { b'F' }),
        Value::Int(i) => out.extend_from_slice(i.to_string().as_bytes()),
        Value::Real(x) => number.write(out, *x),
        Value::Bools(v) => list(out, v, |out, b| out.push(if *b { b'T' } else { b'F' })),
        Value::Ints(v) => list(out, v, |out, i| out.extend_from_slice(i.to_string().as_bytes())),
        Value::Reals(v) => list(out, v, |out, x| number.write(out, *x)),
        Value::Json(json) => quote(out, &format!("_JSON {json}")),
        Value::Text(text) if matches!(interpret(text, Delimiter::Quote), Ok(Value::Text(t)) if t == *text) => {
            quote(out, text);
        }
        Value::Text(text) => {
            // would be read as a number or logical; JSON keeps it a text
            let json = serde_json::Value::String(text.clone()).to_string();
            quote(out, &format!("_JSON {json}"));
        }
    }
}

/// Two or more values in quotes, as ASE does; one in brackets, so that it stays a list; none as JSON.
fn list<T>(out: &mut Vec<u8>, values: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    let (open, close): (&[u8], &[u8]) = match values.len() {
        0 => (b"\"_JSON []", b"\""),
        1 => (b"[", b"]"),
        _ => (b"\"", b"\""),
    };
    out.extend_from_slice(open);
    for (k, v) in values.iter().enumerate() {
        if k > 0 {
            out.push(b' ');
        }
        write(out, v);
    }
    out.extend_from_slice(close);
}

fn quote(out: &mut Vec<u8>, text: &str) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | ':' | '@' | '%');
    if !text.is_empty() && text.chars().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push(b'\\');
                out.push(c as u8);
            }
            '\n' => out.extend_from_slice(b"\\n"),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
