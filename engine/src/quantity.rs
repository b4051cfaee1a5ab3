//! Values with units: `"0.5 fs"` becomes a number in internal units, checked against its dimension.
use crate::units::{UNITS, UnitSystem};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, cell::Cell, fmt, marker::PhantomData, str::FromStr};

/// Exponents of length, mass, time, charge and temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dim([i8; 5]);

impl Dim {
    /// A pure number.
    pub const NONE: Self = Self([0; 5]);
    /// Length.
    pub const LENGTH: Self = Self([1, 0, 0, 0, 0]);
    /// Mass.
    pub const MASS: Self = Self([0, 1, 0, 0, 0]);
    /// Time.
    pub const TIME: Self = Self([0, 0, 1, 0, 0]);
    /// Charge.
    pub const CHARGE: Self = Self([0, 0, 0, 1, 0]);
    /// Temperature.
    pub const TEMPERATURE: Self = Self([0, 0, 0, 0, 1]);
    /// Inverse time.
    pub const RATE: Self = Self::NONE.over(Self::TIME);
    /// Energy.
    pub const ENERGY: Self = Self([2, 1, -2, 0, 0]);
    /// Force.
    pub const FORCE: Self = Self::ENERGY.over(Self::LENGTH);
    /// Pressure.
    pub const PRESSURE: Self = Self([-1, 1, -2, 0, 0]);

    /// Dimension of a quotient.
    pub const fn over(self, other: Self) -> Self {
        self.times(other.power(-1))
    }
    /// Dimension of a product.
    pub const fn times(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]])
    }
    /// Dimension of an integer power.
    pub const fn power(self, n: i8) -> Self {
        let a = self.0;
        Self([a[0] * n, a[1] * n, a[2] * n, a[3] * n, a[4] * n])
    }
}

/// A kind of physical value: its name for messages, its dimension and example units.
pub trait Dimension: 'static {
    /// Name used in messages and in the reference.
    const NAME: &'static str;
    /// Exponents.
    const DIM: Dim;
    /// Units to suggest, the first as the example.
    const UNITS: &'static [&'static str];
}

macro_rules! dimensions {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $dim:expr, [$($unit:literal),+];)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;
        impl Dimension for $name {
            const NAME: &'static str = $text;
            const DIM: Dim = $dim;
            const UNITS: &'static [&'static str] = &[$($unit),+];
        }
    )+};
}

