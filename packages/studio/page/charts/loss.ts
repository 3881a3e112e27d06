/** Loss, mean over the examples of a step. */
import { defineChart } from './chart.js';

export default defineChart({
  id: 'loss',
  title: 'Loss',
  unit: 'mean over the examples of a step',
  isSmoothed: true,
  curve: ({ steps }) => ({ x: steps.step, y: steps.loss }),
});
