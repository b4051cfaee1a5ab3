//! Structure and trajectory formats of Caloron.
