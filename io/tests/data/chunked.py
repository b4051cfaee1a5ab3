"""Writes chunked.h5md, an H5MD file as h5py makes them: old HDF5 structures, chunked and compressed values, an enumeration."""
import h5py
import numpy as np

frames, atoms = 6, 3
x = 0.25 * np.arange(frames * atoms * 3).reshape(frames, atoms, 3)
with h5py.File("chunked.h5md", "w", libver="earliest") as file:
    file.create_group("h5md").attrs["version"] = [1, 1]
    group = file.create_group("particles/all")
    position = group.create_group("position")
    position.create_dataset("value", data=x, chunks=(4, atoms, 3), compression="gzip", shuffle=True, maxshape=(None, atoms, 3))
    position["value"].attrs["unit"] = "nm"
    position["step"] = 10
    position["step"].attrs["offset"] = 100
    position["time"] = 0.5
    position["time"].attrs.update({"offset": 2.0, "unit": "ps"})
    velocity = group.create_group("velocity")
    velocity.create_dataset("value", data=-x[::2].astype(">f4"), chunks=(1, atoms, 3), fletcher32=True)
    velocity["value"].attrs["unit"] = np.bytes_("nm ps-1")
    velocity["step"] = np.arange(100, 160, 20)
    kinds = h5py.enum_dtype({"O": 3, "H": -2}, basetype="i2")
    group.create_dataset("species", data=np.array([3, -2, -2], "i2"), dtype=kinds)
    box = group.create_group("box")
    box.attrs["dimension"] = 3
    box.attrs.create("boundary", ["periodic", "none", "periodic"], dtype=h5py.string_dtype())
    box["edges"] = np.array([3.0, 4.0, 5.0])
    box["edges"].attrs["unit"] = "nm"