dimensions! {
    /// Length.
    Length, "length", Dim::LENGTH, ["Å", "nm", "pm", "bohr"];
    /// Inverse length.
    InverseLength, "inverse length", Dim::LENGTH.power(-1), ["1/Å", "1/nm"];
    /// Time.
    Time, "time", Dim::TIME, ["fs", "ps", "ns"];
    /// Inverse time.
    Rate, "rate", Dim::RATE, ["1/ps", "1/fs", "THz"];
    /// Mass.
    Mass, "mass", Dim::MASS, ["u", "g/mol", "kg"];
    /// Temperature, K.
    Temperature, "temperature", Dim::TEMPERATURE, ["K"];
    /// Energy.
    Energy, "energy", Dim::ENERGY, ["eV", "meV", "kJ/mol", "kcal/mol", "Ha", "Ry", "kB K"];
    /// Force.
    Force, "force", Dim::FORCE, ["eV/Å", "kJ/mol/nm", "kcal/mol/Å", "pN"];
    /// Pressure or stress.
    Pressure, "pressure", Dim::PRESSURE, ["bar", "atm", "MPa", "GPa", "eV/Å^3"];
    /// Inverse pressure.
    Compressibility, "compressibility", Dim::PRESSURE.power(-1), ["1/bar", "1/GPa"];
    /// Velocity.
    Velocity, "velocity", Dim::LENGTH.over(Dim::TIME), ["Å/ps", "Å/fs", "nm/ps", "m/s"];
    /// Acceleration.
    Acceleration, "acceleration", Dim::LENGTH.over(Dim::TIME.power(2)), ["Å/ps^2", "m/s^2"];
    /// Harmonic force constant.
    ForceConstant, "force constant", Dim::FORCE.over(Dim::LENGTH), ["eV/Å^2", "kJ/mol/nm^2", "kcal/mol/Å^2", "N/m"];
    /// Charge.
    Charge, "charge", Dim::CHARGE, ["e"];
    /// Electric field.
    ElectricField, "electric field", Dim::FORCE.over(Dim::CHARGE), ["V/Å", "V/nm"];
    /// Mass density.
    Density, "density", Dim::MASS.over(Dim::LENGTH.power(3)), ["g/cm^3", "kg/m^3", "u/Å^3"];
    /// Number density.
    NumberDensity, "number density", Dim::LENGTH.power(-3), ["1/Å^3", "1/nm^3", "mol/L"];
    /// Angle; stored in radians.
    Angle, "angle", Dim::NONE, ["deg", "rad"];
    /// Energy times length, the unit of Coulomb-like prefactors.
    EnergyLength, "energy times length", Dim::ENERGY.times(Dim::LENGTH), ["eV Å", "kJ/mol nm", "kcal/mol Å"];
    /// Energy times length to the sixth power, the unit of dispersion coefficients.
    EnergyLength6, "energy times length^6", Dim::ENERGY.times(Dim::LENGTH.power(6)), ["eV Å^6", "kJ/mol nm^6"];
    /// Energy times length to the eighth power.
    EnergyLength8, "energy times length^8", Dim::ENERGY.times(Dim::LENGTH.power(8)), ["eV Å^8"];
}

/// A value of dimension `D` in internal units (temperatures in K, or reduced).
pub struct Quantity<D>(f64, PhantomData<fn() -> D>);

impl<D> Quantity<D> {
    /// From a value that is already in internal units.
    pub const fn new(internal: f64) -> Self {
        Self(internal, PhantomData)
    }
    /// The value in internal units.
    pub const fn internal(self) -> f64 {
        self.0
    }
}
impl<D> Clone for Quantity<D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D> Copy for Quantity<D> {}
impl<D> PartialEq for Quantity<D> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<D: Dimension> fmt::Debug for Quantity<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", D::NAME, self.0)
    }
}

/// Why a text is not a value of the wanted dimension.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// A number alone.
    #[error("`{text}` has no unit: write for example `\"{text} {example}\"`")]
    NoUnit {
        /// What was written.
        text: String,
        /// A unit that fits.
        example: &'static str,
    },
    /// A symbol that is no unit.
    #[error("`{unit}` is not a known unit: a {dimension} is written in {known}{nearest}")]
    UnknownUnit {
        /// The symbol.
        unit: String,
        /// What was expected.
        dimension: &'static str,
        /// Units that fit.
        known: String,
        /// ` (did you mean ...?)` or empty.
        nearest: String,
    },
    /// A unit of another dimension.
    #[error("`{unit}` is not a unit of {dimension}: use {known}")]
    WrongDimension {
        /// The unit expression.
        unit: String,
        /// What was expected.
        dimension: &'static str,
        /// Units that fit.
        known: String,
    },
    /// No number in front.
    #[error("`{text}` is not a {dimension}: expected a number and a unit, for example `\"1 {example}\"`")]
    NotANumber {
        /// What was written.
        text: String,
        /// What was expected.
        dimension: &'static str,
        /// A unit that fits.
        example: &'static str,
    },
    /// Infinite or NaN.
    #[error("`{text}` is not finite")]
    NotFinite {
        /// What was written.
        text: String,
    },
    /// A unit in an input with reduced units.
    #[error("`{text}` carries a unit, but `units = \"lj\"` selects reduced units: write the plain number")]
    UnitInReduced {
        /// What was written.
        text: String,
    },
}

