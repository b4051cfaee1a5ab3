//! A value that is constant or moves linearly during a stage.
use crate::quantity::{Dimension, Quantity};
use crate::{Schedule, SpecError};
use serde::de::{self, IntoDeserializer, MapAccess, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// A constant, `"300 K"`, or a linear ramp over the stage, `{ from = "300 K", to = "600 K" }`.
pub struct Ramp<D> {
    /// Value at the start of the stage.
    pub from: Quantity<D>,
    /// Value at its end.
    pub to: Quantity<D>,
}

impl<D> Ramp<D> {
    /// A constant.
    pub const fn constant(value: Quantity<D>) -> Self {
        Self { from: value, to: value }
    }
    /// The values, times `factor`.
    pub fn schedule(&self, factor: f64) -> Schedule {
        Schedule { start: self.from.internal() * factor, end: self.to.internal() * factor }
    }
    /// The smaller and the larger value.
    pub fn range(&self) -> (f64, f64) {
        let (a, b) = (self.from.internal(), self.to.internal());
        (a.min(b), a.max(b))
    }
    /// Thermal energies from temperatures, which must be above zero, or not below it when `zero` is allowed.
    pub(super) fn thermal(&self, boltzmann: f64, zero: bool) -> Result<Schedule, SpecError> {
        let (low, _) = self.range();
        if low > 0.0 || (zero && low == 0.0) {
            return Ok(self.schedule(boltzmann));
        }
        let hint = if zero { "temperatures are absolute" } else { "this method needs a temperature above 0" };
        Err(SpecError::new("temperature", format!("the temperature {low} is not positive")).hint(hint))
    }
}

impl<D> Clone for Ramp<D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D> Copy for Ramp<D> {}
impl<D: Dimension> fmt::Debug for Ramp<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.from, self.to)
    }
}

/// The table form of a ramp.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "D: Dimension"))]
struct Table<D> {
    from: Quantity<D>,
    to: Quantity<D>,
}

impl<'de, D: Dimension> Deserialize<'de> for Ramp<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        struct Visitor<D>(PhantomData<D>);
        impl<'de, D: Dimension> de::Visitor<'de> for Visitor<D> {
            type Value = Ramp<D>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let unit = D::UNITS[0];
                let name = D::NAME;
                write!(
                    f,
                    "a {name} such as \"1 {unit}\", or a ramp {{ from = \"1 {unit}\", to = \"2 {unit}\" }}"
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ramp<D>, E> {
                Quantity::deserialize(text.into_deserializer()).map(Ramp::constant)
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Ramp<D>, E> {
                Quantity::deserialize(value.into_deserializer()).map(Ramp::constant)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Ramp<D>, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Ramp<D>, E> {
                self.visit_f64(value as f64)
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Ramp<D>, M::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Ramp { from: table.from, to: table.to })
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<D: Dimension> schemars::JsonSchema for Ramp<D> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{} or ramp", D::NAME).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = Quantity::<D>::json_schema(generator);
        schemars::json_schema!({
            "anyOf": [
                value,
                {
                    "type": "object",
                    "description": "A linear ramp over the stage.",
                    "properties": { "from": value, "to": value },
                    "required": ["from", "to"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
