//! Structure and trajectory formats of Caloron.
//!
//! [`open`] reads any known format frame by frame, [`create`] writes one, [`resume`] continues a file that was
//! interrupted so that it ends up identical, byte for byte, to one written without interruption, and
//! [`convert()`] copies between formats. Extended XYZ is the native format: nothing a [`Frame`] holds is lost in
//! it. `docs/formats.md` lists what every format keeps.
//!
//! In memory a [`Frame`] has the units of the engine (Å, eV, u, e, time Å sqrt(u/eV)); readers and writers
//! convert from and to the units each format defines.
mod api;
mod binary;
mod convert;
mod encode;
mod error;
mod foreign;
mod format;
mod formats;
mod frame;
mod names;
mod orient;
mod text;

pub use api::{
    LammpsUnits, Position, ReadOptions, Reader, Writer, check_writable, create, open, open_as, open_with,
    read_all, resume,
};
pub use convert::{ConvertOptions, Converted, convert};
pub use encode::WriteOptions;
pub use error::{IoError, Place};
pub use format::{Format, Holds};
pub use frame::{Angle, Array, Bond, Column, Frame, Map, Topology, Value};
