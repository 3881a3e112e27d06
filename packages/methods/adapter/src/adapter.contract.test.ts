import { describePeftMethod, onShapesInTurn, type MethodCase } from '@peft/testing';
import { adapter } from './adapter.js';
import { NAMED_ADAPTERS } from './named-configs.js';

/** The forms after the first on one shape each, by turns; on all with `PEFT_LONG_TESTS=1`. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const SMALL = { reductionFactor: 3 };
const NOT_AT_START = { identityAtStart: false, merges: false, mixes: false } as const;

const FORMS: readonly MethodCase<'adapter'>[] = [
  { title: "as Houlsby's", options: { ...NAMED_ADAPTERS['houlsby'], ...SMALL }, ...NOT_AT_START },
  {
    title: 'parallel',
    options: { ...NAMED_ADAPTERS['parallel'], ...SMALL },
    ...NOT_AT_START,
    identityAtStart: true,
  },
  {
    title: 'parallel with a learned scale and a gate',
    options: { ...NAMED_ADAPTERS['scaled_parallel'], ...SMALL, useGating: true },
    ...NOT_AT_START,
    identityAtStart: true,
  },
  {
    title: 'with norms of its own',
    options: {
      ...SMALL,
      lnBefore: true,
      lnAfter: true,
      adapterResidualBeforeLn: true,
      residualBeforeLn: false,
      nonLinearity: 'gelu',
    },
    ...NOT_AT_START,
  },
  {
    title: 'compacter',
    options: { ...NAMED_ADAPTERS['compacter'], ...SMALL, phmDim: 2 },
    ...NOT_AT_START,
  },
  {
    title: 'compacter with everything shared and factorised',
    options: {
      ...NAMED_ADAPTERS['compacter'],
      ...SMALL,
      phmDim: 2,
      sharedWPhm: true,
      factorizedPhmRule: true,
      phmCInit: 'uniform',
    },
    ...NOT_AT_START,
  },
  {
    title: 'compacter with nothing shared or factorised',
    options: {
      ...NAMED_ADAPTERS['compacter++'],
      ...SMALL,
      phmDim: 2,
      sharedPhmRule: false,
      factorizedPhmW: false,
      phmBias: false,
    },
    ...NOT_AT_START,
  },
  {
    title: 'invertible',
    options: { ...NAMED_ADAPTERS['seq_bn_inv'], ...SMALL },
    ...NOT_AT_START,
  },
  {
    title: 'behind cross attention, not in block 0',
    options: {
      ...SMALL,
      crossAdapter: true,
      leaveOut: [0],
      reductionFactor: { '1': 4, default: 3 },
    },
    ...NOT_AT_START,
  },
  {
    title: 'AdapterPlus',
    options: { ...NAMED_ADAPTERS['adapter_plus'], ...SMALL },
    ...NOT_AT_START,
  },
];

describePeftMethod(
  adapter,
  [
    { title: 'by default', options: SMALL, ...NOT_AT_START },
    ...(isLong ? FORMS : onShapesInTurn(FORMS)),
  ],
  {
    badOptions: [
      {
        options: { reductionFactor: 0 },
        message: 'adapter: reductionFactor must be a number > 0, got 0.',
      },
      {
        options: { reductionFactor: { first: 2 } },
        message: 'adapter: reductionFactor must be by block number and `default`',
      },
      {
        options: { scaling: 'lernt' },
        message: /scaling must be one of learned, channel, got "lernt"/,
      },
      {
        options: { nonLinearity: 'rellu' },
        message: 'activation: "rellu" is not a known activation function',
      },
      {
        options: { invAdapter: 'glow' },
        message: 'adapter: invAdapter must be one of nice, got "glow".',
      },
      { options: { phmLayer: true, initWeights: 'houlsby' }, message: 'does not go with phmLayer' },
      {
        options: { phmLayer: true, sharedWPhm: true, reductionFactor: { default: 4 } },
        message: 'sharedWPhm needs one reductionFactor',
      },
      {
        options: { leaveOut: [-1] },
        message: 'adapter: leaveOut must be a list of block numbers, got [-1].',
      },
    ],
  },
);