/// Splits "1.5e-3 eV/Å^3" into its number and its unit expression.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    if let Some(k) = text.find(char::is_whitespace) {
        return (&text[..k], text[k..].trim());
    }
    // "300K": the longest prefix that is a number
    let mut ends = text.char_indices().map(|(k, _)| k).chain([text.len()]);
    let end = ends.rfind(|&k| text[..k].parse::<f64>().is_ok()).unwrap_or(0);
    (&text[..end], &text[end..])
}

/// Value and dimension of a unit expression such as `kJ/mol/nm^2` or `eV Å^6`.
fn unit_expression(text: &str) -> Result<(f64, Dim), String> {
    let (mut value, mut dim, mut sign) = (1.0, Dim::NONE, 1i8);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['/', '*', '·', ' ']).unwrap_or(rest.len());
        let word = &rest[..end];
        if !word.is_empty() && word != "1" {
            let (symbol, exponent) = match word.split_once('^') {
                Some((s, e)) => (s, e.parse::<i8>().ok().filter(|e| e.abs() <= 12).ok_or(word)?),
                None => match word.chars().last() {
                    Some('²') => (word.trim_end_matches('²'), 2),
                    Some('³') => (word.trim_end_matches('³'), 3),
                    _ => (word, 1),
                },
            };
            let unit = UNITS.iter().find(|u| u.symbols.contains(&symbol)).ok_or(symbol)?;
            let power = exponent * sign;
            value *= unit.value.powi(power.into());
            dim = dim.times(unit.dim.power(power));
        }
        let mut tail = rest[end..].chars();
        match tail.next() {
            Some('/') => sign = -1,
            Some(_) => sign = 1,
            None => {}
        }
        rest = tail.as_str();
    }
    Ok((value, dim))
}

/// Reads `text` as a value of dimension `D`, in internal units.
fn parse<D: Dimension>(text: &str) -> Result<f64, QuantityError> {
    let known = || D::UNITS.join(", ");
    let (number, unit) = split(text);
    let value: f64 = number.parse().map_err(|_| QuantityError::NotANumber {
        text: text.to_owned(),
        dimension: D::NAME,
        example: D::UNITS[0],
    })?;
    if !value.is_finite() {
        return Err(QuantityError::NotFinite { text: text.to_owned() });
    }
    if unit.is_empty() {
        return Err(QuantityError::NoUnit { text: text.to_owned(), example: D::UNITS[0] });
    }
    match unit_expression(unit) {
        Ok((factor, dim)) if dim == D::DIM => Ok(value * factor),
        Ok(_) => {
            Err(QuantityError::WrongDimension { unit: unit.to_owned(), dimension: D::NAME, known: known() })
        }
        Err(symbol) => {
            let symbols = D::UNITS.iter().copied();
            let nearest = crate::error::nearest(&symbol, symbols);
            Err(QuantityError::UnknownUnit {
                unit: symbol,
                dimension: D::NAME,
                known: known(),
                nearest: nearest.map_or(String::new(), |n| format!(" (did you mean `{n}`?)")),
            })
        }
    }
}

impl<D: Dimension> FromStr for Quantity<D> {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse::<D>(text).map(Self::new)
    }
}

thread_local! {
    static READING: Cell<UnitSystem> = const { Cell::new(UnitSystem::Physical) };
}

/// Runs `read` with quantities read in the given unit system (serde has no other way to hand it down).
pub fn reading_in<T>(units: UnitSystem, read: impl FnOnce() -> T) -> T {
    let before = READING.replace(units);
    let result = read();
    READING.set(before);
    result
}

