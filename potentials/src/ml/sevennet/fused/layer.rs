//! The weights of a layer as the kernels want them: folded, transposed where derivatives need it.
use crate::ml::fused::convolution::Path;
use crate::ml::fused::{Both, pad};
use crate::ml::kernels::Aligned;
use crate::ml::radial::Dense;
use crate::ml::sevennet::model::{Block, Layer, Model};
use crate::simd::Real;

/// Where the numbers of one degree are.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Number of components, 2l + 1.
    pub width: usize,
    /// Channels, filled up to whole vectors.
    pub padded: usize,
    /// Numbers from one component to the next: not a power of two, which would put all rows into the same places of the cache.
    pub stride: usize,
    /// Components of a node before these.
    pub row: usize,
    /// Numbers of a node before these.
    pub offset: usize,
}

impl Part {
    /// Where component 0 of a node starts when the degrees of `nodes` nodes follow each other.
    pub fn at(&self, nodes: usize, node: usize) -> usize {
        nodes * self.offset + node * self.width * self.stride
    }
}

/// Features by degree.
#[derive(Clone, Debug)]
pub struct Layout {
    /// By degree, ascending.
    pub parts: Vec<Part>,
    /// Numbers of a node.
    pub numbers: usize,
}

impl Layout {
    fn new(blocks: impl Iterator<Item = Block>) -> Self {
        let mut this = Self { parts: Vec::new(), numbers: 0 };
        let mut row = 0;
        for b in blocks {
            let (width, padded) = (2 * b.l + 1, pad(b.channels));
            let stride = padded + 16;
            this.parts.push(Part { width, padded, stride, row, offset: this.numbers });
            row += width;
            this.numbers += width * stride;
        }
        this
    }
}

/// A layer.
pub struct Weights<T: Real> {
    /// Features that come in.
    pub input: Layout,
    /// Sums over neighbours of all paths to each degree side by side.
    pub sums: Layout,
    /// What enters the gate. In the row of the scalars the gates of each degree start at whole vectors.
    pub gate: Layout,
    /// Features that go out.
    pub output: Layout,
    /// Where the gates of each output degree start in the row of the scalars; of the scalars themselves 0.
    pub gates: Vec<usize>,
    /// Paths.
    pub paths: Vec<Path<T>>,
    /// Place in the sums of each path: the degree, and the first channel.
    pub places: Vec<[usize; 2]>,
    /// Components that come in, for each vector of channels.
    pub rows: Vec<usize>,
    /// From the sums to the gate, by degree; `None` for a degree without paths.
    pub mix: Vec<Option<Both<T>>>,
    /// From the features that come in to the gate, by degree of the gate: place of the input. Empty in the first layer.
    pub skip: Vec<Option<(usize, Both<T>)>>,
    /// What is added to the scalars of the gate: one row, or one for each species in the first layer.
    pub constants: Vec<Aligned<T>>,
    /// Mixing of the features that come in before they are sent. Empty in the first layer, where they are tabulated.
    pub up: Vec<Both<T>>,
    /// What is added to the scalars that are sent.
    pub up_constant: Option<Aligned<T>>,
}

/// A row of numbers with an end that is zero.
fn row<T: Real>(values: &[f64], stride: usize) -> Aligned<T> {
    let mut row = Aligned::zeros(stride);
    for (to, v) in row.iter_mut().zip(values) {
        *to = T::from_f64(*v);
    }
    row
}

/// The scalars of every species before the first layer.
pub fn embedded(model: &Model, element: usize, modality: usize) -> Dense {
    let c = model.embedding.outputs;
    let mut values = model.embedding.values[element * c..(element + 1) * c].to_vec();
    if let Some(constants) = model.embedding_constants.get(modality) {
        values.iter_mut().zip(constants).for_each(|(v, c)| *v += c);
    }
    Dense { inputs: 1, outputs: c, values }
}

