import { describePeftMethod, onShapesInTurn, type MethodCase } from '@peft/testing';
import { lora } from './lora.js';

/** The forms after the first on one shape each, by turns; on all with `PEFT_LONG_TESTS=1`. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';

const withoutGradient = /attention\.self\.key\.bias$/;
const allLinear = { targets: 'all-linear', rank: 3 } as const;

/** The second token of the contract's batch: the first sequence calls the adapter, others do not. */
const INVOCATION = 13;
const FORMS: readonly MethodCase<'lora'>[] = [
  { title: 'on every linear layer', options: { ...allLinear, alpha: 5 } },
  { title: 'rank-stabilised', options: { rank: 5, alpha: 3, rankStabilized: true } },
  { title: 'with DoRA', options: { ...allLinear, dora: true }, exactGradient: false },
  { title: 'with a bias of its own', options: { rank: 2, loraBias: true }, on: ['encoder'] },
  {
    title: 'with a bias where the layer has none',
    options: { rank: 2, loraBias: true },
    on: ['decoder'],
    merges: false,
  },
  { title: "with the targets' biases", options: { rank: 2, bias: 'lora_only' } },
  {
    title: 'with all biases',
    options: { rank: 2, bias: 'all' },
    on: ['encoder', 'decoder'],
    withoutGradient,
  },
  { title: 'gaussian', options: { init: 'gaussian' } },
  { title: 'from the singular values (PiSSA)', options: { rank: 2, alpha: 3, init: 'pissa' } },
  {
    title: 'from a fast approximation of them',
    options: { rank: 2, alpha: 3, init: 'pissa_niter_4' },
  },
  { title: 'orthogonal', options: { rank: 4, init: 'orthogonal' }, on: ['decoder'] },
  { title: "from the weight's smallest directions (MiCA)", options: { rank: 2, init: 'mica' } },
  {
    title: 'active after its invocation (aLoRA)',
    options: { rank: 2, invocationTokens: [INVOCATION] },
    on: ['decoder'],
    merges: false,
    mixes: false,
  },
  {
    title: 'with singular values (KaSA)',
    options: { rank: 2, kasa: { beta: 1e-4, gamma: 1e-3 } },
    identityAtStart: false,
  },
  {
    title: 'with a block-diagonal B (BD-LoRA)',
    options: { rank: 2, blockDiagonal: { b: ['query', 'q_proj', '.q'], blocks: 2, strict: false } },
  },
  {
    title: 'with a block-diagonal A (BD-LoRA)',
    options: { rank: 4, blockDiagonal: { a: ['v'], blocks: 2, strict: false } },
  },
  {
    title: 'on blocks that run twice',
    options: {
      rank: 2,
      layerReplication: [
        [0, 2],
        [0, 2],
      ],
    },
    on: ['decoder'],
    identityAtStart: false,
    merges: false,
    changesForm: true,
  },
  {
    title: 'with inputs kept in short (VeLoRA)',
    options: { rank: 2, velora: { groups: 3 } },
    exactGradient: false,
  },
  { title: 'on pools of inputs (QA-LoRA)', options: { rank: 2, alpha: 3, poolSize: 2 } },
  { title: 'from QR (OLoRA)', options: { rank: 2, alpha: 3, init: 'olora' } },
  {
    title: 'for a 4-bit base (LoftQ)',
    options: { rank: 2, alpha: 2, init: 'loftq' },
    identityAtStart: false,
  },
  {
    title: 'from the singular values with DoRA',
    options: { rank: 2, dora: true, init: 'pissa' },
    exactGradient: false,
  },
  { title: 'random on both sides', options: { init: 'random' }, identityAtStart: false },
  {
    title: 'with ranks and strengths by module',
    options: {
      rankPattern: { 'layers?\\.1\\..*': 2, '.*(?:query|q_proj|\\.q)': 4 },
      alphaPattern: { '.*value|.*v_proj|.*\\.v': 3 },
    },
  },
  {
    title: 'on the word embedding',
    options: { rank: 2, targets: { roles: ['embedding.word', 'attention.query'] } },
    on: ['encoder', 'decoder'],
  },
  {
    title: 'on the embeddings of two stacks, which read one table',
    options: { rank: 2, targets: { roles: ['embedding.word', 'attention.query'] } },
    on: ['encoder-decoder'],
    merges: false,
  },
  {
    title: 'with DoRA on the embeddings of two stacks',
    options: { rank: 2, dora: true, targets: ['embed_tokens', 'q'] },
    exactGradient: false,
    on: ['encoder-decoder'],
    merges: false,
  },
  {
    title: 'with token rows of one of two stacks',
    options: { rank: 2, targets: ['q'], trainableTokens: { 'decoder.embed_tokens': [4, 2, 8] } },
    on: ['encoder-decoder'],
    merges: false,
  },
  {
    title: 'with the embeddings of two stacks saved whole',
    options: { rank: 2, modulesToSave: ['embed_tokens'] },
    on: ['encoder-decoder'],
    merges: false,
  },
  {
    title: 'with DoRA on the word embedding',
    options: { rank: 2, dora: true, targets: { roles: ['embedding.word', 'attention.query'] } },
    exactGradient: false,
    on: ['encoder', 'decoder'],
  },
  {
    title: 'with token rows of the output layer',
    options: { rank: 2, trainableTokens: { lm_head: [4, 2] } },
    on: ['decoder'],
  },
  { title: 'with token rows', options: { rank: 2, trainableTokens: [6, 13, 3] } },
  {
    title: 'with modules saved whole',
    options: { rank: 2, modulesToSave: ['embeddings.LayerNorm'] },
    on: ['encoder'],
  },
  { title: 'with dropout, which is off outside training', options: { rank: 2, dropout: 0.4 } },
  {
    title: 'with DoRA and dropout',
    options: { rank: 2, dora: true, dropout: 0.4 },
    exactGradient: false,
  },
  {
    title: 'in one block',
    options: { rank: 2, targets: ['query', 'value'], layersToTransform: 1 },
    on: ['encoder'],
  },
];