impl<'de, D: Dimension> Deserialize<'de> for Quantity<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        struct Visitor<D>(PhantomData<D>);
        impl<D: Dimension> Visitor<D> {
            fn plain<E: de::Error>(value: f64) -> Result<Quantity<D>, E> {
                if !value.is_finite() {
                    return Err(E::custom(QuantityError::NotFinite { text: value.to_string() }));
                }
                match READING.get() {
                    UnitSystem::Lj => Ok(Quantity::new(value)),
                    UnitSystem::Physical => Err(E::custom(QuantityError::NoUnit {
                        text: value.to_string(),
                        example: D::UNITS[0],
                    })),
                }
            }
        }
        impl<D: Dimension> de::Visitor<'_> for Visitor<D> {
            type Value = Quantity<D>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a {} with its unit, for example \"1 {}\"", D::NAME, D::UNITS[0])
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match READING.get() {
                    UnitSystem::Physical => text.parse().map_err(E::custom),
                    UnitSystem::Lj if D::DIM == Dim::NONE => text.parse().map_err(E::custom),
                    UnitSystem::Lj => Err(E::custom(QuantityError::UnitInReduced { text: text.to_owned() })),
                }
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                Self::plain(value)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Self::plain(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Self::plain(value as f64)
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<D: Dimension> schemars::JsonSchema for Quantity<D> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        D::NAME.into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let text = format!(
            "A {} with its unit ({}); a plain number with `units = \"lj\"`.",
            D::NAME,
            D::UNITS.join(", ")
        );
        schemars::json_schema!({
            "type": ["string", "number"],
            "title": D::NAME,
            "description": text,
            "examples": [format!("1 {}", D::UNITS[0])],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{AVOGADRO, BAR, BOLTZMANN, ELEMENTARY_CHARGE, FEMTOSECOND};

    #[test]
    fn units_become_internal() {
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
        close("0.5 fs".parse::<Quantity<Time>>().unwrap().internal(), 0.5 * FEMTOSECOND);
        close("2fs".parse::<Quantity<Time>>().unwrap().internal(), 2.0 * FEMTOSECOND);
        close("1 bar".parse::<Quantity<Pressure>>().unwrap().internal(), BAR);
        close("1 eV/Å^3".parse::<Quantity<Pressure>>().unwrap().internal(), 1.0);
        close("160.2176634 GPa".parse::<Quantity<Pressure>>().unwrap().internal(), 1.0);
        let kj = 1e3 / ELEMENTARY_CHARGE / AVOGADRO;
        close("1 kJ/mol".parse::<Quantity<Energy>>().unwrap().internal(), kj);
        close("2 kJ/mol/nm^2".parse::<Quantity<ForceConstant>>().unwrap().internal(), 2.0 * kj / 100.0);
        close("120 kB K".parse::<Quantity<Energy>>().unwrap().internal(), 120.0 * BOLTZMANN);
        close("39.948 g/mol".parse::<Quantity<Mass>>().unwrap().internal(), 39.948);
        close("1 m/s".parse::<Quantity<Velocity>>().unwrap().internal(), 1e10 / (1e15 * FEMTOSECOND));
        close("90 deg".parse::<Quantity<Angle>>().unwrap().internal(), std::f64::consts::FRAC_PI_2);
        close("27.88 eV Å^6".parse::<Quantity<EnergyLength6>>().unwrap().internal(), 27.88);
        close("1 g/cm^3".parse::<Quantity<Density>>().unwrap().internal(), 0.602_214_076_2);
    }

    #[test]
    fn wrong_quantities_say_what_is_wrong() {
        for (text, message) in [
            ("0.5", "`0.5` has no unit: write for example `\"0.5 fs\"`"),
            ("300 K", "`K` is not a unit of time: use fs, ps, ns"),
            ("2 fz", "`fz` is not a known unit: a time is written in fs, ps, ns (did you mean `fs`?)"),
            ("", "`` is not a time: expected a number and a unit, for example `\"1 fs\"`"),
            ("inf fs", "`inf fs` is not finite"),
        ] {
            assert_eq!(text.parse::<Quantity<Time>>().unwrap_err().to_string(), message);
        }
    }
}
