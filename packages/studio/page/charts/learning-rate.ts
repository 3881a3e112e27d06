/** Learning rate, of the optimiser's step. */
import { defineChart } from './chart.js';

export default defineChart({
  id: 'learning-rate',
  title: 'Learning rate',
  unit: "of the optimiser's step",
  curve: ({ steps }) => ({ x: steps.step, y: steps.learningRate }),
});