impl<T: Real> Weights<T> {
    /// Layer `t` for species whose elements are `of_species`.
    pub fn new(model: &Model, t: usize, of_species: &[usize], modality: usize) -> Self {
        let layer: &Layer = &model.layers[t];
        let input = Layout::new(layer.input.iter().copied());
        let output = Layout::new(layer.output.iter().copied());
        // columns of the scalars of the gate: scalars, and the gates of each degree
        let mut gates = vec![0];
        let mut columns: Vec<usize> = (0..layer.scalars()).collect();
        let mut end = pad(layer.scalars());
        for b in &layer.output[1..] {
            gates.push(end);
            columns.extend(end..end + b.channels);
            end += pad(b.channels);
        }
        let blocks =
            layer.output.iter().map(|b| Block { l: b.l, channels: if b.l == 0 { end } else { b.channels } });
        let gate = Layout::new(blocks.clone());
        // puts the outputs of a matrix to a degree of the gate where they belong
        let place = |k: usize, w: &Dense| {
            if k > 0 {
                return w.clone();
            }
            let mut values = vec![0.0; w.inputs * end];
            for i in 0..w.inputs {
                for (o, column) in columns.iter().enumerate() {
                    values[i * end + column] = w.at(i, o);
                }
            }
            Dense { inputs: w.inputs, outputs: end, values }
        };
        let wide = |p: &crate::ml::sevennet::model::ConvolutionPath| pad(p.linear.inputs);
        let to = |l: usize| layer.paths.iter().filter(move |p| p.degrees[2] == l);
        let sums =
            Layout::new(layer.output.iter().map(|b| Block { l: b.l, channels: to(b.l).map(wide).sum() }));
        let (mut paths, mut places) = (Vec::new(), Vec::new());
        let mut filled = vec![0; layer.output.len()];
        for p in &layer.paths {
            let degree = layer.output.iter().position(|b| b.l == p.degrees[2]).unwrap_or(0);
            let part = input.parts[p.input];
            paths.push(Path {
                degrees: p.degrees,
                row: part.row,
                offset: part.offset,
                stride: part.stride,
                sums: sums.parts[degree].stride,
                chunks: part.padded / T::LANES,
                coupling: p.coupling.iter().map(|(m, v)| (m.map(|m| m as u8), T::from_f64(*v))).collect(),
            });
            places.push([degree, filled[degree]]);
            filled[degree] += wide(p);
        }
        let mix = layer.output.iter().enumerate().map(|(k, b)| {
            let mut all = Dense { inputs: 0, outputs: gate.parts[k].padded, values: Vec::new() };
            if k > 0 {
                all.outputs = b.channels;
            }
            for p in to(b.l) {
                let w = place(k, &p.linear);
                all.inputs += wide(p);
                all.values.extend(&w.values);
                all.values.resize(all.inputs * all.outputs, 0.0);
            }
            (all.inputs > 0).then(|| Both::new(&all))
        });
        let mix = mix.collect();
        let chunks = input.parts.iter().map(|p| p.padded / T::LANES).max().unwrap_or(0);
        let reach = |chunk: usize| {
            let used = input.parts.iter().filter(|p| chunk < p.padded / T::LANES);
            used.map(|p| p.row + p.width).max().unwrap_or(0)
        };
        let own =
            layer.constants.get(modality).map(|c| Dense { inputs: 1, outputs: c.len(), values: c.clone() });
        let own = own.map(|c| place(0, &c).values).unwrap_or_default();
        let stride = gate.parts[0].stride;
        let constants = if t == 0 {
            let of = |z: &usize| {
                let mut values = match &layer.skip[0] {
                    Some(w) => place(0, &embedded(model, *z, modality).times(w)).values,
                    None => vec![0.0; end],
                };
                values.iter_mut().zip(&own).for_each(|(v, c)| *v += c);
                row(&values, stride)
            };
            of_species.iter().map(of).collect()
        } else {
            vec![row(&own, stride)]
        };
        let skip = layer.skip.iter().enumerate().filter(|_| t > 0).map(|(k, w)| {
            let from = layer.input.iter().position(|b| b.l == layer.output[k].l)?;
            Some((from, Both::new(&place(k, w.as_ref()?))))
        });
        Self {
            skip: skip.collect(),
            rows: (0..chunks).map(reach).collect(),
            up: if t > 0 { layer.up.iter().map(Both::new).collect() } else { Vec::new() },
            up_constant: layer.up_constants.get(modality).map(|c| row(c, input.parts[0].stride)),
            input,
            sums,
            gate,
            output,
            gates,
            paths,
            places,
            mix,
            constants,
        }
    }
}
