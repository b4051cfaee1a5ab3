//! Energies given as a formula: the expressions of custom forces, evaluated with their derivative.
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most operations of one expression.
const LARGEST: usize = 256;
/// Deepest nesting of parentheses and definitions.
const DEEPEST: usize = 64;

/// A function of one or two whole numbers, as a table [i + n j].
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Entries along the arguments; one or two of them.
    pub size: Vec<usize>,
    /// Values.
    pub values: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Op {
    Constant(f64),
    Input(usize),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Select(usize, usize, usize),
    Table(Arc<Table>, Vec<usize>),
}

macro_rules! functions {
    ($kind:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum $kind { $($variant),* }
        impl $kind {
            fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
functions!(Unary {
    Minus = "-", Sqrt = "sqrt", Exp = "exp", Log = "log", Sin = "sin", Cos = "cos", Tan = "tan",
    Asin = "asin", Acos = "acos", Atan = "atan", Sinh = "sinh", Cosh = "cosh", Tanh = "tanh", Erf = "erf",
    Erfc = "erfc", Step = "step", Delta = "delta", Square = "square", Cube = "cube", Recip = "recip",
    Abs = "abs", Floor = "floor", Ceil = "ceil",
});
functions!(Binary {
    Plus = "+", Minus = "minus", Times = "*", Over = "/", Power = "pow", Min = "min", Max = "max",
    Atan2 = "atan2",
});

/// A formula such as `0.5*k*(r-r0)^2; k=...`: a main expression and definitions after semicolons.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    ops: Vec<Op>,
}

impl Expression {
    /// Reads a formula in which `inputs` may occur as variables and `tables` as functions.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn parse(
        text: &str,
        inputs: &[String],
        tables: &BTreeMap<String, Arc<Table>>,
    ) -> Result<Self, String> {
        let mut parts = text.split(';');
        let main = parts.next().unwrap_or_default();
        let mut definitions = BTreeMap::new();
        for part in parts.map(str::trim).filter(|p| !p.is_empty()) {
            let Some((name, body)) = part.split_once('=') else {
                return Err(format!("expected a definition `name = expression`, found `{part}`"));
            };
            if definitions.insert(name.trim(), body).is_some() {
                return Err(format!("`{}` is defined twice", name.trim()));
            }
        }
        let mut builder =
            Builder { ops: vec![], inputs, tables, definitions, known: BTreeMap::new(), depth: 0 };
        builder.whole(main)?;
        Ok(Self { ops: builder.ops })
    }
    /// Value and derivative with respect to input 0.
    pub fn at(&self, inputs: &[f64]) -> (f64, f64) {
        let mut v = [(0.0f64, 0.0f64); LARGEST];
        for (k, op) in self.ops.iter().enumerate() {
            v[k] = match op {
                Op::Constant(c) => (*c, 0.0),
                Op::Input(n) => (inputs[*n], if *n == 0 { 1.0 } else { 0.0 }),
                Op::Unary(f, a) => unary(*f, v[*a]),
                Op::Binary(f, a, b) => binary(*f, v[*a], v[*b]),
                Op::Select(c, a, b) => v[if v[*c].0 != 0.0 { *a } else { *b }],
                Op::Table(table, at) => (table.at(at.iter().map(|a| v[*a].0)), 0.0),
            };
        }
        v[self.ops.len() - 1]
    }
}

impl Table {
    /// The entry nearest to the arguments; NaN outside.
    fn at(&self, arguments: impl Iterator<Item = f64>) -> f64 {
        let (mut index, mut stride) = (0, 1);
        for (x, n) in arguments.zip(&self.size) {
            let k = x.round();
            if !(k >= 0.0 && k < *n as f64) {
                return f64::NAN;
            }
            index += k as usize * stride;
            stride *= n;
        }
        self.values.get(index).copied().unwrap_or(f64::NAN)
    }
}

fn unary(f: Unary, (x, d): (f64, f64)) -> (f64, f64) {
    let (value, slope) = match f {
        Unary::Minus => (-x, -1.0),
        Unary::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
        Unary::Exp => (x.exp(), x.exp()),
        Unary::Log => (x.ln(), 1.0 / x),
        Unary::Sin => (x.sin(), x.cos()),
        Unary::Cos => (x.cos(), -x.sin()),
        Unary::Tan => (x.tan(), 1.0 / x.cos().powi(2)),
        Unary::Asin => (x.asin(), 1.0 / (1.0 - x * x).sqrt()),
        Unary::Acos => (x.acos(), -1.0 / (1.0 - x * x).sqrt()),
        Unary::Atan => (x.atan(), 1.0 / (1.0 + x * x)),
        Unary::Sinh => (x.sinh(), x.cosh()),
        Unary::Cosh => (x.cosh(), x.sinh()),
        Unary::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Unary::Erf => (libm::erf(x), std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()),
        Unary::Erfc => (libm::erfc(x), -std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()),
        Unary::Step => (f64::from(x >= 0.0), 0.0),
        Unary::Delta => (f64::from(x == 0.0), 0.0),
        Unary::Square => (x * x, 2.0 * x),
        Unary::Cube => (x * x * x, 3.0 * x * x),
        Unary::Recip => (1.0 / x, -1.0 / (x * x)),
        Unary::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
        Unary::Floor => (x.floor(), 0.0),
        Unary::Ceil => (x.ceil(), 0.0),
    };
    // a factor of 0 must not become NaN where the slope is infinite
    (value, if d == 0.0 { 0.0 } else { slope * d })
}

fn binary(f: Binary, (x, dx): (f64, f64), (y, dy): (f64, f64)) -> (f64, f64) {
    match f {
        Binary::Plus => (x + y, dx + dy),
        Binary::Minus => (x - y, dx - dy),
        Binary::Times => (x * y, dx * y + x * dy),
        Binary::Over => (x / y, (dx - x / y * dy) / y),
        Binary::Power if dy == 0.0 && y == y.round() && y.abs() < 64.0 => {
            let n = y as i32;
            (x.powi(n), if dx == 0.0 || n == 0 { 0.0 } else { y * x.powi(n - 1) * dx })
        }
        Binary::Power => {
            let value = x.powf(y);
            let by_base = if dx == 0.0 { 0.0 } else { y * x.powf(y - 1.0) * dx };
            let by_exponent = if dy == 0.0 { 0.0 } else { value * x.ln() * dy };
            (value, by_base + by_exponent)
        }
        Binary::Min => {
            if x <= y {
                (x, dx)
            } else {
                (y, dy)
            }
        }
        Binary::Max => {
            if x >= y {
                (x, dx)
            } else {
                (y, dy)
            }
        }
        Binary::Atan2 => (x.atan2(y), (y * dx - x * dy) / (x * x + y * y)),
    }
}

struct Builder<'a> {
    ops: Vec<Op>,
    inputs: &'a [String],
    tables: &'a BTreeMap<String, Arc<Table>>,
    definitions: BTreeMap<&'a str, &'a str>,
    /// Places of definitions that were read.
    known: BTreeMap<&'a str, usize>,
    depth: usize,
}

