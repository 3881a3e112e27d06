/** Mean negative log probability of the true class. */
import { checkInput, type Metric, type MetricInput } from '../metric.js';

/**
 * −mean log p[label], p clipped to [ε, 1 − ε] with the ε of the array's type (2⁻²³ for
 * Float32Array, else 2⁻⁵²), as scikit-learn does.
 */
export const logLoss: Metric = Object.freeze({
  name: 'log_loss',
  aliases: ['nll', 'cross_entropy', 'logloss'],
  greaterIsBetter: false,
  optimum: 0,
  needs: 'probabilities' as const,
  compute(input: MetricInput) {
    const n = checkInput('log_loss', input, 'probabilities');
    const { labels, predictions, classCount = 2 } = input;
    const epsilon = predictions instanceof Float32Array ? 2 ** -23 : 2 ** -52;
    let sum = 0;
    for (let i = 0; i < n; i += 1)
      sum -= Math.log(
        Math.min(1 - epsilon, Math.max(epsilon, predictions[i * classCount + labels[i]!]!)),
      );
    return sum / n;
  },
});
