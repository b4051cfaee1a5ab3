//! Symmetry operations in the notation `x+1/2, -y, z`.
use caloron_engine::{Mat3, Vec3};

/// s -> R s + t for fractional coordinates s.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    rotation: Mat3,
    translation: Vec3,
}

impl Operation {
    pub fn identity() -> Self {
        Self { rotation: Mat3::identity(), translation: Vec3::zeros() }
    }
    pub fn is_identity(&self) -> bool {
        *self == Self::identity()
    }
    pub fn apply(&self, s: &Vec3) -> Vec3 {
        self.rotation * s + self.translation
    }
    /// Three expressions, sums of signed x, y, z (with factors) and numbers or fractions.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_lowercase().replace(char::is_whitespace, "");
        let mut op = Self { rotation: Mat3::zeros(), translation: Vec3::zeros() };
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() != 3 {
            return None;
        }
        for (row, part) in parts.into_iter().enumerate() {
            let mut rest = part;
            while !rest.is_empty() {
                let (sign, body) = match rest.as_bytes()[0] {
                    b'-' => (-1.0, &rest[1..]),
                    b'+' => (1.0, &rest[1..]),
                    _ => (1.0, rest),
                };
                let end = body.find(['+', '-']).unwrap_or(body.len());
                let (term, after) = body.split_at(end);
                match term.find(['x', 'y', 'z']) {
                    Some(at) => {
                        let factor = term[..at].trim_end_matches('*');
                        let factor = if factor.is_empty() { 1.0 } else { fraction(factor)? };
                        let column = usize::from(term.as_bytes()[at] - b'x');
                        op.rotation[(row, column)] += sign * factor / divisor(&term[at + 1..])?;
                    }
                    None => op.translation[row] += sign * fraction(term)?,
                }
                rest = after;
            }
        }
        (op.rotation.determinant().abs() > 1e-6).then_some(op)
    }
}

fn divisor(text: &str) -> Option<f64> {
    match text.strip_prefix('/') {
        None => text.is_empty().then_some(1.0),
        Some(number) => number.parse().ok().filter(|d: &f64| *d != 0.0),
    }
}

fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let (above, below): (f64, f64) = (above.parse().ok()?, below.parse().ok()?);
    Some(above / below).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_are_understood() {
        let s = Vec3::new(0.1, 0.2, 0.3);
        for (text, image) in [
            ("x, y, z", [0.1, 0.2, 0.3]),
            ("-Y + 1/2, x+.5, 3/4-z", [0.3, 0.6, 0.45]),
            ("x-y,x,z+1/3", [-0.1, 0.1, 0.3 + 1.0 / 3.0]),
            ("1/2+X,2*y,z", [0.6, 0.4, 0.3]),
        ] {
            let op = Operation::parse(text).unwrap();
            assert!((op.apply(&s) - Vec3::from(image)).norm() < 1e-12, "{text}");
        }
        assert!(Operation::parse("x,y,z").unwrap().is_identity());
        for bad in ["x,y", "x,y,q", "x,x,x", "x,y,z+1/0", "", "x,y,z+", "x,é,z"] {
            let op = Operation::parse(bad);
            assert!(op.is_none(), "{bad}: {op:?}");
        }
    }
}
