/** Fits whose model lies on several ranks, in stages or in parts of each block. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mpich } from '../../mpi/test/mpirun.js';
import { peft } from './fake-terminal.js';
import { isBaseShared, pipelineOf } from '../src/ranks/pipeline-of.js';
import { command, completed, program, start } from './processes.js';
import { adapterHash, canRunRanks, PROCESSES_MS, rankFit } from './rank-processes.js';
import { fixture, NOUNS, tinyLlama, type TinyLlama } from './tiny-llama.js';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';
if (!canRunRanks)
  console.log('not tried: fits in stages, which need Open MPI and the addon of @peft/mpi');

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

const fit = (output: string, ...further: string[]): string[] =>
  rankFit(llama, output, '--method', 'lora', '--quiet', ...further);

const adapterOf = (output: string): string => adapterHash(join(llama.folder, output));

const scoreOf = (out: string): number =>
  (JSON.parse(out) as { validationScore: number }).validationScore;

describe('flags of a pipeline', () => {
  it('go together, and with the number of ranks', () => {
    expect(pipelineOf({}, 2)).toBeUndefined();
    expect(pipelineOf({ pipeline: 2 }, 4)).toEqual({ stages: 2, bits: 32 });
    expect(pipelineOf({ pipeline: 2, stageBits: '16' }, 2)).toEqual({ stages: 2, bits: 16 });
    expect(() => pipelineOf({ stageBits: '16' }, 2)).toThrow(
      'fit: --stage-bits is given without --pipeline.',
    );
    expect(() => pipelineOf({ pipeline: 2 }, 3)).toThrow(
      'fit: --pipeline 2 does not divide 3 ranks.',
    );
    expect(() => pipelineOf({ pipeline: 2 }, 1)).toThrow('does not divide 1 process.');
    expect(() => pipelineOf({ pipeline: 2, test: ['a.tsv'] }, 2)).toThrow(
      'fit: --test needs the whole model in one process.',
    );
  });
});

describe('flags of a shared base', () => {
  it('go together, and with the number of ranks', () => {
    expect(isBaseShared({}, 2)).toBe(false);
    expect(isBaseShared({ shardBase: true, pipeline: 1 }, 2)).toBe(true);
    expect(() => isBaseShared({ shardBase: true }, 1)).toThrow(
      'fit: --shard-base is given, and one process has nobody to share with.',
    );
    expect(() => isBaseShared({ shardBase: true, pipeline: 2 }, 2)).toThrow(
      'fit: --shard-base is given together with --pipeline',
    );
    expect(() => isBaseShared({ shardBase: true, test: ['a.tsv'] }, 2)).toThrow(
      'fit: --test needs the whole model in one process.',
    );
  });
});

describe.skipIf(!canRunRanks)('a fit of two ranks that hold the model together', () => {
  it(
    'ends with the bytes and the score of one process, in stages and with a shared base',
    async () => {
      const { out, err, code } = await peft(...fit('alone', '--epochs', '1', '--json'));
      expect(code, err).toBe(0);
      const stages = ['--ranks', '2', '--pipeline', '2'];
      const staged = await completed(
        ...command,
        ...fit('two', '--epochs', '1', '--json', ...stages),
      );
      expect(staged.err).toBe('');
      expect(scoreOf(staged.out)).toBe(scoreOf(out));
      expect(adapterOf('two')).toBe(adapterOf('alone'));
      const shared = await completed(
        ...command,
        ...fit('shared', '--epochs', '1', '--json', '--ranks', '2', '--shard-base'),
      );
      expect(shared.err).toBe('');
      expect(scoreOf(shared.out)).toBe(scoreOf(out));
      expect(adapterOf('shared')).toBe(adapterOf('alone'));
    },
    PROCESSES_MS,
  );
});

describe.skipIf(!canRunRanks || !isLong)('fits in stages', () => {
  const native = ['--engine', 'native', '--epochs', '2'];
  const nf4 = [...native, '--set', 'model.hf_text.quantization=nf4'];

  it(
    'on a quantised base, with two groups of ranks, and with one that two and four ranks share',
    async () => {
      await completed(...command, ...fit('nf4', ...nf4));
      const stages = ['--ranks', '4', '--pipeline', '2'];
      await completed(...command, ...fit('nf4-stages', ...nf4, ...stages));
      expect(adapterOf('nf4-stages')).toBe(adapterOf('nf4'));
      for (const ranks of ['2', '4']) {
        const output = `nf4-shared-${ranks}`;
        await completed(...command, ...fit(output, ...nf4, '--ranks', ranks, '--shard-base'));
        expect(adapterOf(output)).toBe(adapterOf('nf4'));
      }
    },
    PROCESSES_MS,
  );

  it.skipIf(!mpich)(
    'on MPICH',
    async () => {
      await completed(...command, ...fit('whole', '--epochs', '1'));
      const words = fit('mpich', '--epochs', '1', '--pipeline', '2');
      await completed(mpich!, '-n', '2', ...program, ...words);
      expect(adapterOf('mpich')).toBe(adapterOf('whole'));
      const shared = fit('mpich-shared', '--epochs', '1', '--shard-base');
      await completed(mpich!, '-n', '2', ...program, ...shared);
      expect(adapterOf('mpich-shared')).toBe(adapterOf('whole'));
    },
    PROCESSES_MS,
  );

  it(
    'refuses a model and a task before anything is loaded',
    async () => {
      const rows = NOUNS.map((noun) => ({ source: `the ${noun}`, target: 'a friend' }));
      const pairs = llama.lines('pairs.jsonl', rows);
      const stages = ['--ranks', '2', '--pipeline', '2', '--output', join(llama.folder, 'none')];
      const t5 = await start([
        ...command,
        ...['fit', pairs, '--task', 'seq2seq', '--map', 'source=source', 'target=target'],
        ...['--model', fixture('flan-t5'), '--method', 'lora', '--engine', 'portable', ...stages],
      ]).ended;
      expect(t5.code).not.toBe(0);
      expect(t5.err).toContain('it cannot be cut into 2 stages: its decoder reads the states of');
      const preferred = llama.lines(
        'preferred.jsonl',
        NOUNS.map((noun) => ({
          prompt: `Who is the ${noun}?`,
          chosen: ' A friend.',
          rejected: ' No.',
        })),
      );
      const dpo = await start([
        ...command,
        ...['fit', preferred, '--task', 'preference', '--model', llama.path, '--method', 'lora'],
        ...['--engine', 'portable', ...stages],
      ]).ended;
      expect(dpo.code).not.toBe(0);
      expect(dpo.err).toContain('runs the model before each step');
      const shared = await start([
        ...command,
        ...['fit', pairs, '--task', 'seq2seq', '--map', 'source=source', 'target=target'],
        ...['--model', fixture('flan-t5'), '--method', 'lora', '--engine', 'portable'],
        ...['--ranks', '2', '--shard-base', '--output', join(llama.folder, 'none')],
      ]).ended;
      expect(shared.code).not.toBe(0);
      expect(shared.err).toContain(
        'ranks cannot share its frozen weights block by block: its decoder reads the states of',
      );
    },
    PROCESSES_MS,
  );
});
