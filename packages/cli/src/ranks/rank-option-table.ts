/** The options of `peft fit` that have to do with several processes. */
import type { FitOption } from '../options/option-kinds.js';

export const RANK_OPTIONS = {
  ranks: {
    flags: '--ranks <number>',
    kind: 'positiveInteger',
    help: 'share each step among so many processes, started by mpirun: the same bytes, sooner',
    group: 'Run',
    isFlagOnly: true,
  },
  hosts: {
    flags: '--hosts <list>',
    kind: 'text',
    help: 'machines of the ranks, with how many each has: a:2,b:2 (default: all here)',
    group: 'Run',
    isFlagOnly: true,
  },
  pipeline: {
    flags: '--pipeline <stages>',
    kind: 'positiveInteger',
    help:
      'cut the model into so many stages, each on a rank of its own, for one that no machine holds; ' +
      'with --ranks, a multiple of it',
    group: 'Run',
    isFlagOnly: true,
  },
  stageBits: {
    flags: '--stage-bits <number>',
    kind: 'text',
    help: 'width of the numbers that go from stage to stage: 32 (default), or 16, which rounds them',
    group: 'Run',
    choices: ['16', '32'],
    isFlagOnly: true,
  },
  shardBase: {
    flags: '--shard-base',
    kind: 'boolean',
    help:
      'each rank keeps its part of the frozen blocks, and gathers one while the one before computes: ' +
      'for a model that no machine holds, over a fast link',
    group: 'Run',
    isFlagOnly: true,
  },
} as const satisfies Readonly<Record<string, FitOption>>;
