/** Speed, tokens per second. */
import { defineChart } from './chart.js';

export default defineChart({
  id: 'speed',
  title: 'Speed',
  unit: 'tokens per second',
  isSmoothed: true,
  curve: ({ steps }) => ({ x: steps.step, y: steps.tokensPerSecond }),
});