/// The rest of a text that is being read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }
    fn take(&mut self, c: char) -> bool {
        self.skip();
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
    fn word(&mut self, keep: impl Fn(usize, char) -> bool) -> &'a str {
        let end = self.0.char_indices().find(|(k, c)| !keep(*k, *c)).map_or(self.0.len(), |(k, _)| k);
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }
    fn shown(&self) -> String {
        let text: String = self.0.trim().chars().take(30).collect();
        if text.is_empty() { "the end".into() } else { format!("`{text}`") }
    }
}

impl<'a> Builder<'a> {
    fn push(&mut self, op: Op) -> Result<usize, String> {
        if self.ops.len() == LARGEST {
            return Err(format!("the expression has more than {LARGEST} operations"));
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }
    fn whole(&mut self, text: &'a str) -> Result<usize, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("the expression is nested too deeply (or defined by itself)".into());
        }
        let mut at = Cursor(text);
        let value = self.sum(&mut at)?;
        at.skip();
        self.depth -= 1;
        if at.0.is_empty() { Ok(value) } else { Err(format!("did not expect {}", at.shown())) }
    }
    fn sum(&mut self, at: &mut Cursor<'a>) -> Result<usize, String> {
        let mut value = self.product(at)?;
        loop {
            let op = match () {
                () if at.take('+') => Binary::Plus,
                () if at.take('-') => Binary::Minus,
                () => return Ok(value),
            };
            let next = self.product(at)?;
            value = self.push(Op::Binary(op, value, next))?;
        }
    }
    fn product(&mut self, at: &mut Cursor<'a>) -> Result<usize, String> {
        let mut value = self.signed(at)?;
        loop {
            let op = match () {
                () if at.take('*') => Binary::Times,
                () if at.take('/') => Binary::Over,
                () => return Ok(value),
            };
            let next = self.signed(at)?;
            value = self.push(Op::Binary(op, value, next))?;
        }
    }
    fn signed(&mut self, at: &mut Cursor<'a>) -> Result<usize, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("the expression is nested too deeply".into());
        }
        let value = if at.take('-') {
            let value = self.signed(at)?;
            self.push(Op::Unary(Unary::Minus, value))?
        } else {
            let base = self.atom(at)?;
            if at.take('^') {
                let exponent = self.signed(at)?;
                self.push(Op::Binary(Binary::Power, base, exponent))?
            } else {
                base
            }
        };
        self.depth -= 1;
        Ok(value)
    }
    fn atom(&mut self, at: &mut Cursor<'a>) -> Result<usize, String> {
        if at.take('(') {
            let value = self.sum(at)?;
            return if at.take(')') { Ok(value) } else { Err(format!("expected `)` before {}", at.shown())) };
        }
        at.skip();
        let first = at.0.chars().next().unwrap_or(' ');
        if first.is_ascii_digit() || first == '.' {
            let text = at.0;
            let word = at.word(|k, c| {
                let before = text[..k].chars().next_back().unwrap_or(' ');
                c.is_ascii_digit()
                    || c == '.'
                    || "eE".contains(c)
                    || ("+-".contains(c) && "eE".contains(before))
            });
            let value = word.parse().map_err(|_| format!("`{word}` is no number"))?;
            return self.push(Op::Constant(value));
        }
        let name = at.word(|_, c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() {
            return Err(format!("expected a number, a name or `(`, found {}", at.shown()));
        }
        if at.take('(') {
            return self.call(name, at);
        }
        if let Some(n) = self.inputs.iter().position(|i| i == name) {
            return self.push(Op::Input(n));
        }
        if let Some(&place) = self.known.get(name) {
            return Ok(place);
        }
        match self.definitions.get(name).copied() {
            Some(body) => {
                let place = self.whole(body)?;
                self.known.insert(name, place);
                Ok(place)
            }
            None if name == "pi" => self.push(Op::Constant(std::f64::consts::PI)),
            None => Err(format!("`{name}` is not defined")),
        }
    }
    fn call(&mut self, name: &str, at: &mut Cursor<'a>) -> Result<usize, String> {
        let mut arguments = vec![self.sum(at)?];
        while at.take(',') {
            arguments.push(self.sum(at)?);
        }
        if !at.take(')') {
            return Err(format!("expected `)` before {}", at.shown()));
        }
        let op = match (arguments.as_slice(), self.tables.get(name)) {
            (_, Some(table)) if table.size.len() == arguments.len() => Op::Table(table.clone(), arguments),
            ([a], None) => match Unary::named(name) {
                Some(f) => Op::Unary(f, *a),
                None => return Err(format!("the function `{name}` of one argument is not known")),
            },
            ([a, b], None) => match Binary::named(name) {
                Some(f) => Op::Binary(f, *a, *b),
                None => return Err(format!("the function `{name}` of two arguments is not known")),
            },
            ([c, a, b], None) if name == "select" => Op::Select(*c, *a, *b),
            (all, _) => return Err(format!("the function `{name}` of {} arguments is not known", all.len())),
        };
        self.push(op)
    }
}

