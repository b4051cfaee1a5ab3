//! The interactions of Caloron.
