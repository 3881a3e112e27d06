/**
 * An exponential moving mean, without the pull of its start: m_t = β·m_{t−1} + (1−β)·y_t, shown as
 * m_t / (1 − β^t).
 * @param beta in [0, 1); 0 leaves the values as they are.
 */
export function smoothed(values: readonly (number | null)[], beta: number): (number | null)[] {
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = beta * mean + (1 - beta) * value;
    weight = beta * weight + (1 - beta);
    return mean / weight;
  });
}