describePeftMethod(lora, [{ title: 'by default' }, ...(isLong ? FORMS : onShapesInTurn(FORMS))], {
  badOptions: [
    { options: { rank: 0 }, message: 'lora: rank must be a positive integer, got 0.' },
    { options: { alpha: Number.NaN }, message: 'lora: alpha must be a number > 0, got NaN.' },
    { options: { dropout: 1 }, message: 'lora: dropout must be a number in [0, 1), got 1.' },
    {
      options: { bias: 'some' },
      message: 'lora: bias must be one of none, all, lora_only, got "some".',
    },
    { options: { init: 'gausian' }, message: 'Did you mean "gaussian"' },
    {
      options: { invocationTokens: [] },
      message: 'lora: invocationTokens must be a list of token ids, got [].',
    },
    {
      options: { rankPattern: null as never },
      message: 'lora: rankPattern must be an object of values by names, got null.',
    },
    {
      options: { invocationTokens: [3], dora: true },
      message: 'lora: invocationTokens goes with plain LoRA alone, got dora, too.',
    },
    {
      options: { kasa: { beta: -1, gamma: 0 } },
      message: 'lora: kasa.beta must not be negative, got -1.',
    },
    {
      options: { blockDiagonal: { blocks: 0 } },
      message: 'lora: blockDiagonal.blocks must be a positive integer, got 0.',
    },
    {
      options: { poolSize: 2, dora: true },
      message: 'lora: poolSize goes with plain LoRA alone, got dora, too.',
    },
    {
      options: { dora: true, loraBias: true },
      message: 'lora: dora and loraBias exclude each other',
    },
    {
      options: { rankPattern: { q: 0 } },
      message: 'lora: rankPattern["q"] must be a positive integer, got 0.',
    },
    { options: { rankPattern: { '(': 2 } }, message: 'is not a regular expression' },
    {
      options: { trainableTokens: [-1] },
      message: 'lora: trainableTokens must be a list of token ids',
    },
  ],
});
