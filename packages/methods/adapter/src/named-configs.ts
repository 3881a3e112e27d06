/**
 * The options of the forms of bottleneck adapters that have names, where they differ from
 * `seq_bn`'s.
 */
import type { BottleneckConfig } from './bottleneck-config.js';

const DOUBLE: Partial<BottleneckConfig> = {
  mhAdapter: true,
  outputAdapter: true,
  nonLinearity: 'swish',
  originalLnBefore: false,
};
const PARALLEL: Partial<BottleneckConfig> = {
  isParallel: true,
  reductionFactor: 2,
  scaling: 4,
  initWeights: 'mam_adapter',
  originalLnBefore: false,
};
const INVERTIBLE: Partial<BottleneckConfig> = { invAdapter: 'nice', invAdapterReductionFactor: 2 };
const KRONECKER: Partial<BottleneckConfig> = {
  phmLayer: true,
  reductionFactor: 32,
  nonLinearity: 'gelu',
};
const PLUS: Partial<BottleneckConfig> = {
  reductionFactor: 96,
  nonLinearity: 'gelu',
  originalLnAfter: false,
  residualBeforeLn: false,
  stochasticDepth: 0.1,
  initWeights: 'houlsby',
  scaling: 'channel',
};

/** By adapter-hub's names, old and new. */
export const NAMED_ADAPTERS: Readonly<Record<string, Partial<BottleneckConfig>>> = Object.freeze({
  seq_bn: {},
  pfeiffer: {},
  double_seq_bn: DOUBLE,
  houlsby: DOUBLE,
  par_bn: PARALLEL,
  parallel: PARALLEL,
  scaled_par_bn: { ...PARALLEL, scaling: 'learned' },
  scaled_parallel: { ...PARALLEL, scaling: 'learned' },
  seq_bn_inv: INVERTIBLE,
  'pfeiffer+inv': INVERTIBLE,
  double_seq_bn_inv: { ...DOUBLE, ...INVERTIBLE },
  'houlsby+inv': { ...DOUBLE, ...INVERTIBLE },
  'compacter++': KRONECKER,
  compacter: { ...DOUBLE, ...KRONECKER },
  adapter_plus: PLUS,
});
