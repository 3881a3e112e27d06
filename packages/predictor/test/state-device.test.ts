import { describe, expect, test } from 'vitest';
import { quickPredictor, quickRows } from './quick.js';

const rows = quickRows(24);

describe('optimiser state on the device', () => {
  test(
    'trains what state on the host trains, within the error of float32, however little of ' +
      'it may stay there',
    async () => {
      const probabilities = [];
      const scores = [];
      for (const settings of [
        {},
        { 'optim.state_device': 'device' },
        { 'optim.state_device': 'device', 'optim.resident_state_mb': 0 },
      ] as const) {
        const { predictor } = quickPredictor({ hyperparameters: settings });
        await predictor.fit(rows);
        probabilities.push(
          (await predictor.predictProba(rows)).map((row) => Object.values(row)).flat(),
        );
        scores.push(predictor.fitSummary().trainingLoss!);
        predictor.dispose();
      }
      const [host, device, paged] = probabilities;
      expect(paged).toEqual(device);
      expect(scores[2]).toBe(scores[1]);
      expect(Math.max(...device!.map((value, i) => Math.abs(value - host![i]!)))).toBeLessThan(
        1e-5,
      );
      expect(Math.abs(scores[1]! - scores[0]!)).toBeLessThan(1e-5);
    },
  );

  test('is refused before a model is opened where the optimiser computes on the host alone', async () => {
    const { predictor, events } = quickPredictor({
      hyperparameters: { 'optim.state_device': 'device', 'optim.optim_type': 'adamw_8bit' },
    });
    await expect(predictor.fit(rows)).rejects.toMatchObject({
      code: 'PEFT_OPTIM_DEVICE_UNSUPPORTED',
      message: expect.stringContaining('optim.state_device=host'),
    });
    expect(events.filter(({ type }) => type === 'weights/loaded')).toEqual([]);
    predictor.dispose();
  });
});
