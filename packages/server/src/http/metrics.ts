/** Counts of what a server has done, in Prometheus' text format (version 0.0.4). */

/** Upper bounds of the buckets of durations, in seconds. */
const BOUNDS_SECONDS: readonly number[] = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

export class Metrics {
  /** By route and status. */
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  readonly #tokens = { prompt: 0, completion: 0 };

  /** A request that was answered. */
  answered(route: string, status: number, seconds: number): void {
    const labels = `route="${route}",status="${status}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
    this.#observe(`peft_request_duration_seconds{route="${route}"`, seconds);
  }

  /** The first piece of a text, seconds after its request. */
  firstToken(seconds: number): void {
    this.#observe('peft_time_to_first_token_seconds{', seconds);
  }

  tokens(prompt: number, completion: number): void {
    this.#tokens.prompt += prompt;
    this.#tokens.completion += completion;
  }

  /** @param gauges what is the case now, by name */
  text(gauges: Readonly<Record<string, number>>): string {
    const lines = [
      '# TYPE peft_requests_total counter',
      ...[...this.#requests].map(([labels, count]) => `peft_requests_total{${labels}} ${count}`),
      '# TYPE peft_tokens_total counter',
      `peft_tokens_total{kind="prompt"} ${this.#tokens.prompt}`,
      `peft_tokens_total{kind="completion"} ${this.#tokens.completion}`,
      ...Object.entries(gauges).flatMap(([name, value]) => [
        `# TYPE ${name} gauge`,
        `${name} ${value}`,
      ]),
      ...this.#histograms(),
    ];
    return `${lines.join('\n')}\n`;
  }

  #observe(name: string, seconds: number): void {
    const histogram = this.#durations.get(name) ?? {
      counts: BOUNDS_SECONDS.map(() => 0),
      sum: 0,
      count: 0,
    };
    this.#durations.set(name, histogram);
    BOUNDS_SECONDS.forEach((bound, i) => (histogram.counts[i]! += seconds <= bound ? 1 : 0));
    histogram.sum += seconds;
    histogram.count += 1;
  }

  #histograms(): string[] {
    const types = new Set<string>();
    return [...this.#durations].flatMap(([key, { counts, sum, count }]) => {
      const [name, labels] = key.split('{') as [string, string];
      const type = types.has(name) ? [] : [`# TYPE ${name} histogram`];
      types.add(name);
      const among = labels === '' ? '' : `${labels},`;
      const around = labels === '' ? '' : `{${labels}}`;
      return [
        ...type,
        ...counts.map((below, i) => `${name}_bucket{${among}le="${BOUNDS_SECONDS[i]}"} ${below}`),
        `${name}_bucket{${among}le="+Inf"} ${count}`,
        `${name}_sum${around} ${sum}`,
        `${name}_count${around} ${count}`,
      ];
    });
  }
}