/// A formula with the numbers of one term, in internal units.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The formula.
    pub expression: Arc<Expression>,
    /// Its inputs; the first is the variable and replaced.
    pub inputs: Vec<f64>,
    /// Variable of the formula in one internal unit of it.
    pub variable: f64,
    /// Internal energy in one unit of the formula.
    pub energy: f64,
}

impl Bound {
    /// u and u' at a value of the variable, in internal units.
    pub fn at(&self, x: f64) -> (f64, f64) {
        let mut inputs = [0.0; LARGEST];
        let n = self.inputs.len().min(LARGEST);
        inputs[..n].copy_from_slice(&self.inputs[..n]);
        inputs[0] = x * self.variable;
        let (u, slope) = self.expression.at(&inputs[..n.max(1)]);
        (u * self.energy, slope * self.variable * self.energy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expression, String> {
        let table = Table { size: vec![2, 2], values: vec![1.0, 2.0, 3.0, 4.0] };
        let tables = BTreeMap::from([("f".to_owned(), Arc::new(table))]);
        Expression::parse(text, &["r".into(), "a".into()], &tables)
    }

    #[test]
    fn formulas_have_values_and_derivatives() {
        let at = |text: &str, r: f64, a: f64| parse(text).unwrap().at(&[r, a]);
        assert_eq!(at("2*r^2 - -a", 3.0, 1.0), (19.0, 12.0));
        assert_eq!(at("-r^2", 3.0, 1.0), (-9.0, -6.0));
        assert_eq!(at("x/y; x=r*z; y=2; z=a+1.5e1", 4.0, 1.0), (32.0, 8.0));
        assert_eq!(at("f(a, 1)*r", 4.0, 0.0), (12.0, 3.0));
        assert_eq!(at("step(r-2)*r", 3.0, 0.0), (3.0, 1.0));
        let smooth = "exp(-a*r)*erfc(r)+sqrt(r)*sin(r)/log(r)+select(a, tanh(r), 0)+pow(r, 1.5)+atan2(r, a)";
        let (r, a, h) = (1.7, 0.6, 1e-5);
        let slope = (at(smooth, r + h, a).0 - at(smooth, r - h, a).0) / (2.0 * h);
        assert!((slope - at(smooth, r, a).1).abs() < 1e-8);
    }

    #[test]
    fn mistakes_are_named() {
        let e = |text: &str| parse(text).unwrap_err();
        assert!(e("2*b").contains("`b` is not defined"));
        assert!(e("2*(r").contains("expected `)`"));
        assert!(e("x; x=y; y=x").contains("nested"));
        assert!(e("foo(r)").contains("`foo`"));
        assert!(e("r r").contains("did not expect"));
        assert!(e(&"(".repeat(5000)).contains("nested"));
        assert!(e("").contains("expected a number"));
    }
}
