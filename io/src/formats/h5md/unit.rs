//! Units of H5MD: products of symbols with exponents, `nm ps-1`, `kJ mol-1 nm-1`, also `kcal/mol/Angstrom`.
use crate::error::Fault;
use caloron_engine::quantity::{Dimension, Quantity};

/// One `unit` in internal units, for the quantity `name`.
pub(super) fn factor<D: Dimension>(unit: &str, name: &str) -> Result<f64, Fault> {
    let value: Result<Quantity<D>, _> = format!("1 {}", spelled(unit)).parse();
    value.map(Quantity::internal).map_err(|e| Fault::new(format!("the unit {unit:?} of `{name}`: {e}")))
}

/// The unit as input files spell it: exponents behind `^`.
fn spelled(unit: &str) -> String {
    let mut out = String::new();
    for c in unit.replace("**", "^").trim().chars() {
        if matches!(c, '+' | '-') && out.ends_with(char::is_alphabetic) {
            out.push('^');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::quantity::{Force, Length, Velocity};
    use caloron_engine::units::{AVOGADRO, ELEMENTARY_CHARGE, FEMTOSECOND};

    #[test]
    fn products_and_quotients_are_read() {
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-14, "{a} {b}");
        close(factor::<Length>("nm", "x").unwrap(), 10.0);
        close(factor::<Length>("Angstrom", "x").unwrap(), 1.0);
        let speed = 1e-2 / FEMTOSECOND;
        for text in ["nm ps-1", "nm/ps", "nm ps**-1", "nm+1 ps^-1", "nm*ps-1"] {
            close(factor::<Velocity>(text, "v").unwrap(), speed);
        }
        let kcal = 4184.0 / ELEMENTARY_CHARGE / AVOGADRO;
        for text in ["kcal/mol/Angstrom", "kcal mol-1 Angstrom-1"] {
            close(factor::<Force>(text, "f").unwrap(), kcal);
        }
    }

    #[test]
    fn other_units_are_named() {
        let message = |r: Result<f64, Fault>| r.unwrap_err().message;
        let unknown = message(factor::<Length>("furlong", "position"));
        assert!(unknown.contains("`furlong`") && unknown.contains("`position`"), "{unknown}");
        let wrong = message(factor::<Velocity>("nm", "velocity"));
        assert!(wrong.contains("`nm` is not a unit of velocity"), "{wrong}");
    }
}
