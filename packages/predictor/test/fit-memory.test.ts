import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { override, type MemoryPlanned, type Module, type TrainEvent } from '@peft/core';
import { createPortableEngine } from '@peft/portable';
import { tensorflowSizing } from '@peft/tensorflow';
import { afterEach, describe, expect, test } from 'vitest';
import { ENGINE_CHOOSER, MACHINE_MEMORY, PeftPredictor } from '../src/index.js';
import { quickPredictor, quickRows, type QuickRow } from './quick.js';

const rows = quickRows(24);
const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

const planned = (events: readonly TrainEvent[]) =>
  events.find((event) => event.type === 'memory/planned');
/** A machine with so much free beside what the process has. */
const machine = (usableBytes: number): Module =>
  override((bind) => bind(MACHINE_MEMORY, () => () => ({ totalBytes: 1e12, usableBytes })));
const SHORT = { 'optim.max_epochs': 1 };

describe('a fit and its memory', () => {
  test('is planned before the weights are read, and the summary has what was planned beside what it took', async () => {
    const { predictor, events } = quickPredictor({ hyperparameters: SHORT });
    await predictor.fit(rows);
    const { peakMemoryBytes, plannedPeakBytes } = predictor.fitSummary();
    expect(events.findIndex(({ type }) => type === 'memory/planned')).toBeLessThan(
      events.findIndex(({ type }) => type === 'weights/loaded'),
    );
    expect(planned(events)).toMatchObject({ peakBytes: plannedPeakBytes, changes: [] });
    // A run this small lies within what a process is allowed to grow by; bench:memory compares real
    // ones.
    expect(Math.abs(plannedPeakBytes! - peakMemoryBytes)).toBeLessThan(250e6);
    predictor.dispose();
  });

  test('is refused with the plan and what would help, before the weights are read', async () => {
    const { predictor, events } = quickPredictor({
      hyperparameters: { 'env.memory_gb': 0.01, 'model.hf_text.gradient_checkpointing': false },
    });
    await expect(predictor.fit(rows)).rejects.toMatchObject({
      code: 'PEFT_MEMORY_INSUFFICIENT',
      message: expect.stringMatching(/the run would take .*\nweights .*\n.*it does not fit/s),
      hint: expect.stringContaining('take a smaller model'),
    });
    expect(events.some(({ type }) => type === 'weights/loaded')).toBe(false);
    predictor.dispose();
  });

  test(
    'takes smaller micro-batches and a quantised base where they were left to it, and the ' +
      'saved predictor is quantised again',
    async () => {
      const path = mkdtempSync(join(tmpdir(), 'peft-memory-'));
      folders.push(path);
      // Texts so long that a step takes more than reading the table of embeddings, of which no
      // setting takes less.
      const long = quickRows(16).map(({ topic, text }) => ({
        topic,
        text: Array<string>(8).fill(text).join(' '),
      }));
      const asked = {
        ...SHORT,
        'model.hf_text.max_text_len': 64,
        'env.batch_size': 16,
        'model.hf_text.quantization': 'auto',
        'env.per_gpu_batch_size': 'auto',
      } as const;
      const { predictor, events } = quickPredictor({
        path,
        modules: [machine((await neededBytes(asked, long)) - 2e6)],
        hyperparameters: asked,
      });
      await predictor.fit(long);
      const { changes } = planned(events)!;
      expect(changes).not.toEqual([]);
      const before = await predictor.predict(rows);
      predictor.dispose();
      const loaded = await PeftPredictor.load(path, { engine: 'portable' });
      expect(await loaded.predict(rows)).toEqual(before);
      loaded.dispose();
    },
  );

  test('trains on a base in NF4 with 8-bit state of which little stays in memory', async () => {
    const { predictor } = quickPredictor({
      hyperparameters: {
        ...SHORT,
        'model.hf_text.quantization': 'nf4',
        'optim.optim_type': 'adamw_8bit',
        'optim.resident_state_mb': 0,
        'optim.peft': 'lora',
      },
    });
    await predictor.fit(rows);
    expect(predictor.fitSummary().steps).toBeGreaterThan(0);
    predictor.dispose();
  });
});

describe('a fit on a card', () => {
  /**
   * The portable engine under the other's name, with a card of so much free memory as nvidia-smi
   * might say.
   */
  const card = (freeBytes: number, isListed = true): Module =>
    override((bind) =>
      bind(ENGINE_CHOOSER, () => async () => {
        const engine = await createPortableEngine();
        await engine.activate();
        const gpu = {
          name: 'NVIDIA L4',
          computeCapability: 8.9,
          totalBytes: 24e9,
          freeBytes,
          driver: '550.54.15',
        };
        const device = {
          kind: 'gpu',
          name: gpu.name,
          tensorflowVersion: '2.21.0',
          ...(isListed && { gpu }),
        } as const;
        return {
          engine: Object.defineProperties(engine, {
            name: { value: 'tensorflow' },
            device: { value: device },
            sizing: { value: tensorflowSizing({ isOnCard: true }) },
            memory: { value: () => ({ tensors: 0 }) },
          }),
          reason: 'a stand-in',
        };
      }),
    );

  test('is planned for the card and for the machine', async () => {
    const { predictor, events } = quickPredictor({
      modules: [card(20e9)],
      hyperparameters: { ...SHORT, 'env.engine': 'tensorflow' },
    });
    await predictor.fit(rows);
    expect(planned(events)).toMatchObject({
      gpu: { name: 'NVIDIA L4', usableBytes: 18e9 },
      peakBytes: predictor.fitSummary().plannedPeakBytes,
    });
    expect((planned(events) as MemoryPlanned).gpu!.peakBytes).toBeGreaterThan(0.3e9); // what CUDA was assumed to take is in it
    predictor.dispose();
  });

  test('is refused where the card has not enough, before the weights are read', async () => {
    const { predictor, events } = quickPredictor({
      modules: [card(0.2e9)],
      hyperparameters: { ...SHORT, 'env.engine': 'tensorflow' },
    });
    await expect(predictor.fit(rows)).rejects.toMatchObject({
      code: 'PEFT_MEMORY_INSUFFICIENT',
      message: expect.stringMatching(/ on NVIDIA L4, and 180 MB of 24\.0 GB are free/),
    });
    expect(events.some(({ type }) => type === 'weights/loaded')).toBe(false);
    predictor.dispose();
  });

  test('goes on unplanned, and says so, where nobody knows what the card has', async () => {
    const { predictor, events } = quickPredictor({
      modules: [card(0, false)],
      hyperparameters: { ...SHORT, 'env.engine': 'tensorflow' },
    });
    await predictor.fit(rows);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'run/warned', code: 'PEFT_MEMORY_UNPLANNED' }),
    );
    predictor.dispose();
  });
});

/** What the run takes beside what the process has. */
async function neededBytes(hyperparameters: object, rows: readonly QuickRow[]): Promise<number> {
  const { predictor, events } = quickPredictor({ modules: [machine(1e12)], hyperparameters });
  await predictor.fit(rows);
  predictor.dispose();
  const { peakBytes, usableBytes } = planned(events)!;
  return peakBytes - (usableBytes - 1e12);
}
