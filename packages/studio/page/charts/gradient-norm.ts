/** Gradient norm, before clipping. */
import { defineChart } from './chart.js';

export default defineChart({
  id: 'gradient-norm',
  title: 'Gradient norm',
  unit: 'before clipping',
  isSmoothed: true,
  curve: ({ steps }) => ({ x: steps.step, y: steps.gradientNorm }),
});
